"""What targets promise of traffic: those that give generations shares of it (`SupportsStrategies`), and, of a way back and a history, all."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from deployer.conformance.clients import UserCommand, wish
from deployer.conformance.looks import done, flawless, present, serves, steps
from deployer.conformance.place import Place
from deployer.core.capabilities import SupportsHistory
from deployer.core.history import HistoryEntry, chapters, read
from deployer.core.rollout import Hold
from deployer.core.state import DeploymentName, Status
from deployer.core.traffic import Strategy
from deployer.verbs import lifecycle

CANARY = {"strategy": "canary", "steps": [20, 50], "pause": "manual"}
WAITED = {"strategy": "canary", "steps": [20, 50], "pause": "1s"}
BLUE_GREEN = {"strategy": "blue_green", "pause": "manual"}
REQUESTS = 60


class TrafficContract:
    """Mix it into the class of a target that has the capability, beside `TargetContract`, whose fixtures it takes."""

    def test_it_says_which_strategies_it_has(self, place: Place, serving: DeploymentName) -> None:
        has = place.target.strategies()  # type: ignore[attr-defined]
        assert Strategy.ALL_AT_ONCE in has
        for strategy in set(Strategy) - set(has):
            refused = place.run(place.command("update", serving, place.second.model, strategy=strategy))
            assert refused.code == "config-invalid"
            assert strategy in refused.error
        serves(place, serving, place.first)

    def test_a_canary_goes_by_its_steps(self, place: Place, serving: DeploymentName) -> None:
        before, shape = present(place, serving).serving, place.shape(serving)
        with place.stream(serving) as stream:
            done(place.run(place.command("update", serving, place.second.model, **CANARY)))
            self.shared(place, serving, before, 20)
            done(place.run(place.command("promote", serving)))
            self.shared(place, serving, before, 50)
            done(place.run(place.command("promote", serving)))
        serves(place, serving, place.second)
        flawless(stream, place.first, place.second)
        assert present(place, serving).record.replaces == before  # type: ignore[union-attr]
        done(place.run(place.command("prune", serving, None, keep=0)))
        assert place.shape(serving) == shape
        assert not done(place.run(place.command("promote", serving))).changed

    def test_a_canary_is_given_up(self, place: Place, serving: DeploymentName) -> None:
        shape = place.shape(serving)
        done(place.run(place.command("update", serving, place.second.model, **CANARY)))
        with place.stream(serving) as stream:
            done(place.run(place.command("abort", serving)))
        serves(place, serving, place.first)
        flawless(stream, place.first, place.second)
        assert place.shape(serving) == shape
        assert not done(place.run(place.command("abort", serving))).changed

    def test_the_same_command_goes_on_with_a_canary(self, place: Place, serving: DeploymentName) -> None:
        before, update = present(place, serving).serving, place.command("update", serving, place.second.model, **CANARY)
        done(place.run(update))
        self.shared(place, serving, before, 20)
        done(place.run(update))
        self.shared(place, serving, before, 50)
        done(place.run(update))
        serves(place, serving, place.second)
        assert not done(place.run(update)).changed

    def test_a_pause_that_was_never_told_comes_first(self, place: Place, serving: DeploymentName) -> None:
        """Killed once the share is there, and before the command ended by its pause."""
        before, update = present(place, serving).serving, place.command("update", serving, place.second.model, **CANARY)
        assert place.killed(update, self._last(place, update)) is None
        done(place.run(update))
        self.shared(place, serving, before, 20)
        promote = place.command("promote", serving)
        assert place.killed(promote, self._last(place, promote)) is None
        done(place.run(promote))
        self.shared(place, serving, before, 50)
        done(place.run(promote))
        serves(place, serving, place.second)

    def test_a_canary_whose_pauses_are_waited_for(self, place: Place, serving: DeploymentName) -> None:
        with place.stream(serving) as stream:
            done(place.run(place.command("update", serving, place.second.model, **WAITED)))
        serves(place, serving, place.second)
        flawless(stream, place.first, place.second)

    def test_blue_green_keeps_the_old_one_until_it_is_promoted(self, place: Place, serving: DeploymentName) -> None:
        before = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model, **BLUE_GREEN)))
        self.shared(place, serving, before, 100)
        assert place.ask(serving) == place.second.answer
        done(place.run(place.command("abort", serving)))
        serves(place, serving, place.first)
        done(place.run(place.command("update", serving, place.second.model, **BLUE_GREEN)))
        done(place.run(place.command("promote", serving)))
        serves(place, serving, place.second)

    def test_a_canary_that_cannot_start_goes_back(self, place: Place, serving: DeploymentName) -> None:
        shape = place.shape(serving)
        failed = place.run(place.command("update", serving, place.broken, **CANARY))
        assert failed.code == "rollout-failed"
        serves(place, serving, place.first)
        assert place.shape(serving) == shape

    def test_a_canary_that_fails_a_check_goes_back(self, place: Place, serving: DeploymentName) -> None:
        shape = place.shape(serving)
        checks = {"error_rate": "10%", "min_requests": 3}
        with place.stream(serving):
            failed = place.run(place.command("update", serving, place.failing, **{**WAITED, "pause": "60s"}, checks=checks))
        assert failed.code == "rollout-failed"
        rate = re.search(r"error_rate is ([0-9.]+)%, and the limit is 10%", failed.why)
        assert rate is not None, failed.why
        assert 10 < float(rate[1]) <= 100  # where requests and failures are counted apart, one may be a little behind the other
        serves(place, serving, place.first)
        assert place.shape(serving) == shape

    def test_a_canary_that_passes_its_checks(self, place: Place, serving: DeploymentName) -> None:
        checks = {"error_rate": "1%", "latency_p99": "50s", "min_requests": 3}
        with place.stream(serving) as stream:
            done(place.run(place.command("update", serving, place.second.model, **WAITED, checks=checks)))
        serves(place, serving, place.second)
        flawless(stream, place.first, place.second)

    def test_another_update_takes_the_place_of_a_canary(self, place: Place, serving: DeploymentName) -> None:
        first = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model, **CANARY)))
        done(place.run(place.command("update", serving, None, **place.generation_option, strategy="all_at_once")))
        serves(place, serving, place.first)
        assert present(place, serving).record.replaces == first  # type: ignore[union-attr]

    def test_a_canary_is_deleted_whole(self, place: Place, serving: DeploymentName) -> None:
        done(place.run(place.command("update", serving, place.second.model, **CANARY)))
        done(place.run(place.command("delete", serving)))
        assert not place.everything_of_ours(serving)

    def test_prune_spares_a_canary(self, place: Place, serving: DeploymentName) -> None:
        before = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model, **CANARY)))
        done(place.run(place.command("prune", serving, None, keep=0)))
        self.shared(place, serving, before, 20)

    @pytest.mark.slow
    def test_a_canary_killed_anywhere_then_run_again_ends_the_same(self, place: Place, serving: DeploymentName) -> None:
        there, back = place.second, place.first
        made = done(place.run(place.command("update", serving, there.model, **{**WAITED, "pause": "0s"}))).steps
        shape = place.shape(serving)
        for step in place.boundaries(made):
            there, back = back, there
            update = place.command("update", serving, there.model, **{**WAITED, "pause": "0s"})
            with place.stream(serving) as stream:
                assert place.killed(update, step) is None
                done(place.run(update), f"killed before step {step}")
            flawless(stream, there, back)
            serves(place, serving, there)
            assert place.shape(serving) == shape, f"killed before step {step}"

    @pytest.mark.slow
    def test_a_canary_killed_anywhere_then_given_up_goes_back(self, place: Place, serving: DeploymentName) -> None:
        shape, update = place.shape(serving), place.command("update", serving, place.second.model, **{**WAITED, "pause": "0s"}, keep=0)
        for step in place.boundaries(steps(place, update), strided=True):
            assert place.killed(update, step) is None
            before = present(place, serving)
            with place.stream(serving) as stream:
                done(place.run(place.command("abort", serving)), f"killed before step {step}")
            flawless(stream, place.first, place.second)
            if before.serving == present(place, serving).serving and place.ask(serving) == place.first.answer:
                serves(place, serving, place.first)
                assert place.shape(serving) == shape, f"killed before step {step}"
            else:  # the last shift was sent: there is nothing to give up any more
                serves(place, serving, place.second)
                done(place.run(place.command("apply", serving, place.first.model, keep=0)))

    def test_who_waits_in_a_canary_is_told_of_a_second_client(self, place: Place, serving: DeploymentName) -> None:
        with place.held_up(place.command("update", serving, place.second.model, **{**WAITED, "pause": "0s"}), self._hold(place, serving)) as slower:
            assert slower.stands
            done(place.run(place.command("abort", serving)))
            assert slower.go_on().code == "conflict"
        serves(place, serving, place.first)

    def shared(self, place: Place, name: DeploymentName, before: str | None, percent: int) -> None:
        """Paused: the generation before, and the second model beside it with so much of the traffic, to the request or nearly."""
        observed = present(place, name)
        assert observed.status is Status.PAUSED, observed
        assert [(share.generation, share.percent) for share in observed.traffic] == [(before, 100 - percent), (observed.candidate, percent)]
        assert observed.serving == before
        listed = {summary.name: summary for summary in place.target.list(place.connect())}[name]
        assert (listed.status, listed.generation) == (Status.PAUSED, before)
        assert observed.candidate
        assert observed.records[observed.candidate].model.digest == place.second.model.digest
        if isinstance(place.target, SupportsHistory):
            told = read(place.target.history(name, place.connect()))[-1]
            assert (told.generation, told.outcome, told.share) == (observed.candidate, "paused", percent)
        cloud = place.connect()
        answers = Counter(place.ask(name, cloud) == place.second.answer for _ in range(REQUESTS))
        assert abs(answers[True] - REQUESTS * place.real_share(percent) // 100) <= REQUESTS // 4, answers

    def _last(self, place: Place, command: UserCommand) -> int:
        """The number of its last step."""
        return len(lifecycle.prospect(place.target, place.connect(), wish(place.target, command)).plan.forward) - 1

    def _hold(self, place: Place, name: DeploymentName) -> int:
        """The number of the step that waits in the middle of a canary."""
        command = place.command("update", name, place.second.model, **WAITED)
        forward = lifecycle.prospect(place.target, place.connect(), wish(place.target, command)).plan.forward
        return next(number for number, step in enumerate(forward) if isinstance(step, Hold))


class WayBackContract:
    """Part of `TargetContract`: what a rollback promises."""

    def test_rollback_needs_no_upload(self, place: Place, serving: DeploymentName) -> None:
        first = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model)))
        second = present(place, serving).serving
        with place.stream(serving) as stream:
            ended = done(place.run(place.command("rollback", serving)))
        serves(place, serving, place.first)
        flawless(stream, place.first, place.second)
        assert ended.sent_bytes == 0
        assert present(place, serving).serving == first
        done(place.run(place.command("rollback", serving)))
        assert present(place, serving).serving == second

    def test_rollback_to_a_generation(self, place: Place, serving: DeploymentName) -> None:
        first = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model, keep=2)))
        done(place.run(place.command("update", serving, None, **place.generation_option, keep=2)))
        done(place.run(place.command("rollback", serving, None, to=first, keep=2)))
        serves(place, serving, place.first)
        assert not done(place.run(place.command("rollback", serving, None, to=first, keep=2))).changed

    def test_rollback_to_what_was_swept_is_refused(self, place: Place, serving: DeploymentName) -> None:
        refused = place.run(place.command("rollback", serving))
        assert refused.code == "deployment-not-found"
        first = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model, keep=0)))
        before = place.everything_of_ours(serving)
        assert place.run(place.command("rollback", serving)).code == "deployment-not-found"
        assert place.run(place.command("rollback", serving, None, to=first)).code == "deployment-not-found"
        assert place.everything_of_ours(serving) == before
        serves(place, serving, place.second)

    def test_rollback_keeps_what_changes_in_place(self, place: Place, serving: DeploymentName) -> None:
        assert place.live_option, "this target has no live option"
        done(place.run(place.command("update", serving, place.second.model, **place.live_option)))
        done(place.run(place.command("rollback", serving)))
        serves(place, serving, place.first)
        record = present(place, serving).record
        assert record is not None
        assert {key: record.options[key] for key in place.live_option} == dict(place.live_option)


class HistoryContract:
    """Part of `TargetContract`: what targets promise that keep a history (`deployer.core.capabilities.SupportsHistory`)."""

    def test_the_history_tells_each_run_and_how_it_ended(self, place: Place, serving: DeploymentName) -> None:
        first = present(place, serving).serving
        done(place.run(place.command("update", serving, place.second.model)))
        second = present(place, serving).serving
        assert place.run(place.command("update", serving, place.broken)).code == "rollout-failed"
        done(place.run(place.command("update", serving, place.second.model)))  # nothing to do: no entry
        assert place.killed(place.command("update", serving, None, **place.generation_option), 1) is None
        done(place.run(place.command("rollback", serving)))
        assert present(place, serving).serving == first
        told = self.entries(place, serving)
        assert [(each.verb, each.outcome) for each in told] == [
            ("create", "done"),
            ("update", "done"),
            ("update", "rollout-failed"),
            ("update", "unknown"),
            ("rollback", "done"),
        ]
        assert [told[0].generation, told[1].generation, told[4].generation] == [first, second, first]
        assert told[1].model == place.second.model.facts.uri
        served = [each.served is not None for each in chapters(told, present(place, serving))]
        assert served == [True, False, False, True, True]

    def test_the_history_goes_with_the_deployment(self, place: Place, serving: DeploymentName) -> None:
        assert len(self.entries(place, serving)) == 1
        done(place.run(place.command("delete", serving)))
        assert not place.everything_of_ours(serving)
        done(place.run(place.command("create", serving, place.first.model)))
        assert len(self.entries(place, serving)) == 1

    def entries(self, place: Place, name: DeploymentName) -> tuple[HistoryEntry, ...]:
        assert isinstance(place.target, SupportsHistory)
        return read(place.target.history(name, place.connect()))
