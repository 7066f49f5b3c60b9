"""`compute: aks` on the local Azure: what the cluster lacks is said before anything is made, and what is sent is as Azure ML's SDK has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import deployer
import deployer_localstack as localstack
from deployer.core.state import DeploymentName
from deployer.core.target import Verdict
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import cluster, doctor, listing
from tests.azureml import AzureHere, AzureMlPlace
from tests.e2e.localstack.azure import sdk
from tests.local_clouds import model_in

SIZES = {"small": {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, "gpu": {"resources": {"limits": {"cpu": "4", "nvidia.com/gpu": 1}}}}
MODELS = {
    "OnlineEndpoints_CreateOrUpdate": "OnlineEndpoint",
    "OnlineDeployments_CreateOrUpdate": "OnlineDeployment",
    "ModelVersions_CreateOrUpdate": "ModelVersion",
    "EnvironmentVersions_CreateOrUpdate": "EnvironmentVersion",
}
NAME = DeploymentName("churn")


@pytest.fixture(scope="module")
def here(here: AzureHere) -> AzureHere:
    place = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/large"
    body = {"computeType": "Kubernetes", "resourceId": place, "properties": {"namespace": "scoring", "instanceTypes": SIZES}}
    here.arm("PUT", "computes/large", {"location": "eastus", "properties": body})
    return here


def resources(cores: str, **limits: Any) -> dict[str, Any]:
    return {"requests": {"cpu": cores, "memory": "500Mi"}, **({"limits": limits} if limits else {})}


@pytest.mark.parametrize(
    ("options", "says", "advises"),
    [
        ({"compute_target": "gone"}, "compute_target gone is not a cluster that is attached", "attached are aks, large"),
        ({"compute_target": "aks", "instance_type": "small"}, "small is not one of compute_target aks", "defaultinstancetype"),
        ({"compute_target": "large", "instance_type": "small", "resources": resources("2")}, "resources.requests.cpu is 2", "larger instance_type"),
        ({"compute_target": "aks", "resources": resources("100m", cpu="3")}, "resources.limits.cpu is 3", "larger instance_type"),
        (
            {"compute_target": "large", "instance_type": "gpu", "resources": resources("1", cpu="1", memory="1Gi", gpu=2)},
            "resources.limits.gpu is 2, more than instance type gpu of large allows: 1",
            "larger instance_type",
        ),
    ],
)
def test_what_the_cluster_lacks_is_said_in_words(here: AzureHere, options: dict[str, Any], says: str, advises: str) -> None:
    cloud = here.connect(compute="aks", **options)
    with pytest.raises(ConfigInvalid) as refused:
        cluster.refuse_what_it_lacks(cloud.config, cloud)
    assert says in refused.value.message
    assert advises in refused.value.advice


def test_names_that_are_too_long_together_are_refused(here: AzureHere, tmp_path: Path) -> None:
    client = deployer.get_deploy_client("azureml")
    model_in(tmp_path, 2)
    with pytest.raises(ConfigInvalid, match="have 63 characters together: at most 62"):
        client.plan("b" * 31, str(tmp_path), endpoint="e" * 32, packages="image", config={"compute": "aks", "compute_target": "aks"})


def test_what_the_cluster_has_is_taken(here: AzureHere) -> None:
    for options in ({"compute_target": "aks"}, {"compute_target": "large", "instance_type": "gpu", "resources": resources("1")}):
        cloud = here.connect(compute="aks", **options)
        cluster.refuse_what_it_lacks(cloud.config, cloud)


def test_doctor_looks_at_the_cluster(here: AzureHere) -> None:
    found = {each.subject: each for each in doctor.findings(here.connect(compute="aks", compute_target="large"))}["compute"]
    assert (found.verdict, found.detail) == (Verdict.OK, "large is attached, namespace scoring, instance types defaultinstancetype, small, gpu")
    gone = {each.subject: each for each in doctor.findings(here.connect(compute="aks", compute_target="gone"))}["compute"]
    assert (gone.verdict, gone.advice) == (Verdict.WRONG, "attached are aks, large; az ml compute attach --type Kubernetes adds one")
    assert "compute" not in {each.subject for each in doctor.findings(here.connect())}


def test_what_is_sent_is_as_the_sdk_has_it_and_how_many_there_are_changes_in_place(here: AzureHere, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = AzureMlPlace(here, tmp_path_factory.mktemp("models"))
    scaling = {"type": "target_utilization", "max_instances": 3}
    options = {
        "compute": "aks",
        "compute_target": "large",
        "instance_type": "small",
        "resources": resources("500m", cpu="1"),
        "scale_settings": scaling,
    }
    assert place.run(place.command("create", NAME, place.first.model, **options)).done
    assert place.run(place.command("update", NAME, None, scale_settings={**scaling, "max_instances": 5})).done
    [summary] = listing.summaries(here.connect())
    assert summary.columns["INSTANCES"] == "1-5 small on large"
    [deployment] = here.all(f"onlineEndpoints/{NAME}/deployments")
    assert deployment["properties"]["scaleSettings"]["maxInstances"] == 5
    other = place.run(place.command("update", NAME, None, compute_target="aks"))
    assert "compute_target" in other.error

    sent = [(MODELS[each["operation"]], each["parameters"]["document"]) for each in here.control.journal() if each["operation"] in MODELS]
    assert {kind for kind, _ in sent} == {*MODELS.values()}
    assert sdk.run("strict", localstack.status(here.directory), given=json.dumps(sent)) == []
    assert place.run(place.command("delete", NAME)).done
    assert here.everything_of(NAME) == ()
