"""The plan of the Kubernetes target: pure, so that every case is one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from deployer.core.plan import Plan
from deployer.core.state import Observed, Resource, Share, Status
from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import names, plan
from deployer_targets.kubernetes.attaching import Attach
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen, View
from deployer_targets.kubernetes.steps import ChangeLive, MakeDeployment, MakeSecret, Point, Scale
from deployer_targets.kubernetes.target import Kubernetes
from deployer_targets.kubernetes.waiting import AwaitPods
from tests.unit.targets.kubernetes.builders import NAME, serving, spec

ONE, TWO = spec("one"), spec("two")


def planned(wanted: DeploymentSpec[KubernetesConfig], observed: Seen | None) -> Plan[Kube]:
    return plan.plan(wanted, observed, Kubernetes())


def kinds(steps: Iterable[object]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_the_service_leads_to_pods_that_are_ready() -> None:
    made = planned(TWO, serving(ONE))
    assert kinds(made.forward) == ["WriteRecord", "PushImage", "MakeDeployment", "Scale", "AwaitPods", "Point"]
    assert kinds(made.back) == ["Clear"]
    assert kinds(made.sweep) == ["Clear"]


def test_the_same_again_is_nothing_to_do() -> None:
    assert planned(ONE, serving(ONE)).empty


def test_where_nothing_was_there_is_nothing_to_sweep() -> None:
    claimed = Observed(NAME, Status.FAILED, resources=names.beside(NAME), view=View())
    assert not planned(ONE, None).sweep
    assert not planned(ONE, claimed).sweep
    assert planned(ONE, replace(claimed, resources=claimed.resources | {names.deployment(NAME, TWO.generation)})).sweep


def test_what_was_seen_is_not_made_again() -> None:
    """Marked by then, so that no older run takes it away; what goes meanwhile, the wait for its pods finds gone."""
    wanted = spec("two", env={"WORD": "one"})
    for observed, there in ((serving(ONE), False), (serving(ONE, wanted, traffic=(Share(ONE.generation),)), True)):
        steps = [step for step in planned(wanted, observed).forward if isinstance(step, (MakeSecret, MakeDeployment))]
        assert [step.there for step in steps] == [there, there]


def test_pods_that_an_interrupted_run_left_are_put_away() -> None:
    observed = serving(ONE, TWO, counts={ONE.generation: 1, TWO.generation: 1})
    assert kinds(planned(TWO, observed).live) == ["Park"]
    assert planned(TWO, serving(ONE, TWO, counts={ONE.generation: 0, TWO.generation: 1})).empty


@pytest.mark.parametrize("owned", [7, 30])
def test_the_new_generation_has_as_many_pods_as_an_autoscaler_gave_the_old(owned: int) -> None:
    made = planned(TWO, serving(ONE, owned=owned))
    scale = next(step for step in made.forward if isinstance(step, Scale))
    wait = next(step for step in made.forward if isinstance(step, AwaitPods))
    assert (scale.count, wait.count) == (owned, owned)
    live = planned(spec("one", tags={"a": "b"}), serving(ONE, owned=owned)).live
    assert [step.scale.count for step in live] == [owned]  # type: ignore[attr-defined]


def test_an_autoscaler_that_comes_or_goes_leaves_the_generation() -> None:
    alone, scaled = spec("one"), spec("one", autoscaling={"min": 2, "max": 9})
    assert alone.generation == scaled.generation
    assert planned(scaled, serving(scaled, counts={ONE.generation: 2})).empty
    comes = planned(scaled, serving(alone))
    assert kinds(comes.live) == ["Attach", "ChangeLive"]
    assert [step.scale for step in comes.live if isinstance(step, ChangeLive)] == [Scale(NAME, ONE.generation, 2, up=True)]
    goes = planned(alone, serving(scaled, counts={ONE.generation: 7}, owned=7))
    assert kinds(goes.live) == ["Clear", "ChangeLive"]  # it would take the pods back
    assert [step.scale.count for step in goes.live if isinstance(step, ChangeLive)] == [1]


@pytest.mark.parametrize(("there", "count"), [(1, 2), (7, 7), (30, 9)])
def test_a_new_generation_has_as_many_pods_as_the_autoscaler_keeps_within_its_bounds(there: int, count: int) -> None:
    scaled = {"autoscaling": {"min": 2, "max": 9}}
    made = planned(spec("two", **scaled), serving(spec("one", **scaled), counts={spec("one", **scaled).generation: there}))
    assert [step.count for step in made.forward if isinstance(step, (Scale, AwaitPods))] == [count, count]
    assert kinds(made.forward)[6] == "Attach"  # once the Service leads there


def test_an_autoscaler_is_still_while_two_share_the_traffic_and_what_it_kept_is_kept() -> None:
    scaled = {"autoscaling": {"max": 9}, "strategy": "canary", "steps": [20], "pause": "manual"}
    one, two = spec("one", **scaled), spec("two", **scaled)
    made = planned(two, serving(one, counts={one.generation: 5}, owned=5))
    steps = [step for step in made.forward if isinstance(step, (Attach, Scale, Point))]
    assert kinds(steps) == ["Attach", "Scale", "Scale", "Point", "Scale", "Scale", "Attach"]
    assert [step.pods for step in steps if isinstance(step, Point)] == [5]
    split = serving(one, two, traffic=(Share(one.generation, 80), Share(two.generation, 20)), counts={one.generation: 4, two.generation: 1}, pods=5)
    on = planned(replace(two, made=True), split)
    assert [(step.generation, step.count) for step in on.forward if isinstance(step, Scale)] == [(two.generation, 5)]
    back = planned(replace(one, made=True), split)
    assert [(step.generation, step.count) for step in back.forward if isinstance(step, Scale)] == [(one.generation, 5)]


ROUTED = {"route": {"parent_refs": [{"name": "public"}]}}


def test_a_route_leads_there_and_is_taken_before_the_service_says_so() -> None:
    one, two = spec("one", **ROUTED), spec("two", **ROUTED)
    made = planned(two, serving(one))
    assert kinds(made.forward)[3:9] == ["Scale", "AwaitPods", "Attach", "Attach", "AwaitRoute", "Point"]
    assert kinds(made.back) == ["Attach", "Clear"]  # which leads back what it may have led on
    (back,) = (step for step in made.back if isinstance(step, Attach))
    assert [each["name"] for each in back.manifest["spec"]["rules"][0]["backendRefs"]] == [f"{NAME}-{one.generation}"]
    assert names.service(NAME) in made.keep
    assert Resource("service", f"{NAME}-{one.generation}") in made.keep  # for a way back by weights alone
    first = planned(one, None)
    assert Resource("httproute", NAME) in first.back[-1].resources  # type: ignore[attr-defined]


def test_a_canary_that_fails_leaves_no_weight_to_it() -> None:
    canary = {**ROUTED, "strategy": "canary", "steps": [50], "pause": "manual"}
    one, two = spec("one", **canary), spec("two", **canary)
    split = serving(one, two, traffic=(Share(one.generation, 50), Share(two.generation, 50)))
    last = [step for step in planned(replace(two, made=True), split).back if isinstance(step, Attach) and step.manifest["kind"] == "HTTPRoute"][-1]
    assert [each["name"] for each in last.manifest["spec"]["rules"][0]["backendRefs"]] == [f"{NAME}-{one.generation}"]


def test_with_a_route_each_generation_has_all_pods_and_requests_are_split() -> None:
    canary = {**ROUTED, "replicas": 3, "strategy": "canary", "steps": [10], "pause": "manual"}
    made = planned(spec("two", **canary), serving(spec("one", replicas=3, **ROUTED)))
    assert {step.count for step in made.forward if isinstance(step, Scale)} == {3}
    (point,) = (step for step in made.forward if isinstance(step, Point))
    assert point.describe() == f"service {NAME}, 10 % to {spec('two', **canary).generation}"


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"replicas": 4}, [(4, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 4)]),
        ({"replicas": 4, "batch": "3"}, [(4, 3), (1, 3), (1, 4)]),
        ({"replicas": 3, "batch": "50%"}, [(3, 2), (1, 2), (1, 3)]),
        ({"replicas": 2, "batch": "5"}, [(2, 2)]),
        ({"replicas": 1}, [(1, 1)]),
    ],
)
def test_pods_roll_by_batches(options: dict[str, Any], counts: list[tuple[int, int]]) -> None:
    one, two = spec("one", replicas=options["replicas"]), spec("two", strategy="rolling", **options)
    there, found = {one.generation: options["replicas"], two.generation: 0}, []
    made = planned(two, serving(one))
    for step in made.forward:
        if isinstance(step, Scale) and not (step.up and there[step.generation] >= step.count) and there[step.generation] != step.count:
            there[step.generation] = step.count
            found.append((there[one.generation], there[two.generation]))
    assert found == counts
    assert made.pauses_at is None
    if len(counts) > 1:
        assert [(step.generation, step.count) for step in made.back if isinstance(step, Scale)] == [(one.generation, options["replicas"])]


def test_a_change_of_replicas_makes_no_generation() -> None:
    made = planned(spec("one", replicas=3), serving(ONE))
    assert not made.forward
    assert kinds(made.live) == ["ChangeLive"]


@pytest.mark.parametrize(
    ("percent", "total", "counts"),
    [
        (20, 5, (4, 1)),
        (50, 5, (2, 3)),
        (10, 1, (1, 1)),
        (99, 3, (1, 2)),
        (1, 100, (99, 1)),
        (50, 2, (1, 1)),
        (33, 3, (2, 1)),
        (0, 4, (4, 4)),
        (100, 4, (4, 4)),
    ],
)
def test_shares_are_given_by_whole_pods(percent: int, total: int, counts: tuple[int, int]) -> None:
    assert tuple(plan.split((Share("a", 100 - percent), Share("b", percent)), total).values()) == counts


def test_a_share_that_whole_pods_cannot_give_is_told_in_the_plan() -> None:
    canary = {"strategy": "canary", "steps": [10], "pause": "manual"}
    told = [step.describe() for step in planned(spec("two", **canary), serving(ONE)).forward if isinstance(step, Point)]
    assert told == [f"service churn, 10 % to {TWO.generation} (1 of 2 pods: 50 % of the connections)"]
    exact = planned(spec("two", replicas=10, **canary), serving(ONE))
    assert [step.describe() for step in exact.forward if isinstance(step, Point)] == [f"service churn, 10 % to {TWO.generation}"]


def test_a_canary_has_its_pods_before_it_has_its_share_and_the_old_ones_give_way_after() -> None:
    made = planned(spec("two", replicas=5, strategy="canary", steps=[20], pause="manual"), serving(spec("one", replicas=5)))
    steps = [step for step in made.forward if isinstance(step, (Scale, AwaitPods, Point))]
    point = next(number for number, step in enumerate(steps) if isinstance(step, Point))
    assert all(step.up for step in steps[:point] if isinstance(step, Scale))
    assert [(step.generation, step.count) for step in steps[point + 1 :] if isinstance(step, Scale)] == [(ONE.generation, 4), (TWO.generation, 1)]


def test_without_room_for_two_the_old_pods_end_first_and_come_back_where_the_new_ones_cannot_serve() -> None:
    made = planned(spec("two", allow_gap=True, replicas=2), serving(spec("one", replicas=2)))
    assert [(step.generation, step.count) for step in made.forward if isinstance(step, Scale)] == [(ONE.generation, 0), (TWO.generation, 2)]
    assert kinds(made.back) == ["Clear", "Scale", "AwaitPods"]
    assert [(step.generation, step.count) for step in made.back if isinstance(step, (Scale, AwaitPods))] == [(ONE.generation, 2)] * 2
    assert kinds(planned(spec("one", allow_gap=True), None).back) == ["Clear"]


def test_what_serves_has_its_pods_again_where_a_run_with_a_gap_was_killed() -> None:
    gap = serving(ONE, counts={ONE.generation: 0})
    assert kinds(planned(ONE, gap).live) == ["ChangeLive"]
    made = planned(spec("two", allow_gap=True), serving(ONE, TWO, traffic=(Share(ONE.generation),), counts={ONE.generation: 0, TWO.generation: 0}))
    assert [(step.generation, step.count) for step in made.back if isinstance(step, Scale)] == [(ONE.generation, 1)]
    assert planned(ONE, serving(ONE, owned=1)).empty


def test_a_rollback_makes_nothing() -> None:
    observed = serving(ONE, TWO, counts={ONE.generation: 0, TWO.generation: 1})
    back = replace(ONE, made=True)
    assert not {"PushImage", "MakeDeployment"} & set(kinds(planned(back, observed).forward))


def test_a_delete_takes_the_pointer_first_and_leaves_nothing() -> None:
    made = plan.plan_delete(NAME, serving(ONE, TWO))
    assert kinds(made.forward) == ["DeleteService", "Clear"]
    assert names.service(NAME) in made.removes
