"""The plan of the local target: pure, so that every case is one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deployer.core.plan import Plan
from deployer.core.state import DeploymentName, Image, ModelFacts, Observed, PackagedModel, Record, Resource, Share, Status, digest_of, short
from deployer.core.target import DeploymentRequest, DeploymentSpec, Intent, record_of
from deployer_targets.local import names, plan, steps
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.target import Local

NAME = DeploymentName("churn")


def spec(model: str = "first", secrets: str = "", **options: Any) -> DeploymentSpec[LocalConfig]:
    config = LocalConfig.parse({"runtime": "process", **options}, target="local")
    wanted = PackagedModel(ModelFacts(uri=model, digest=digest_of(model)), Path("/models") / model)
    image = Image("process/deployer-scoring:1-py311", digest_of("image"), stand_in=True)
    record = record_of(DeploymentRequest(NAME, Intent.APPLY, wanted, config), image, config, [names.model(wanted.digest)], secrets=secrets)
    return DeploymentSpec(record, config, image, wanted.path)


def serving(*specs: DeploymentSpec[LocalConfig], status: Status = Status.READY, more: tuple[Resource, ...] = ()) -> Observed:
    """What is there after these were deployed, one after the other."""
    records: dict[str, Record] = {}
    before = None
    for each in specs:
        records[each.generation] = each.record.replacing(before)
        before = each.generation
    assert before is not None
    memory = {resource for each in specs for resource in (names.record(each.generation), names.model(each.model.digest))}
    resources = frozenset({names.supervisor(NAME), names.container(before), *memory, *more})
    return Observed(NAME, status, (Share(before),), records=records, resources=resources, url="http://127.0.0.1:1")


def planned(wanted: DeploymentSpec[LocalConfig], observed: Observed | None) -> Plan[LocalCloud]:
    return plan.plan(wanted, observed, Local())


def kinds(steps: tuple[object, ...]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_a_first_deployment_takes_the_port_before_anything_costs_time() -> None:
    made = planned(spec(), None)
    assert kinds(made.forward) == ["WriteRecord", "OpenPort", "CopyModel", "StartContainer", "AwaitReady", "Switch"]
    assert kinds(made.back) == ["Stop"]
    assert made.live == ()


def test_the_same_again_is_nothing_to_do() -> None:
    assert planned(spec(), serving(spec())).empty


def test_an_update_keeps_the_port_and_one_generation_for_a_way_back() -> None:
    first, second, third = spec("first"), spec("second"), spec("third")
    made = planned(third, serving(first, second))
    assert "OpenPort" not in kinds(made.forward)
    assert names.record(second.generation) in made.keep
    assert names.model(second.model.digest) in made.keep
    assert made.removes == {names.record(first.generation), names.model(first.model.digest), names.container(second.generation)}


def test_keep_says_how_many_stay_and_archive_keeps_all() -> None:
    first, second = spec("first"), spec("second")
    none = planned(spec("third", keep=0), serving(first, second))
    everything = planned(spec("third", archive=True), serving(first, second))
    assert {each.kind for each in none.keep} == {"supervisor", "record", "model", "container"}
    assert len(none.keep) == 4
    assert everything.removes == {names.container(second.generation)}


def test_going_back_keeps_the_generation_left_behind() -> None:
    first, second = spec("first"), spec("second")
    made = planned(first, serving(first, second))
    assert {each.name for each in made.keep if each.kind == "record"} == {first.generation, second.generation}


def test_a_failure_goes_back_to_what_was_kept_before_and_its_container() -> None:
    first, second = spec("first"), spec("second")
    (back,) = planned(spec("third"), serving(first, second)).back
    assert isinstance(back, steps.Sweep)
    assert names.container(second.generation) in back.keep
    assert {each.name for each in back.keep if each.kind == "record"} == {first.generation, second.generation}


def test_a_failed_leftover_is_swept_and_nobodys_predecessor() -> None:
    first, left = spec("first"), spec("left over")
    there = serving(first, more=(names.record(left.generation), names.container(left.generation)))
    there = replace(there, records={**there.records, left.generation: left.record.replacing(first.generation)})
    made = planned(first, there)
    assert kinds(made.sweep) == ["Sweep"]
    assert not made.forward
    assert made.removes == {names.record(left.generation), names.container(left.generation)}


def test_an_unfinished_copy_is_swept() -> None:
    unfinished = Resource("unfinished", "0123456789.run")
    assert planned(spec(), serving(spec(), more=(unfinished,))).removes == {unfinished}


def test_a_live_option_starts_nothing() -> None:
    made = planned(spec(max_restarts=9), serving(spec()))
    assert (made.forward, kinds(made.live), made.sweep) == ((), ["ChangeOptions"], ())


def test_a_port_moves_in_place_and_the_record_says_so_last() -> None:
    made = planned(spec(port=8000), serving(spec()))
    assert kinds(made.live) == ["OpenPort", "ChangeOptions"]
    assert made.forward == ()


def test_a_rollout_with_another_port_records_the_port_that_is_open_until_it_moved() -> None:
    made = planned(spec("second", port=8000), serving(spec("first", port=7000)))
    (written,) = [step for step in made.forward if isinstance(step, steps.WriteRecord)]
    (changed,) = [step for step in made.live if isinstance(step, steps.ChangeOptions)]
    assert (written.record.options["port"], changed.record.options["port"]) == (7000, 8000)
    assert changed.record.replaces == spec("first").generation


def test_a_generation_that_failed_since_is_started_again() -> None:
    made = planned(spec(), serving(spec(), status=Status.FAILED))
    assert kinds(made.forward) == ["WriteRecord", "CopyModel", "StartContainer", "AwaitReady", "Switch"]


def test_who_does_not_wait_leaves_the_switch_to_the_supervisor_and_the_sweep_to_the_next_run() -> None:
    made = planned(spec(synchronous=False), None)
    assert kinds(made.forward)[-2:] == ["StartContainer", "SwitchWhenReady"]
    assert made.sweep == ()


def test_secrets_are_in_no_printed_form_of_a_plan() -> None:
    made = planned(spec(env={"TOKEN": "hunter2"}, secrets="id"), None)
    assert "hunter2" not in repr(made)
    assert not any("hunter2" in step.describe() for step in made.forward)


def test_delete_is_one_step_and_prune_sweeps_what_is_past_keep() -> None:
    first, second = spec("first"), spec("second")
    there = serving(first, second)
    assert kinds(plan.plan_delete(NAME, there).forward) == ["Stop"]
    assert plan.plan_prune(NAME, there, spec().config).empty
    pruned: Plan[LocalCloud] = plan.plan_prune(NAME, there, spec(keep=0).config)
    assert pruned.removes == {names.record(first.generation), names.model(first.model.digest)}
    assert names.container(second.generation) in pruned.keep


def test_the_container_is_what_every_platform_runs() -> None:
    made = plan.container(spec(env={"A": "1"}))
    (mount,) = made.mounts
    assert (made.command, made.port, made.health) == (("serve",), 8080, "/ping")
    assert (mount.source, mount.target, mount.read_only) == (Path("/models/first"), "/opt/ml/model", True)
    assert made.environment["A"] == "1"


def test_resources_are_named_by_what_they_are_made_of() -> None:
    one, other = spec("first"), spec("first", env={"A": "1"}, secrets="id")
    assert names.model(one.model.digest).name == short(one.model.digest)
    assert one.generation != other.generation
    assert names.model(one.model.digest) == names.model(other.model.digest)


CANARY: dict[str, Any] = {"strategy": "canary", "steps": [10, 50]}


def shared(percent: int, **options: Any) -> Observed:
    """The first serves, and the second has a part of the traffic."""
    first, second = spec("first", **options), spec("second", **options)
    alone = serving(first)
    return replace(
        alone,
        status=Status.PAUSED,
        traffic=(Share(first.generation, 100 - percent), Share(second.generation, percent)),
        records={**alone.records, second.generation: second.record.replacing(first.generation)},
        resources=alone.resources | {names.record(second.generation), names.model(second.model.digest), names.container(second.generation)},
    )


def shifts(made: Plan[LocalCloud]) -> list[list[int]]:
    return [[share.percent for share in step.to] for step in made.forward if isinstance(step, steps.Switch)]


def test_a_canary_goes_by_its_steps_and_sweeps_in_the_end() -> None:
    made = planned(spec("second", **CANARY), serving(spec("first")))
    assert kinds(made.forward)[:4] == ["WriteRecord", "CopyModel", "StartContainer", "AwaitReady"]
    assert shifts(made) == [[90, 10], [50, 50], [100]]
    assert kinds(made.sweep) == ["Sweep"]


def test_a_canary_that_is_paused_by_hand_ends_at_its_first_step_and_removes_nothing() -> None:
    made = planned(spec("second", pause="manual", port=9000, **CANARY), serving(spec("first", port=8000)))
    assert shifts(made) == [[90, 10]]
    assert (made.sweep, made.removes, made.live) == ((), frozenset(), ())


def test_a_port_that_was_asked_for_with_a_paused_canary_is_taken_when_it_is_promoted_to_the_end() -> None:
    paused = planned(spec("second", pause="manual", port=9000, **CANARY), serving(spec("first", port=8000)))
    (written,) = [step for step in paused.forward if isinstance(step, steps.WriteRecord)]
    there = shared(50, port=8000)
    there = replace(there, records={**there.records, written.record.generation: written.record})
    promoted = planned(replace(spec("second", pause="manual", port=9000, **CANARY), made=True), there)
    assert shifts(promoted) == [[100]]
    assert kinds(promoted.live) == ["OpenPort", "ChangeOptions"]


def test_a_canary_goes_on_from_the_share_that_it_has() -> None:
    assert shifts(planned(spec("second", **CANARY), shared(10))) == [[50, 50], [100]]
    assert shifts(planned(spec("second", **CANARY), shared(50))) == [[100]]


def test_a_canary_that_fails_gives_its_share_back_and_goes_alone() -> None:
    for there in (serving(spec("first")), shared(10)):
        switch, sweep = planned(spec("second", **CANARY), there).back
        assert isinstance(switch, steps.Switch)
        assert isinstance(sweep, steps.Sweep)
        assert (switch.back, [share.percent for share in switch.to]) == (True, [100])
        assert {each.name for each in sweep.keep if each.kind in {"container", "record"}} == {spec("first").generation}


def test_giving_a_canary_up_takes_its_share_and_sweeps_it() -> None:
    second = spec("second")
    made = planned(replace(spec("first"), made=True), shared(10))
    assert shifts(made) == [[100]]
    assert {names.container(second.generation), names.record(second.generation)} <= made.removes


def test_another_update_takes_the_place_of_a_canary() -> None:
    made = planned(spec("third"), shared(10))
    assert shifts(made) == [[100]]
    (switch,) = [step for step in made.forward if isinstance(step, steps.Switch)]
    assert [share.generation for share in switch.expecting] == [spec("first").generation, spec("second").generation]
    assert names.container(spec("second").generation) in made.removes


def test_who_does_not_wait_for_a_canary_leaves_its_first_step_to_the_supervisor() -> None:
    made = planned(spec("second", synchronous=False, **CANARY), serving(spec("first")))
    (step,) = [step for step in made.forward if isinstance(step, steps.SwitchWhenReady)]
    assert [share.percent for share in step.to] == [90, 10]
    assert made.sweep == ()
