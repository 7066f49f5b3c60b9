"""Several generations behind one address: exact shares, what each answered, and not a request lost on the way there and back."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deployer.client import DeployClient
from deployer.core.state import DeploymentName
from deployer.errors import Conflict, Refused
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.wire import Description
from tests.e2e.local.conftest import Kept, ask, containers, eventually, stopped, stream
from tests.models import copied_model, saved_model

NAME = DeploymentName("numbers")
OLD, NEW = [2.0, 5.0], [3.0, 7.5]


class Stopped(Exception):
    """The client that was to switch never got to it."""


class Two:
    """A deployment whose second generation is ready, and has no traffic yet."""

    def __init__(self, cloud: LocalCloud, old: str, new: str) -> None:
        self.cloud, self.old, self.new = cloud.claim(NAME), old, new

    @property
    def description(self) -> Description:
        found = self.cloud.describe(NAME)
        assert found is not None
        return found

    def shift(self, percent: int) -> None:
        """Give the new generation so many percent; both run on."""
        self.cloud.shift(NAME, {self.old: 100 - percent, self.new: percent}, self.description.traffic)

    def end(self, generation: str) -> None:
        """Give one of them all of the traffic, alone."""
        self.cloud.shift(NAME, {generation: 100}, self.description.traffic)

    def answered(self, generation: str) -> int:
        return self.cloud.measure(NAME, generation).requests


def two(client: DeployClient, cloud: LocalCloud, first: str = "doubler", second: Path | None = None) -> Two:
    made = client.create_deployment(NAME, str(saved_model(first)), config={"env": {"DEPLOYER_WORKERS": "2"}, "max_restarts": 0})
    with _cut_off_at_the_switch(), suppress(Stopped):
        client.update_deployment(NAME, str(second or saved_model("tripler")), allow_schema_change=True)
    found = cloud.describe(NAME)
    assert found is not None
    (new,) = found.containers.keys() - {made.generation}
    return Two(cloud, made.generation, new)


def serving_process(pair: Two) -> int:
    """The first process of the old generation's container: the longer there, the lower its start time."""
    return min(containers(pair.cloud), key=lambda process: int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]))


@contextmanager
def _cut_off_at_the_switch() -> Iterator[None]:
    def shift(self: LocalCloud, *_: object) -> bool:
        raise Stopped

    patch = pytest.MonkeyPatch()
    patch.setattr(LocalCloud, "shift", shift)
    try:
        yield
    finally:
        patch.undo()


def test_of_a_hundred_requests_ten_go_to_the_new_one(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud)
    pair.shift(10)
    assert pair.description.traffic == {pair.old: 90, pair.new: 10}
    with Kept(pair.description.url) as one:
        assert Counter(str(one.ask()[1]) for _ in range(100)) == {str(OLD): 90, str(NEW): 10}
    assert Counter(ask(client, NAME) for _ in range(20)) == {2.0: 18, 3.0: 2}
    assert (pair.answered(pair.old), pair.answered(pair.new)) == (108, 12)
    pair.shift(50)
    assert (pair.answered(pair.old), pair.answered(pair.new)) == (0, 0)  # each division is measured by itself


def test_no_request_is_lost_on_the_way_to_shares_and_back(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud)
    url = pair.description.url
    with stream(url, 4) as kept, stream(url, 2, connection="close") as new:
        eventually(lambda: bool(kept.answers and new.answers))
        for percent in (10, 50, 0, 30, 100):
            seen = len(kept.answers), len(new.answers)
            pair.shift(percent)
            eventually(lambda seen=seen: len(kept.answers) > seen[0] + 40 and len(new.answers) > seen[1] + 40)
        seen = len(kept.answers), len(new.answers)
        pair.end(pair.new)
        eventually(lambda: len(kept.answers) > seen[0] + 40 and len(new.answers) > seen[1] + 40)
    assert kept.failures == new.failures == []
    assert kept.answers[0] == new.answers[0] == OLD
    assert kept.answers[-1] == new.answers[-1] == NEW
    eventually(lambda: len(containers(cloud)) == 1)


