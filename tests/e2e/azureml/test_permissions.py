"""The roles of docs/azureml on the local Azure, which allows what they have and no more; and what doctor says where one has less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.core.state import DeploymentName
from deployer.core.target import Verdict
from deployer_targets.azureml import actions, doctor
from tests.azureml import AzureHere, AzureMlPlace

ROLES = Path(__file__).parents[3] / "docs" / "azureml"
NAME = DeploymentName("churn")


def role(compute: str) -> list[str]:
    return list(json.loads((ROLES / f"role-{compute}.json").read_text())["Actions"])


@pytest.mark.parametrize("compute", ["managed", "aks", "aci"])
def test_a_role_has_what_doctor_looks_for_and_no_more(compute: str) -> None:
    assert sorted(role(compute)) == sorted(actions.needed(compute))


@pytest.mark.parametrize("compute", ["managed", "aks"])
def test_a_role_is_enough(here: AzureHere, compute: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = AzureMlPlace(here, tmp_path_factory.mktemp("models"))
    options = {"compute": "aks", "compute_target": "aks"} if compute == "aks" else {}
    with here.settings(azure_actions=",".join(role(compute))):
        found = {each.subject: each for each in doctor.findings(here.connect(**options))}["permissions"]
        assert found.verdict is Verdict.OK, found.detail
        for step in (place.command("create", NAME, place.first.model, **options), place.command("update", NAME, None, env={"A": "b"})):
            done = place.run(step)
            assert done.done, done.error
        cloud = here.connect(**options)
        assert list(here.target.list(cloud)) and list(here.target.logs(NAME, cloud, follow=False, tail=5)) is not None
        gone = place.run(place.command("delete", NAME))
        assert gone.done, gone.error
    assert here.everything_of(NAME) == ()


def test_what_is_lacking_is_named_with_the_verbs_that_need_it(here: AzureHere, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = AzureMlPlace(here, tmp_path_factory.mktemp("models"))
    without = [each for each in role("managed") if not each.endswith("deployments/write")]
    with here.settings(azure_actions=",".join(without)):
        found = {each.subject: each for each in doctor.findings(here.connect())}["permissions"]
        failed = place.run(place.command("create", NAME, place.first.model))
    lacked = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments/write"
    assert (found.verdict, found.detail) == (Verdict.WRONG, f"you lack {lacked} (create and update)")
    assert not failed.done and "is not allowed" in failed.error
    assert here.everything_of(NAME) == ()


def test_a_permission_takes_back_its_own_actions_alone() -> None:
    first = {"actions": ["*"], "notActions": ["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/*"]}
    second = {"actions": ["microsoft.machinelearningservices/workspaces/onlineendpoints/read"]}
    wanted = [f"Microsoft.MachineLearningServices/workspaces/{each}" for each in ("read", "onlineEndpoints/read", "onlineEndpoints/write")]
    assert actions.lacking(wanted, [first]) == wanted[1:]
    assert actions.lacking(wanted, [first, second]) == wanted[2:]
