"""The plan of the Kubernetes target: pure, so that every case is one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from deployer.core.plan import Plan
from deployer.core.state import Share
from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import names, plan
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen
from deployer_targets.kubernetes.steps import Point, Scale
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
    assert kinds(made.forward) == [
        *("WriteRecord", "PushModel", "MakeDeployment"),
        *("Scale", "AwaitPods", "Point"),
        *("WriteRecord", "PushModel", "MakeDeployment"),
    ]
    assert kinds(made.back) == ["Clear"]
    assert kinds(made.sweep) == ["Clear"]


def test_the_same_again_is_nothing_to_do() -> None:
    assert planned(ONE, serving(ONE)).empty


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
    assert not {"PushModel", "MakeDeployment"} & set(kinds(planned(back, observed).forward))


def test_a_delete_takes_the_pointer_first_and_leaves_nothing() -> None:
    made = plan.plan_delete(NAME, serving(ONE, TWO))
    assert kinds(made.forward) == ["DeleteService", "Clear"]
    assert names.service(NAME) in made.removes
