"""The way to a generation: by which shares from which, what is waited for, where it ends; and what a wait comes to. On the in-memory target."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

from deployer.core.plan import Progress
from deployer.core.rollout import Hold
from deployer.core.state import DeploymentName, ModelFacts, Observed, PackagedModel, Status, digest_of
from deployer.core.strategy_options import Checks
from deployer.core.target import Intent, Payload
from deployer.core.traffic import Measured
from deployer.errors import Conflict, DeployerError, RolloutFailed, TimedOut
from deployer.events import Event, Noticed, silent
from deployer.verbs import lifecycle
from deployer.verbs.lifecycle import Wish
from deployer.verbs.moves import Direction, Move
from docs.examples.memory_cloud import Cloud, CloudError
from docs.examples.memory_target import Client, Memory, Options, Point

NAME = DeploymentName("churn")
TARGET = Memory()
CANARY = {"strategy": "canary", "steps": "10,50", "pause": "0s"}
MANUAL = {**CANARY, "pause": "manual"}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(broken={digest_of("broken")}, failing={digest_of("failing")})


def wish(intent: str, uri: str = "", /, move: Move | None = None, **options: Any) -> Wish:
    model = PackagedModel(ModelFacts(uri=uri, digest=digest_of(uri))) if uri else None
    return Wish(NAME, Intent(intent), model, Options.parse(options, target="memory"), packages="image", move=move)


def deploy(cloud: Cloud, intent: str, uri: str = "", /, **options: Any) -> list[Event]:
    events: list[Event] = []
    lifecycle.deploy(TARGET, Client(cloud), wish(intent, uri, **options), events.append, timeout_seconds=600)
    return events


def move(cloud: Cloud, direction: Direction, to: str | None = None, /, **options: Any) -> None:
    lifecycle.deploy(TARGET, Client(cloud), wish("update", move=Move(direction, to), **options), silent, timeout_seconds=600)


def seen(cloud: Cloud) -> Observed:
    observed = TARGET.observe(NAME, Client(cloud))
    assert observed is not None
    return observed


def shares(cloud: Cloud) -> list[tuple[str, int]]:
    """Of each model."""
    observed = seen(cloud)
    return [(observed.records[share.generation].model.uri, share.percent) for share in observed.traffic]


def goes(cloud: Cloud, *given: Any, **options: Any) -> list[Any]:
    """What an update would do with the traffic: each share that it shifts to, and the seconds of each pause."""
    plan = lifecycle.prospect(TARGET, Client(cloud), wish(*given, **options)).plan
    return [
        step.to[-1].percent if isinstance(step, Point) else f"{step.seconds:.0f} s at {step.share}"
        for step in plan.forward
        if isinstance(step, (Point, Hold))
    ]


def test_the_way_begins_at_the_share_that_is_there(cloud: Cloud) -> None:
    assert goes(cloud, "create", "v1", **CANARY) == [100], "nothing serves yet"
    deploy(cloud, "create", "v1", **CANARY)
    timed = {**CANARY, "pause": "7s"}
    assert goes(cloud, "update", "v2") == [10, "0 s at 10", 50, "0 s at 50", 100], "the record has the strategy"
    assert goes(cloud, "update", "v2", **timed) == [10, "7 s at 10", 50, "7 s at 50", 100]
    assert goes(cloud, "update", "v2", strategy="blue_green", pause="7s") == [100, "7 s at 100", 100]
    assert goes(cloud, "update", "v2", strategy="blue_green") == [100]
    assert goes(cloud, "update", "v2", strategy="all_at_once") == [100]
    assert goes(cloud, "update", "v2", **MANUAL) == [10]
    deploy(cloud, "update", "v2", **MANUAL)
    assert goes(cloud, "update", "v2", **timed) == ["7 s at 10", 50, "7 s at 50", 100]
    assert goes(cloud, "update", "v2", **MANUAL) == ["0 s at 10", 50]
    assert goes(cloud, "update", move=Move(Direction.PROMOTE)) == ["0 s at 10", 50]
    assert goes(cloud, "update", move=Move(Direction.PROMOTE), pause="7s") == ["0 s at 10", 50, "7 s at 50", 100]
    assert goes(cloud, "update", move=Move(Direction.PROMOTE), strategy="all_at_once") == ["0 s at 10", 100]
    assert goes(cloud, "update", move=Move(Direction.ABORT)) == [100]
    assert goes(cloud, "update", "v3", **MANUAL) == [10], "another takes its place"
    assert goes(cloud, "apply", "v1", **CANARY) == [100], "what serves is asked for: the rollout is given up"


def test_who_does_not_wait_stays_at_the_first_step(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2", **CANARY, synchronous=False)
    TARGET.settle(NAME, Client(cloud), silent, 60)
    assert shares(cloud) == [("v1", 90), ("v2", 10)]
    deploy(cloud, "update", "v2", **CANARY)
    assert shares(cloud) == [("v2", 100)]


def test_a_rollout_that_is_given_up_for_another_is_told_of(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2", **MANUAL)
    candidate = seen(cloud).candidate
    told = [event.message for event in deploy(cloud, "update", "v3", **MANUAL) if isinstance(event, Noticed)]
    assert told == [f"the rollout of {candidate}, which is under way, is given up for this one"]
    assert shares(cloud) == [("v1", 90), ("v3", 10)]
    told = [event.message for event in deploy(cloud, "update", instance_count=2) if isinstance(event, Noticed)]
    assert "is given up" in told[0], "what changes in place is of the generation in service"
    assert shares(cloud) == [("v1", 100)]
    deploy(cloud, "update", "v3", **MANUAL)
    move(cloud, Direction.ABORT)
    assert shares(cloud) == [("v1", 100)]
    assert {record.model.uri for record in seen(cloud).records.values()} == {"v1"}


def test_a_way_back_to_an_ancestor_by_a_canary_leaves_the_ancestor(cloud: Cloud) -> None:
    """The one that is tried came before the one in service: who of them is which is told by the traffic, not by who replaced whom."""
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2")
    deploy(cloud, "update", "v1", **MANUAL)
    assert shares(cloud) == [("v2", 90), ("v1", 10)]
    move(cloud, Direction.ABORT)
    assert shares(cloud) == [("v2", 100)]
    move(cloud, Direction.ROLLBACK)
    assert shares(cloud) == [("v1", 100)]


class Asked(Cloud):
    """It is asked twenty times whenever somebody measures."""

    def call(self, verb: str, *given: Any) -> Any:
        for _ in range(20 if verb == "meter" else 0):
            with suppress(CloudError):
                super().call("invoke", NAME, Payload(b"{}"))
        return super().call(verb, *given)


@pytest.mark.parametrize(("strategy", "answers"), [(CANARY, 2), ({"strategy": "blue_green", "pause": "0s"}, 20)], ids=["canary", "blue_green"])
def test_a_failed_check_goes_back_and_says_which(strategy: dict[str, Any], answers: int) -> None:
    cloud = Asked(failing={digest_of("failing")})
    deploy(cloud, "create", "v1")
    before = set(cloud.things)
    with pytest.raises(RolloutFailed) as failed:
        deploy(cloud, "update", "failing", **strategy, checks={"error_rate": "5%", "min_requests": 2})
    assert failed.value.why == f"error_rate is 100%, and the limit is 5% ({answers} of {answers} requests)"
    assert shares(cloud) == [("v1", 100)]
    assert set(cloud.things) == before


def test_a_check_that_fails_on_the_way_of_another_run_takes_all_of_it_back() -> None:
    cloud = Asked(failing={digest_of("failing")})
    deploy(cloud, "create", "v1")
    before = set(cloud.things)
    deploy(cloud, "update", "failing", **MANUAL)
    with pytest.raises(RolloutFailed):
        move(cloud, Direction.PROMOTE, None, checks={"error_rate": "5%", "min_requests": 2})
    assert shares(cloud) == [("v1", 100)]
    assert set(cloud.things) == before


class Meter:
    """Measures what it is given, and then the last of it for good."""

    def __init__(self, *measured: Measured | DeployerError) -> None:
        self.left = list(measured)
        self.looks = 0

    def strategies(self) -> Any:
        return {}

    def measure(self, name: DeploymentName, generation: str, cloud: Any) -> Measured:
        self.looks += 1
        found = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(found, DeployerError):
            raise found
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleeping takes no time of ours."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def hold(meter: Meter, seconds: float = 60.0, timeout_seconds: float = 600.0, **checks: Any) -> Hold:
    return Hold(NAME, "g2", 10, seconds, Checks(**checks), timeout_seconds, meter)


def run(step: Hold) -> bool:
    return step.run(None, Progress("hold", step.describe(), silent))


FEW, WELL, ILL = Measured(3, 0), Measured(100, 0), Measured(100, 9)


def test_a_pause_lasts_as_long_as_it_is_said(clock: list[float]) -> None:
    assert run(hold(Meter(Measured()))) is False
    assert 60 <= clock[0] < 75


def test_a_failed_check_is_seen_before_the_pause_is_over(clock: list[float]) -> None:
    with pytest.raises(RolloutFailed, match="failed a check at 10 %"):
        run(hold(Meter(WELL, WELL, ILL), error_rate="1%"))
    assert clock[0] < 30


def test_too_few_requests_are_waited_for_and_then_told(clock: list[float]) -> None:
    assert run(hold(Meter(*[FEW] * 30, WELL), error_rate="1%")) is False
    assert clock[0] > 60
    clock[0] = 0.0
    with pytest.raises(TimedOut, match="fewer than 10 requests"):
        run(hold(Meter(FEW), error_rate="1%"))
    assert 600 < clock[0] <= 660


def test_who_decides_is_held_to_what_there_is(clock: list[float]) -> None:
    assert run(hold(Meter(FEW), 0.0, 0.0, error_rate="1%")) is False
    with pytest.raises(RolloutFailed):
        run(hold(Meter(ILL), 0.0, 0.0, error_rate="1%"))
    assert clock[0] == 0


def test_who_waits_is_told_that_another_has_the_name(clock: list[float]) -> None:
    with pytest.raises(Conflict):
        run(hold(Meter(WELL, WELL, Conflict("a newer run changes churn"))))


def test_what_was_swept_cannot_be_brought_back(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    first = seen(cloud).serving
    with pytest.raises(DeployerError, match="none was there before"):
        move(cloud, Direction.ROLLBACK)
    deploy(cloud, "update", "v2")
    deploy(cloud, "update", "v3")
    with pytest.raises(DeployerError, match="was swept, or never was"):
        move(cloud, Direction.ROLLBACK, first)
    version = next(key for key in cloud.things if key[1] == "version" and key[2] == seen(cloud).record.replaces)  # type: ignore[union-attr]
    del cloud.things[version]
    with pytest.raises(DeployerError, match="isn't whole any more"):
        move(cloud, Direction.ROLLBACK)
    assert shares(cloud) == [("v3", 100)]


def test_a_rollback_during_a_rollout_says_what_to_do(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2", **MANUAL)
    with pytest.raises(Conflict) as refused:
        move(cloud, Direction.ROLLBACK)
    assert "--abort" in refused.value.advice
    assert seen(cloud).status is Status.PAUSED


@pytest.mark.parametrize("direction", [Direction.PROMOTE, Direction.ABORT])
def test_where_no_rollout_is_under_way_there_is_nothing_to_do_whatever_a_file_says_of_one(cloud: Cloud, direction: Direction) -> None:
    deploy(cloud, "create", "v1")
    for options in ({"pause": "0s"}, {"strategy": "canary", "steps": "10"}, {"strategy": "all_at_once"}):
        assert lifecycle.prospect(TARGET, Client(cloud), wish("update", move=Move(direction), **options)).plan.empty


def test_a_rollback_is_all_at_once_unless_it_says_otherwise(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2", strategy="all_at_once")
    deploy(cloud, "update", "", **MANUAL)
    assert goes(cloud, "update", move=Move(Direction.ROLLBACK)) == [100]
    assert goes(cloud, "update", move=Move(Direction.ROLLBACK), **MANUAL) == [10]
    move(cloud, Direction.ROLLBACK)
    assert shares(cloud) == [("v1", 100)]
    assert seen(cloud).record.options["strategy"] == "canary"  # type: ignore[union-attr]
