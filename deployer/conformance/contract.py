"""The promises that every target keeps, each a test. A target's own class gives the `place` fixture and names its known gaps."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployer.conformance.clients import Ended, wish
from deployer.conformance.looks import done, flawless, present, serves, steps
from deployer.conformance.place import Place
from deployer.conformance.removal import Removal
from deployer.conformance.traffic import HistoryContract, TrafficContract, WayBackContract
from deployer.core.capabilities import SupportsStrategies
from deployer.core.generations import lineage
from deployer.core.plan import Effect
from deployer.core.state import DeploymentName, Status
from deployer.errors import ConfigInvalid
from deployer.verbs import lifecycle
from deployer.verbs.images import uses_of

LARGE = 500_000_000
"""Bytes of the large model."""
MAY_GROW = 150_000_000
"""Bytes that a client may need more for deploying it."""
LEFTOVERS = ("conflict", "done")


class TargetContract(Removal, WayBackContract, HistoryContract):
    """Subclass it in a module of its own, name the class Test…, and give a fixture `place` of scope "module" beside it."""

    gaps: ClassVar[Mapping[str, str]] = {}
    """Promises that this target doesn't keep yet, by test: "notimpl: …" (ours to do), "notyet: …" (upstream), "never: …" (why). Strict."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name, reason in cls.gaps.items():
            if not callable(getattr(cls, name, None)):
                raise TypeError(f"{cls.__name__} names a gap {name}, which is no promise of the contract")
            setattr(cls, name, pytest.mark.xfail(reason=reason, strict=True)(_copied(getattr(cls, name))))

    @pytest.fixture
    def name(self, place: Place) -> Iterator[DeploymentName]:
        """A name of its own; what carries it at the end is deleted."""
        name = place.fresh_name()
        yield name
        place.run(place.command("delete", name))

    @pytest.fixture
    def serving(self, place: Place, name: DeploymentName) -> DeploymentName:
        """A name under which the first model serves."""
        done(place.run(place.command("create", name, place.first.model)))
        return name

    def test_what_it_can_do_with_traffic_is_held_to_its_contract(self, place: Place) -> None:
        assert isinstance(place.target, SupportsStrategies) == isinstance(self, TrafficContract)

    # What a user does every day.

    def test_round_trip(self, place: Place, name: DeploymentName) -> None:
        done(place.run(place.command("create", name, place.first.model)))
        serves(place, name, place.first)
        observed = present(place, name)
        record = observed.record
        assert observed.status is Status.READY
        assert record is not None
        assert record.deployment == name
        assert record.model.digest == place.first.model.digest
        assert record.model.uri == place.first.model.facts.uri
        listed = {summary.name: summary for summary in place.target.list(place.connect())}
        assert listed[name].status is Status.READY
        assert listed[name].generation == observed.serving
        done(place.run(place.command("delete", name)))
        assert place.observe(name) is None
        assert name not in {summary.name for summary in place.target.list(place.connect())}
        assert not place.everything_of_ours(name)

    def test_the_containers_log_can_be_read(self, place: Place, serving: DeploymentName) -> None:
        place.ask(serving)
        assert list(place.target.logs(serving, place.connect(), follow=False, tail=0))
        last = list(place.target.logs(serving, place.connect(), follow=False, tail=1))
        # What the container says meanwhile reaches the log late, so the last line is looked for in what is read after it.
        assert len(last) == 1
        assert last[0] in place.target.logs(serving, place.connect(), follow=False, tail=0)

    def test_create_again_changes_nothing(self, place: Place, serving: DeploymentName) -> None:
        before = place.everything_of_ours(serving)
        again = done(place.run(place.command("create", serving, place.first.model)))
        assert not again.changed
        assert not again.steps
        assert sorted(place.everything_of_ours(serving)) == sorted(before)

    def test_create_of_something_else_is_refused_and_names_update(self, place: Place, serving: DeploymentName) -> None:
        refused = place.run(place.command("create", serving, place.second.model))
        assert refused.code == "deployment-exists"
        serves(place, serving, place.first)

    def test_apply_creates_updates_and_rests(self, place: Place, name: DeploymentName) -> None:
        done(place.run(place.command("apply", name, place.first.model)))
        serves(place, name, place.first)
        done(place.run(place.command("apply", name, place.second.model)))
        serves(place, name, place.second)
        assert not done(place.run(place.command("apply", name, place.second.model))).changed

    def test_update_of_what_is_not_there_is_told(self, place: Place, name: DeploymentName) -> None:
        assert place.run(place.command("update", name, place.first.model)).code == "deployment-not-found"
        assert not place.everything_of_ours(name)

    def test_a_plan_changes_nothing(self, place: Place, name: DeploymentName) -> None:
        command = place.command("create", name, place.first.model)
        plan = lifecycle.prospect(place.target, place.connect(), wish(place.target, command)).plan
        assert [step.describe() for step in plan.forward]
        assert not place.everything_of_ours(name)

    # Updates.

    def test_update_by_model_keeps_one_generation_for_a_way_back(self, place: Place, serving: DeploymentName) -> None:
        first = present(place, serving).serving
        with place.stream(serving) as stream:
            done(place.run(place.command("update", serving, place.second.model)))
        serves(place, serving, place.second)
        flawless(stream, place.first, place.second)
        observed = present(place, serving)
        assert lineage(observed, 9) == (observed.serving, first)
        done(place.run(place.command("update", serving, place.first.model)))
        serves(place, serving, place.first)
        done(place.run(place.command("update", serving, None, **place.generation_option)))
        assert first in lineage(present(place, serving), 1)
        kept = present(place, serving).records
        assert len(kept) == 2
        assert {each.image for each in kept.values()} <= {use.reference for use in uses_of(place.target, place.connect())}

    def test_update_by_image_uploads_nothing(self, place: Place, serving: DeploymentName) -> None:
        before = present(place, serving)
        ended = done(place.run(place.command("update", serving, None, image_url=place.other_image)))
        serves(place, serving, place.first)
        assert ended.sent_bytes == 0
        assert present(place, serving).serving != before.serving

    def test_update_by_an_option_alone_uploads_nothing(self, place: Place, serving: DeploymentName) -> None:
        before = present(place, serving)
        ended = done(place.run(place.command("update", serving, None, **place.generation_option)))
        serves(place, serving, place.first)
        assert ended.sent_bytes == 0
        assert present(place, serving).serving != before.serving

    def test_update_by_a_live_option_rolls_nothing_out(self, place: Place, serving: DeploymentName) -> None:
        assert place.live_option, "this target has no live option"
        before = present(place, serving).serving
        ended = done(place.run(place.command("update", serving, None, **place.live_option)))
        after = present(place, serving)
        assert ended.changed
        assert after.serving == before
        assert after.record is not None
        assert {key: after.record.options[key] for key in place.live_option} == dict(place.live_option)
        assert not done(place.run(place.command("update", serving, None, **place.live_option))).changed
        serves(place, serving, place.first)

    # Rollouts that fail.

    def test_the_old_generation_answers_while_a_broken_one_is_tried(self, place: Place, serving: DeploymentName) -> None:
        before, shape = present(place, serving), place.shape(serving)
        with place.stream(serving) as stream:
            failed = place.run(place.command("update", serving, place.broken))
        assert failed.code == "rollout-failed"
        assert failed.why or failed.lines
        flawless(stream, place.first)
        serves(place, serving, place.first)
        assert present(place, serving).serving == before.serving
        assert place.shape(serving) == shape
        done(place.run(place.command("update", serving, place.second.model)))
        serves(place, serving, place.second)

    def test_a_create_that_fails_leaves_nothing(self, place: Place, name: DeploymentName) -> None:
        failed = place.run(place.command("create", name, place.broken))
        assert failed.code == "rollout-failed"
        assert not place.everything_of_ours(name)
        done(place.run(place.command("create", name, place.first.model)))
        serves(place, name, place.first)

    def test_a_rollout_whose_outcome_is_not_known_is_left_alone(self, place: Place, serving: DeploymentName) -> None:
        with place.slow_rollouts(5):
            update = place.command("update", serving, place.second.model, timeout_seconds=2)
            assert place.run(update).code == "timed-out"
            assert present(place, serving).records.keys() > {present(place, serving).serving}
        place.target.settle(serving, place.connect(), lambda _: None, 120)
        serves(place, serving, place.second)
        done(place.run(place.command("update", serving, place.second.model)))
        serves(place, serving, place.second)

    # A client that is killed.

    @pytest.mark.slow
    def test_create_and_delete_killed_anywhere_then_run_again_end_the_same(self, place: Place, name: DeploymentName) -> None:
        create, delete = place.command("create", name, place.first.model), place.command("delete", name)
        made = done(place.run(create)).steps
        shape = place.shape(name)
        removed = done(place.run(delete)).steps
        for step in sorted({*place.boundaries(made), *place.boundaries(removed)}):
            if step < len(made):
                assert place.killed(create, step) is None
            done(place.run(create), f"killed before step {step}, create")
            serves(place, name, place.first)
            assert place.shape(name) == shape, f"killed before step {step}"
            if step < len(removed):
                assert place.killed(delete, step) is None
            done(place.run(delete), f"killed before step {step}, delete")
            assert not place.everything_of_ours(name), f"killed before step {step}"

    @pytest.mark.slow
    def test_create_killed_anywhere_then_deleted_leaves_nothing(self, place: Place, name: DeploymentName) -> None:
        create, delete = place.command("create", name, place.first.model), place.command("delete", name)
        for step in place.boundaries(steps(place, create), strided=True):
            assert place.killed(create, step) is None
            done(place.run(delete), f"killed before step {step}")
            assert not place.everything_of_ours(name), f"killed before step {step}"

    @pytest.mark.slow
    def test_create_killed_anywhere_then_updated_to_something_else_ends_there(self, place: Place, name: DeploymentName) -> None:
        create = place.command("create", name, place.first.model)
        done(place.run(place.command("create", name, place.second.model)))
        shape = place.shape(name)
        done(place.run(place.command("delete", name)))
        for step in place.boundaries(steps(place, create), strided=True):
            assert place.killed(create, step) is None
            done(place.run(place.command("apply", name, place.second.model, keep=0)), f"killed before step {step}")
            serves(place, name, place.second)
            assert place.shape(name) == shape, f"killed before step {step}"
            done(place.run(place.command("delete", name)))

    @pytest.mark.slow
    def test_update_killed_anywhere_then_run_again_ends_the_same(self, place: Place, serving: DeploymentName) -> None:
        made = done(place.run(place.command("update", serving, place.second.model))).steps
        shape, there, back = place.shape(serving), place.first, place.second
        for step in place.boundaries(made):
            with place.stream(serving) as stream:
                update = place.command("update", serving, there.model)
                assert place.killed(update, step) is None
                done(place.run(update), f"killed before step {step}")
            flawless(stream, there, back)
            serves(place, serving, there)
            assert place.shape(serving) == shape, f"killed before step {step}"
            there, back = back, there

    @pytest.mark.slow
    def test_update_killed_anywhere_then_to_something_else_ends_there(self, place: Place, serving: DeploymentName) -> None:
        update = place.command("update", serving, place.second.model, **place.generation_option)
        done(place.run(place.command("update", serving, place.second.model)))
        shape = place.shape(serving)
        done(place.run(place.command("update", serving, place.first.model)))
        for step in place.boundaries(steps(place, update), strided=True):
            assert place.killed(update, step) is None
            plain = done(place.run(place.command("apply", serving, place.second.model)), f"killed before step {step}")
            serves(place, serving, place.second)
            assert place.shape(serving).keys() == shape.keys(), f"killed before step {step}"
            assert "upload" not in place.shape(serving), plain
            done(place.run(place.command("apply", serving, place.first.model)))

    @pytest.mark.slow
    def test_update_killed_anywhere_then_deleted_leaves_nothing(self, place: Place, serving: DeploymentName) -> None:
        update = place.command("update", serving, place.second.model)
        for step in place.boundaries(steps(place, update), strided=True):
            assert place.killed(update, step) is None
            done(place.run(place.command("delete", serving)), f"killed before step {step}")
            assert not place.everything_of_ours(serving), f"killed before step {step}"
            done(place.run(place.command("create", serving, place.first.model)))

    # Faults, rivals, strangers.

    def test_every_call_throttled_once(self, place: Place, name: DeploymentName) -> None:
        def there_and_back() -> None:
            done(place.run(place.command("create", name, place.first.model)))
            done(place.run(place.command("update", name, place.second.model)))
            serves(place, name, place.second)
            done(place.run(place.command("delete", name)))
            assert not place.everything_of_ours(name)

        there_and_back()
        with place.everything_struck():
            there_and_back()

    @pytest.mark.slow
    def test_the_slower_of_two_clients_is_told(self, place: Place, serving: DeploymentName) -> None:
        update = place.command("update", serving, place.second.model)
        forward = lifecycle.prospect(place.target, place.connect(), wish(place.target, update)).plan.forward
        switch = next(number for number, step in enumerate(forward) if step.effect is Effect.SWITCH)
        for step in (0, switch, switch + 1, len(forward)):
            with place.held_up(update, step) as slower:
                assert slower.stands, f"there is no step {step}"
                done(place.run(place.command("apply", serving, place.first.model, **place.generation_option)), f"beside step {step}")
                ended = slower.go_on()
            assert ended.code == "conflict" if step <= switch else ended.code in LEFTOVERS, f"at step {step}: {ended}"
            serves(place, serving, place.first)
            done(place.run(place.command("apply", serving, place.first.model)))
            serves(place, serving, place.first)

    def test_two_clients_at_once_end_with_one_of_them(self, place: Place, serving: DeploymentName) -> None:
        wishes = (
            place.command("apply", serving, place.second.model),
            place.command("apply", serving, place.first.model, **place.generation_option),
        )
        ended: list[Ended] = []
        clients = [threading.Thread(target=lambda wish=wish: ended.append(place.run(wish))) for wish in wishes]
        with place.stream(serving) as stream:
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        assert {each.code for each in ended} <= {"done", "conflict"}, ended
        flawless(stream, place.first, place.second)
        done(place.run(place.command("apply", serving, place.second.model)))
        serves(place, serving, place.second)
        observed = present(place, serving)
        assert set(observed.records) == set(lineage(observed, 1))

    def test_somebody_elses_endpoint_is_refused(self, place: Place, name: DeploymentName) -> None:
        with place.foreign(name) as untouched:
            for verb in ("create", "update", "apply", "delete"):
                ended = place.run(place.command(verb, name, place.first.model if verb != "delete" else None))
                assert ended.code == "not-ours", verb
            assert untouched()
            assert not place.everything_of_ours(name)

    def test_somebody_elses_endpoint_is_taken_over_when_asked(self, place: Place, name: DeploymentName) -> None:
        with place.foreign(name):
            plain = place.command("apply", name, place.first.model)
            done(place.run(replace(plain, adopt=True)))
            serves(place, name, place.first)
            done(place.run(place.command("update", name, place.second.model)))
            serves(place, name, place.second)

    # Names and what else is odd.

    def test_names_at_both_limits(self, place: Place) -> None:
        for text in (place.shortest, place.longest):
            name = place.target.check_name(text)
            try:
                done(place.run(place.command("create", name, place.first.model)))
                serves(place, name, place.first)
                done(place.run(place.command("update", name, place.second.model)))
                serves(place, name, place.second)
            finally:
                done(place.run(place.command("delete", name)))
            assert not place.everything_of_ours(name)
        for wrong in ("", place.longest + "c", "a b", "-a", "ä"):
            with pytest.raises(ConfigInvalid):
                place.target.check_name(wrong)

    def test_a_model_or_directory_of_any_name_gives_a_valid_one(self, place: Place) -> None:
        for candidate in ("churn", "My Model (v2)", "größe_東京", "-", "", "a" * 300, "1", "x--y", "models:/x/1"):
            assert place.target.check_name(place.target.name_for(candidate))

    def test_names_that_begin_alike_share_nothing(self, place: Place, serving: DeploymentName) -> None:
        longer = DeploymentName(f"{serving}-2")
        try:
            done(place.run(place.command("create", longer, place.first.model)))
            alone = place.everything_of_ours(longer)
            done(place.run(place.command("delete", serving)))
            assert place.everything_of_ours(longer) == alone
            serves(place, longer, place.first)
        finally:
            done(place.run(place.command("delete", longer)))

    def test_unicode_in_tags_comes_back_as_it_was(self, place: Place, name: DeploymentName) -> None:
        tags = {"größe": "東京 café", "команда": "ナ"}
        done(place.run(place.command("create", name, place.first.model, tags=tags)))
        record = present(place, name).record
        assert record is not None
        assert tags.items() <= dict(record.options["tags"]).items()
        assert not done(place.run(place.command("create", name, place.first.model, tags=tags))).changed

    @pytest.mark.slow
    def test_a_large_model_takes_little_memory(self, place: Place, name: DeploymentName, tmp_path: Path) -> None:
        assert place.first.model.path is not None
        directory = Path(shutil.copytree(place.first.model.path, tmp_path / "large"))
        with (directory / "ballast.bin").open("wb") as ballast, Path("/dev/urandom").open("rb") as noise:
            for _ in range(LARGE // 1_000_000):
                ballast.write(noise.read(1_000_000))
        ended = done(place.apart(place.command("create", name, place.model_at(directory))))
        assert ended.grown_bytes < MAY_GROW, f"{ended.grown_bytes / 1e6:.0f} MB"
        assert place.ask(name) == place.first.answer
        done(place.run(place.command("delete", name)))
        assert not place.everything_of_ours(name)


def _copied(function: Any) -> Any:
    """The same function as another object, so that a mark on it is the subclass's alone."""

    @functools.wraps(function)
    def promise(*given: Any, **named: Any) -> Any:
        return function(*given, **named)

    return promise
