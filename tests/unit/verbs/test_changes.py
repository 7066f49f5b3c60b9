"""What a plan lists: what will be made, and nothing that is there already."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from deployer.core.compatibility import Fit
from deployer.core.plan import Effect, Plan, Progress, Step
from deployer.core.schema import SchemaChanges
from deployer.core.state import Observed, Resource, Share, Status
from deployer.core.target import DeploymentSpec, Intent
from deployer.verbs.changes import Changes
from deployer.verbs.lifecycle import Prospect
from deployer_targets.local.target import Local
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker import plan as sagemaker_plan
from tests.unit.targets.local import test_plan as local
from tests.unit.targets.sagemaker import builders as sagemaker

PLANS = {"sagemaker": (sagemaker, sagemaker_plan.plan), "local": (local, Local().plan)}


def listed(spec: DeploymentSpec[Any], observed: Observed | None, plan: Plan[Any]) -> list[str]:
    """The steps by sign and words, without names: "+ model data", "~ endpoint"."""
    changes = Changes.of(Prospect(Intent.UPDATE, observed, spec, plan, Fit(), SchemaChanges()), "there")
    assert changes.empty == plan.empty == (not changes.steps)
    return [f"{each.sign} {re.sub(rf' {spec.name}.*| [0-9a-f]{{10}}$', '', each.subject)}" for each in changes.steps]


def of(target: str, spec: DeploymentSpec[Any], observed: Observed | None) -> list[str]:
    return listed(spec, observed, PLANS[target][1](spec, observed))


def test_a_first_deployment_makes_everything() -> None:
    assert of("sagemaker", sagemaker.spec(), None) == ["+ record", "+ model data", "+ model", "+ endpoint config", "+ endpoint"]


def test_another_model_makes_all_but_the_endpoint() -> None:
    steps = of("sagemaker", sagemaker.spec("two"), sagemaker.serving(sagemaker.spec("one")))
    assert steps[:5] == ["+ record", "+ model data", "+ model", "+ endpoint config", "~ endpoint"]


def test_another_instance_type_makes_no_model_and_uploads_none() -> None:
    steps = of("sagemaker", sagemaker.spec(instance_type="ml.c5.large"), sagemaker.serving(sagemaker.spec()))
    assert steps[:3] == ["+ record", "+ endpoint config", "~ endpoint"]
    assert "+ model data" not in steps


def test_another_image_uploads_no_model() -> None:
    steps = of("sagemaker", sagemaker.spec(in_image="newer"), sagemaker.serving(sagemaker.spec()))
    assert steps[:4] == ["+ record", "+ model", "+ endpoint config", "~ endpoint"]


def test_a_generation_that_is_there_is_only_switched_to() -> None:
    first, second = sagemaker.spec("one"), sagemaker.spec("two")
    assert of("sagemaker", first, sagemaker.serving(second, first.record))[:1] == ["~ endpoint"]


def test_what_is_gone_is_made_again() -> None:
    spec = sagemaker.spec()
    observed = sagemaker.serving(spec)
    data = next(each for each in observed.resources if each.kind == names.DATA)
    steps = of("sagemaker", spec, replace(observed, resources=observed.resources - {data}))
    assert "+ model data" in steps
    assert not any(each.startswith("+ endpoint") for each in steps)


def test_counts_and_tags_change_and_nothing_is_made() -> None:
    assert of("sagemaker", sagemaker.spec(instance_count=3), sagemaker.serving(sagemaker.spec())) == ["~ record", "~ 3 instances"]


def test_what_moves_nothing_into_being_has_no_plus() -> None:
    scaling = {"scaling": {"ResourceId": "endpoint/churn/variant/AllTraffic", "target": {}, "policies": [], "actions": []}}
    observed = sagemaker.serving(sagemaker.spec(), view=scaling)
    steps = of("sagemaker", sagemaker.spec(instance_type="ml.c5.large"), observed)
    assert [each for each in steps if "autoscaling" in each and each.startswith("+")] == []
    failed = replace(observed, traffic=(), status=Status.FAILED)
    assert "+ endpoint" in of("sagemaker", sagemaker.spec("two"), failed)


def test_on_this_machine_a_model_that_is_there_is_not_copied_again() -> None:
    first, second = local.spec("first"), local.spec("second")
    options = local.spec("first", env={"A": "b"}, secrets="id")
    assert of("local", second, local.serving(first))[:4] == ["+ record", "+ model data", "+ container", "~ traffic"]
    assert "+ model data" not in of("local", options, local.serving(first))
    back = of("local", first, local.serving(first, second))
    assert not any(each.startswith(("+ record", "+ model data")) for each in back)


@pytest.mark.parametrize("target", PLANS)
def test_nothing_to_do_lists_nothing(target: str) -> None:
    made, plan = PLANS[target]
    observed = made.serving(made.spec())
    assert listed(made.spec(), observed, plan(made.spec(), observed)) == []


def test_a_step_of_a_third_party_that_says_nothing_of_what_it_makes_is_listed() -> None:
    class Something(Step[Any]):
        effect = Effect.CREATE

        def describe(self) -> str:
            return "something"

        def run(self, cloud: Any, progress: Progress) -> bool:
            return True

    spec = sagemaker.spec()
    observed = replace(sagemaker.serving(spec), traffic=(Share("other"),), resources=frozenset({Resource("x", "y")}))
    assert listed(spec, observed, Plan(forward=(Something(),))) == ["+ something"]
