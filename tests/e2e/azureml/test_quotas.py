"""Quotas of a region, on the local Azure, which refuses in Azure's own words: what the target makes of them, and what doctor says before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deployer_localstack as localstack
from deployer.client import DeployClient
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import QuotaExceeded
from deployer_targets.azureml import doctor, quotas
from tests.azureml import AzureHere
from tests.e2e.localstack.azure import sdk
from tests.local_clouds import model_in

NAME = "churn"
ROWS = {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    model_in(directory / "doubler", 2)
    model_in(directory / "tripler", 3)
    return directory


def diagnosed(here: AzureHere, subject: str, **options: object) -> Diagnosis:
    return {each.subject: each for each in doctor.findings(here.connect(**options))}[subject]


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"azure_most_endpoints": 0}, ("Endpoint Quota reached for subscription", "deploy list-endpoints")),
        ({"azure_most_deployments": 0}, ("Deployment Quota reached for subscription", "deploy list")),
        ({"azure_family_vcpus": 6}, ("Not enough quota available for Standard_DS3_v2", "deploy doctor says what is free")),
    ],
)
def test_a_create_beyond_the_quota_is_told_in_a_sentence_and_leaves_nothing(
    here: AzureHere, client: DeployClient, models: Path, limit: dict[str, int], says: tuple[str, str]
) -> None:
    with here.settings(**limit), pytest.raises(QuotaExceeded, match="the quota doesn't allow it") as failed:
        client.create_deployment(NAME, str(models / "doubler"), packages="image")
    assert says[0] in failed.value.why and says[1] in failed.value.advice
    assert "{" not in failed.value.why and "aka.ms" not in failed.value.why
    assert here.everything_of(NAME) == ()


def test_an_update_that_has_no_room_beside_goes_in_place(here: AzureHere, client: DeployClient, models: Path) -> None:
    with here.settings(azure_family_vcpus=8):
        client.create_deployment(NAME, str(models / "doubler"), packages="image")
        try:
            with pytest.raises(QuotaExceeded) as refused:
                client.update_deployment(NAME, str(models / "tripler"))
            assert "Current usage/limit: 8/8. Additional needed: 8" in refused.value.why and "in_place" in refused.value.advice
            assert diagnosed(here, "quota").verdict is Verdict.WRONG
            assert client.predict(NAME, ROWS) == [2.0, 4.0]
            client.update_deployment(NAME, str(models / "tripler"), config={"in_place": True})
            assert client.predict(NAME, ROWS) == [3.0, 6.0]
        finally:
            client.delete_deployment(NAME)


@pytest.mark.parametrize(
    ("vcpus", "options", "verdict", "says"),
    [
        (6, {}, Verdict.WRONG, "6 vCPUs are free of Standard DSv2 Family Cluster Dedicated vCPUs; 1 Standard_DS3_v2 hold 8"),
        (8, {}, Verdict.WARNING, "room for one generation, none beside it"),
        (16, {}, Verdict.OK, "an update as many more"),
        (47, {"instance_count": 10}, Verdict.WRONG, "10 Standard_DS3_v2 hold 48"),
        (48, {"instance_type": "Standard_NC24ads_A100_v4"}, Verdict.OK, "1 Standard_NC24ads_A100_v4 hold 24"),
        (48, {"instance_type": "Standard_Unheard_v9"}, Verdict.WARNING, "names no size Standard_Unheard_v9 in eastus"),
    ],
)
def test_doctor_says_whether_both_generations_fit(here: AzureHere, vcpus: int, options: dict[str, object], verdict: Verdict, says: str) -> None:
    with here.settings(azure_family_vcpus=vcpus):
        found = diagnosed(here, "quota", **options)
    assert (found.verdict, says in found.detail) == (verdict, True), found


def test_doctor_counts_endpoints_and_deployments(here: AzureHere, client: DeployClient, models: Path) -> None:
    client.create_deployment(NAME, str(models / "doubler"), packages="image")
    try:
        found = diagnosed(here, "endpoints")
    finally:
        client.delete_deployment(NAME)
    told = "1 of 100 that a region usually allows are in this workspace, 1 of them ours; 1 of 500 deployments"
    assert (found.verdict, found.detail) == (Verdict.OK, told)


def test_what_the_local_azure_tells_is_as_the_sdk_has_it(here: AzureHere) -> None:
    with here.settings(azure_private_endpoints="Approved,Pending", azure_isolation_mode="AllowInternetOutbound"):
        told = [("Workspace", here.arm("GET", ""))]
    region = "/subscriptions/00000000-0000-4000-8000-00000000000c/providers/Microsoft.MachineLearningServices/locations/eastus"
    for kind, what in (("Usage", "usages"), ("VirtualMachineSize", "vmSizes")):
        headers = {"Authorization": f"Bearer {here.token(here.manager)}"}
        listed = here.session.get(f"{here.manager}{region}/{what}", params={"api-version": "2024-04-01"}, headers=headers).json()["value"]
        assert listed
        told += [(kind, each) for each in listed]
    assert sdk.run("strict", localstack.status(here.directory), given=json.dumps(told)) == []


def test_a_family_is_known_however_it_is_written() -> None:
    """As Azure's examples, its list of sizes and its portal have them; shares of a workspace and what is without limit aren't the quota."""
    size = quotas.InstanceSize("Standard_NC4as_T4_v3", "standard NCASv3_T4 Family", 4, None)
    rows = [
        ("vmFamily/usages", "Standard NCASv3_T4 Family Cluster Dedicated vCPUs", 4, 24),
        ("vmFamily/usages", "Standard NCASv3_T4 Family Cluster LowPriority vCPUs", 0, 6),
        ("workspaces/usages", "Standard NCASv3_T4 Family Cluster Dedicated vCPUs", 4, 5),
        ("vmFamily/usages", "Standard DSv2 Family Cluster Dedicated vCPUs", 1, 2),
        ("dedicatedCores/usages", "Total Cluster Dedicated Regional vCPUs", 5, 35),
    ]
    told = [
        {"type": f"Microsoft.MachineLearningServices/{kind}", "name": {"value": name}, "currentValue": now, "limit": limit}
        for kind, name, now, limit in rows
    ]
    assert quotas.free(size, told) == (20, "Standard NCASv3_T4 Family Cluster Dedicated vCPUs")
    assert quotas.free(size, [*told, {**told[-1], "limit": 8}]) == (3, "Total Cluster Dedicated Regional vCPUs")
    assert quotas.free(size, [{**told[0], "limit": -1}]) is None
