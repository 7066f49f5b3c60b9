"""What doctor says of a workspace's network, of its registry's roles and of identities, on the local Azure, which answers as its settings say."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import deployer
from deployer.client import DeployClient
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ConfigInvalid, RolloutFailed
from deployer_targets.azureml import doctor, network
from tests.azureml import PULLER, AzureHere
from tests.local_clouds import model_in

NAME = "churn"
HOST = "00000000-0000-4000-8000-00000000000d.workspace.eastus.api.azureml.localhost"
ABAC = {"azure_registry_mode": "AbacRepositoryPermissions"}
READER = "Container Registry Repository Reader"


@pytest.fixture
def client(here: AzureHere, tmp_path: Path) -> DeployClient:
    model_in(tmp_path / "doubler", 2)
    return deployer.get_deploy_client("azureml", {"timeout_seconds": 60})


@pytest.fixture
def deployed(client: DeployClient, tmp_path: Path) -> Iterator[str]:
    client.create_deployment(NAME, str(tmp_path / "doubler"), packages="image")
    yield NAME
    client.delete_deployment(NAME)


def found(here: AzureHere, **options: Any) -> dict[str, Diagnosis]:
    return {each.subject: each for each in doctor.findings(here.connect(**options))}


def test_all_is_well_where_it_is(here: AzureHere, deployed: str) -> None:
    told = found(here)
    assert {each.verdict for each in told.values()} == {Verdict.OK}, told
    assert told["network"].detail == "no managed network"
    assert told["registry roles"].detail == "deployerlocal goes by registry: AcrPull pulls, AcrPush pushes"
    assert told["identities"].detail == "endpoint churn: AcrPull on deployerlocal and Storage Blob Data Reader on deployerlocal, or more"
    assert told["scoring URI"].detail == "1 tried, all answer"


def test_without_an_endpoint_nothing_is_tried(here: AzureHere) -> None:
    told = found(here)
    assert told["scoring URI"].detail == "no endpoint yet whose URI could be tried"
    assert "system-assigned identity" in told["identities"].detail
    assert "docker has" in found(here, compute="aci")["identities"].detail


@pytest.mark.parametrize(
    ("settings", "verdict", "says"),
    [
        ({"azure_isolation_mode": "AllowOnlyApprovedOutbound"}, Verdict.OK, "a managed network, whose containers reach approved addresses alone"),
        ({"azure_private_endpoints": "Approved,Pending"}, Verdict.WARNING, "private endpoints: 1 Approved, 1 Pending"),
        ({"azure_public_network_access": "Disabled"}, Verdict.WRONG, "no public access, no approved private endpoint"),
        (
            {"azure_public_network_access": "Disabled", "azure_private_endpoints": "Approved"},
            Verdict.WRONG,
            f"this machine knows no address of {HOST}",
        ),
    ],
)
def test_network(here: AzureHere, settings: Mapping[str, str], verdict: Verdict, says: str) -> None:
    with here.settings(**settings):
        told = found(here)["network"]
    assert (told.verdict, says in told.detail) == (verdict, True), told


@pytest.mark.parametrize(
    ("known", "verdict", "says"), [(["10.0.0.4"], Verdict.OK, "a private address"), (["10.0.0.4", "20.42.0.1"], Verdict.WRONG, "a public address")]
)
def test_a_private_workspace_is_looked_for_by_its_own_host(here: AzureHere, known: list[str], verdict: Verdict, says: str) -> None:
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return known

    with here.settings(azure_public_network_access="Disabled", azure_private_endpoints="Approved"):
        told = network.finding(here.connect(), lookup)
    assert asked == [HOST]
    diagnosis = told if isinstance(told, Diagnosis) else Diagnosis("network", Verdict.OK, told)
    assert (diagnosis.verdict, says in diagnosis.detail) == (verdict, True), diagnosis
    assert verdict is Verdict.OK or "privatelink.api.azureml.localhost" in diagnosis.advice


def test_a_managed_network_says_what_containers_reach(here: AzureHere, client: DeployClient, tmp_path: Path) -> None:
    option = {"egress_public_network_access": "disabled"}
    with here.settings(azure_isolation_mode="AllowInternetOutbound"):
        assert found(here, **option)["network"].verdict is Verdict.WRONG
        with pytest.raises(ConfigInvalid, match="for workspaces without a managed network"):
            client.create_deployment(NAME, str(tmp_path / "doubler"), packages="image", config=option)
    assert here.everything_of(NAME) == ()


def test_what_does_not_answer_is_told_with_its_address(here: AzureHere, deployed: str) -> None:
    """A scoring URI where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"https://localhost:{nobody.getsockname()[1]}/invocations"
        cloud = here.connect()
        cloud.connection.seam.deadline_seconds = 1.0
        told = network.scoring(cloud, [{"name": NAME, "properties": {"scoringUri": uri}}])
    assert isinstance(told, Diagnosis) and told.verdict is Verdict.WRONG
    assert "does not answer" in told.detail and "localhost is" in told.detail and "a private address" in told.detail
    assert "privatelink.api.azureml.ms" in told.advice


def test_a_role_that_an_identity_lacks_is_named_with_the_command_that_gives_it(here: AzureHere, deployed: str) -> None:
    with here.settings(**ABAC):
        told = found(here)
        assert "AcrPull and AcrPush do nothing" in told["registry roles"].detail
        assert (told["identities"].verdict, told["identities"].detail) == (Verdict.WRONG, f"endpoint churn has no {READER} on deployerlocal")
        assert f'--role "{READER}" --scope /subscriptions/' in told["identities"].advice
        assigned = {"type": "user_assigned", "user_assigned_identities": [{"resource_id": PULLER}]}
        assert "identity puller has no" in found(here, identity=assigned)["identities"].detail
        assert "identity puller has no" in found(here, compute="aci", pull_identity=PULLER)["identities"].detail
        with here.settings(azure_identity_roles=READER):
            assert found(here)["identities"].detail == "endpoint churn has no Storage Blob Data Reader on deployerlocal"


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"azure_identity_roles": "AcrPull"}, "Unable to download user model"), (ABAC, "Unable to download user container image")],
)
def test_an_identity_without_the_role_fails_the_deployment(
    here: AzureHere, client: DeployClient, tmp_path: Path, settings: Mapping[str, str], says: str
) -> None:
    with here.settings(**settings), pytest.raises(RolloutFailed) as failed:
        client.create_deployment(NAME, str(tmp_path / "doubler"), packages="image")
    assert says in failed.value.why and "which role" in failed.value.advice
    assert here.everything_of(NAME) == ()
