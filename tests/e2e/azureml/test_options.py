"""Options of managed deployments on the local Azure: what is sent is as Azure ML's SDK has it, and what can't change is refused in words."""

from __future__ import annotations

import json

import pytest

import deployer_localstack as localstack
from deployer.core.state import DeploymentName
from tests.azureml import AzureHere, AzureMlPlace
from tests.e2e.localstack.azure import sdk

PUT = {
    "OnlineEndpoints_CreateOrUpdate": "OnlineEndpoint",
    "OnlineDeployments_CreateOrUpdate": "OnlineDeployment",
    "DataVersions_CreateOrUpdate": "DataVersionBase",
}
SCORER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/scorer"
NAME = DeploymentName("churn")


def test_all_of_them(here: AzureHere, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = AzureMlPlace(here, tmp_path_factory.mktemp("models"))
    options = {
        "identity": {"type": "user_assigned", "user_assigned_identities": [{"resource_id": SCORER}]},
        "data_collector": {"collections": {"request": {}, "response": {"enabled": False}}, "rolling_rate": "hour", "sampling_rate": 0.1},
        "model_mount_path": "/models",
        "properties": {"owner": "risk"},
        "description": "who leaves",
    }
    made = place.run(place.command("create", NAME, place.first.model, **options))
    assert made.done, made.error
    endpoint = here.arm("GET", f"onlineEndpoints/{NAME}")
    assert list(endpoint["identity"]["userAssignedIdentities"]) == [SCORER]
    assert endpoint["properties"]["description"] == "who leaves"
    [deployment] = here.all(f"onlineEndpoints/{NAME}/deployments")
    collections = deployment["properties"]["dataCollector"]["collections"]
    assert [each["dataId"].rpartition("/data/")[2] for each in collections.values()] == [
        f"{NAME}-{deployment['name']}-{collection}/versions/1" for collection in ("request", "response")
    ]
    assert (deployment["properties"]["properties"], deployment["properties"]["modelMountPath"]) == ({"owner": "risk"}, "/models")

    assert place.run(place.command("update", NAME, None, description="who stays")).done
    endpoint, [same] = here.arm("GET", f"onlineEndpoints/{NAME}"), here.all(f"onlineEndpoints/{NAME}/deployments")
    assert (endpoint["properties"]["description"], same["name"]) == ("who stays", deployment["name"])
    assert list(endpoint["identity"]["userAssignedIdentities"]) == [SCORER]
    other = place.run(place.command("update", NAME, None, identity={"type": "system_assigned"}))
    assert "acts as" in other.error and SCORER in other.error

    sent = [(PUT[each["operation"]], each["parameters"]["document"]) for each in here.control.journal() if each["operation"] in PUT]
    assert {kind for kind, _ in sent} == {*PUT.values()}
    assert sdk.run("strict", localstack.status(here.directory), given=json.dumps(sent)) == []
    assert len(here.all("data", listViewType="All")) == 2
    assert place.run(place.command("delete", NAME)).done
    assert here.everything_of(NAME) == ()