def test_alone_a_generation_accepts_by_itself_again(client: DeployClient, cloud: LocalCloud) -> None:
    """Connections that were kept meanwhile move there, too: the supervisor may stand still."""
    pair = two(client, cloud)
    with Kept(pair.description.url) as early:
        assert early.ask() == (200, OLD)
        pair.shift(50)
        with Kept(pair.description.url) as late, Kept(pair.description.url) as silent:
            assert [late.ask()[1], early.ask()[1]] in ([OLD, NEW], [NEW, OLD])
            pair.end(pair.new)
            eventually(lambda: pair.description.containers.keys() == {pair.new})
            assert late.ask() == early.ask() == (200, NEW)  # each moves after its next answer at the latest
            with stopped(pair.description.pid):
                assert late.ask() == early.ask() == silent.ask() == (200, NEW)


def test_one_without_a_share_runs_on_and_takes_the_traffic_back(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud)
    with Kept(pair.description.url) as asked:
        assert asked.ask() == (200, OLD)
        pair.shift(100)
        assert asked.ask() == (200, NEW)
        assert pair.description.containers[pair.old].state == "ready"
        pair.end(pair.old)
        assert asked.ask() == (200, OLD)
        eventually(lambda: pair.description.containers.keys() == {pair.old})
        with stopped(pair.description.pid):
            assert asked.ask() == (200, OLD)


def test_errors_and_latency_are_the_generations_own(client: DeployClient, cloud: LocalCloud, tmp_path: Path) -> None:
    model = copied_model("tripler", tmp_path)
    loader = model / "code" / "tripler_loader.py"
    loader.write_text(loader.read_text().replace("return [3", "raise RuntimeError('out of luck'); return [3"))
    pair = two(client, cloud, second=model)
    pair.shift(50)
    with Kept(pair.description.url) as asked:
        statuses = Counter(asked.ask()[0] for _ in range(10))
    assert statuses == {200: 5, 500: 5}
    old, new = (pair.cloud.measure(NAME, each) for each in (pair.old, pair.new))
    assert (old.requests, old.errors, new.requests, new.errors) == (5, 0, 5, 5)
    assert 0 < old.latencies[50] <= old.latencies[99] < 30


def test_the_share_of_one_that_fails_is_answered_by_the_others_and_counted(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud)
    (process,) = set(containers(cloud)) - {serving_process(pair)}
    pair.shift(50)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: pair.description.containers[pair.new].state == "failed")
    with Kept(pair.description.url) as asked:
        assert [asked.ask() for _ in range(10)] == [(200, OLD)] * 10
    assert pair.cloud.measure(NAME, pair.new).errors == 5


def test_who_expects_other_shares_is_told(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud)
    before = pair.description.traffic
    pair.shift(10)
    with pytest.raises(Conflict, match=r"\(90 %\) and .* \(10 %\) now, not by generation"):
        pair.cloud.shift(NAME, {pair.old: 50, pair.new: 50}, before)
    with pytest.raises(Refused, match="isn't ready"):
        pair.cloud.shift(NAME, {pair.old: 50, "0" * 10: 50}, pair.description.traffic)
    assert not pair.cloud.shift(NAME, {pair.old: 90, pair.new: 10}, before)  # the same again changes nothing
    cloud.claim(NAME)
    with pytest.raises(Conflict):
        pair.shift(100)
    with pytest.raises(Conflict):
        pair.cloud.measure(NAME, pair.new)
    assert pair.description.traffic == {pair.old: 90, pair.new: 10}


def test_a_slow_request_is_answered_by_who_began_it(client: DeployClient, cloud: LocalCloud) -> None:
    pair = two(client, cloud, first="slow")
    with Kept(pair.description.url) as asked:
        asked.send(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
        shifting = threading.Thread(target=pair.shift, args=(100,))
        shifting.start()
        assert asked.answer()[0] == 200
        shifting.join()
        assert asked.ask() == (200, NEW)
