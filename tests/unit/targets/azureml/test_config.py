"""What Azure refuses is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.azureml import bodies
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.online import AzureDeployment, AzureEndpoint

AKS = {"compute": "aks", "compute_target": "aks"}
ASSIGNED = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/scorer"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"instance_count": 0}, "greater than or equal to 1"),
        ({"compute": "managed", "instance_count": 51}, "at most 50 instances"),
        ({"compute": "managed", "instance_type": "ml.m5.large"}, "Standard"),
        ({"compute": "managed", "request_settings": {"request_timeout_ms": 180_001}}, "at most 180000"),
        ({"request_settings": {"request_timeout_ms": 300_001}}, "less than or equal to 300000"),
        ({"request_settings": {"request_timeout": 5}}, "request_settings.request_timeout: is not known"),
        ({"auth_mode": "none"}, "'key', 'aml_token' or 'aad_token'"),
        ({"compute": "aks"}, "needs compute_target"),
        ({**AKS, "auth_mode": "aad_token"}, "aks has key and aml_token"),
        ({**AKS, "egress_public_network_access": "disabled"}, "managed alone"),
        ({**AKS, "public_network_access": "disabled"}, "managed alone"),
        ({**AKS, "resources": {"requests": {"cpu": "1"}}}, "resources.requests.memory"),
        ({**AKS, "resources": {"requests": {"cpu": "1", "memory": "500k"}}}, "no less than 1 MB"),
        ({**AKS, "resources": {"requests": {"cpu": "0", "memory": "1Gi"}}}, "'0' is not a quantity over 0"),
        ({**AKS, "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "1500m"}}}, "more than limits.cpu, 1500m"),
        ({**AKS, "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"gpu": 1}}}, "wants limits.cpu and limits.memory"),
        ({**AKS, "scale_settings": {"max_instances": 3}}, "only with type target_utilization"),
        ({**AKS, "scale_settings": {"type": "target_utilization", "min_instances": 3}}, "more than max_instances, 1"),
        ({"compute": "managed", "compute_target": "aks"}, "compute_target is for compute aks alone"),
        ({"compute": "managed", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}, "resources is for compute aks alone"),
        ({"compute": "managed", "scale_settings": {"type": "target_utilization"}}, "scale_settings.type target_utilization is for compute aks"),
        ({"identity": {"type": "user_assigned"}}, "needs user_assigned_identities"),
        ({"identity": {"user_assigned_identities": [{"resource_id": ASSIGNED}]}}, "only with type user_assigned"),
        ({"identity": {"type": "user_assigned", "user_assigned_identities": [{"resource_id": "/me"}]}}, "not the ARM id of a managed identity"),
        ({"data_collector": {"collections": {}}}, "0 collections: from 1 to 5"),
        ({"data_collector": {"collections": {"a b": {}}}}, "can't name a collection"),
        ({"data_collector": {"collections": {"request": {}}, "sampling_rate": 1.5}}, "less than or equal to 1"),
        ({"data_collector": {"collections": {"request": {}}, "rolling_rate": "month"}}, "'minute', 'hour' or 'day'"),
        ({"model_mount_path": "models"}, "model_mount_path"),
        ({"compute": "aci", "cpu": 32}, "less than or equal to 31"),
        ({"compute": "aci", "memory": 241}, "less than or equal to 240"),
        ({"compute": "aci", "dns_name_label": "abc"}, "must have the form"),
        ({"compute": "aci", "dns_name_label": "churn-1", "subnet_id": "/subscriptions/s/subnets/x"}, "exclude each other"),
        ({"compute": "aci", "instance_type": "Standard_NC6"}, "instance_type is not for compute aci"),
        ({"compute": "aci", "auth_mode": "aml_token"}, "auth_mode is not for compute aci"),
        ({"compute": "managed", "cpu": 1}, "cpu is for compute aci alone"),
        ({"tags": {"a/b": "c"}}, "can't name a tag"),
        ({"tags": {"a": "x" * 257}}, "at most 256"),
        ({"tags": {"deployer-deployment": "x"}}, "kept"),
        ({"tags": {f"t{number}": "" for number in range(46)}}, "at most 45"),
    ],
)
def test_limits(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        AzureMlConfig.parse(options, target="azureml")
    assert says in refused.value.message


def test_times_are_iso_8601_on_the_wire() -> None:
    config = AzureMlConfig.parse({"request_settings": {"request_timeout_ms": 1500}, "liveness_probe": {"initial_delay": 600}}, target="azureml")
    sent = bodies.deployment("eastus", "/models/m", "/environments/e", config, {"A": "b"})["properties"]
    assert sent["requestSettings"]["requestTimeout"] == "PT1.5S"
    assert sent["livenessProbe"]["initialDelay"] == "PT600S"
    assert sent["environmentVariables"] == {"A": "b"}


def test_a_deployment_on_a_cluster_says_what_a_container_gets_and_how_it_scales() -> None:
    scaling = {"type": "target_utilization", "min_instances": 2, "max_instances": 5, "polling_interval": 10}
    required = {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi", "gpu": 1}}
    config = AzureMlConfig.parse({**AKS, "scale_settings": scaling, "resources": required, "instance_type": "large"}, target="azureml")
    sent = bodies.deployment("eastus", "/models/m", "/environments/e", config, {})
    assert (sent["properties"]["endpointComputeType"], sent["properties"]["instanceType"], sent["sku"]["capacity"]) == ("Kubernetes", "large", 2)
    assert sent["properties"]["containerResourceRequirements"] == {
        "containerResourceRequests": {"cpu": "1", "memory": "1Gi"},
        "containerResourceLimits": {"cpu": "2", "memory": "2Gi", "gpu": "1"},
    }
    scales = {"minInstances": 2, "maxInstances": 5, "pollingInterval": "PT10S", "targetUtilizationPercentage": 70}
    assert sent["properties"]["scaleSettings"] == {"scaleType": "TargetUtilization", **scales}


def test_what_is_left_out_is_the_clusters_own() -> None:
    config = AzureMlConfig.parse({**AKS, "request_settings": {"request_timeout_ms": 300_000}, "instance_count": 60}, target="azureml")
    sent = bodies.deployment("eastus", "/models/m", "/environments/e", config, {})
    assert not {"instanceType", "containerResourceRequirements", "egressPublicNetworkAccess"} & sent["properties"].keys()
    assert (sent["sku"]["capacity"], sent["properties"]["scaleSettings"]) == (60, {"scaleType": "Default"})


def test_options_of_a_deployment_that_is_there_may_come_without_its_compute() -> None:
    assert AzureMlConfig.parse({"scale_settings": {"type": "target_utilization", "max_instances": 2}}, target="azureml").misplaced()


def test_as_many_as_the_load_needs_are_no_change() -> None:
    config = AzureMlConfig.parse({**AKS, "scale_settings": {"type": "target_utilization", "max_instances": 5}}, target="azureml")
    document = bodies.deployment("eastus", "/models/m", "/environments/e", config, {})
    found = AzureDeployment({**document, "name": "g1", "sku": {"capacity": 4}})
    assert found.is_scaled(bodies.scaling(config))
    fixed = bodies.scaling(AzureMlConfig.parse({**AKS, "instance_count": 3}, target="azureml"))
    assert not found.is_scaled(fixed)
    changed = AzureDeployment({**found.scaled(fixed), "name": "g1"})
    assert changed.is_scaled(fixed)
    assert changed.properties["environmentId"] == "/environments/e"


def test_what_is_collected_has_the_sampling_rate_of_all() -> None:
    wanted = {
        "collections": {"request": {}, "response": {"enabled": False}, "inputs": {"client_id": "c", "data": "/data/inputs"}},
        "rolling_rate": "day",
        "sampling_rate": 0.5,
        "request_logging": {"capture_headers": ["x-request-id"]},
    }
    sent = bodies.deployment("eastus", "/models/m", "/environments/e", AzureMlConfig.parse({"data_collector": wanted}, target="azureml"), {})
    assert sent["properties"]["dataCollector"] == {
        "collections": {
            "request": {"dataCollectionMode": "Enabled", "samplingRate": 0.5},
            "response": {"dataCollectionMode": "Disabled", "samplingRate": 0.5},
            "inputs": {"dataCollectionMode": "Enabled", "samplingRate": 0.5, "dataId": "/data/inputs", "clientId": "c"},
        },
        "rollingRate": "Day",
        "requestLogging": {"captureHeaders": ["x-request-id"]},
    }


def test_an_endpoint_keeps_whom_it_acts_as() -> None:
    wanted = {"type": "user_assigned", "user_assigned_identities": [{"resource_id": ASSIGNED}]}
    sent = bodies.endpoint("eastus", AzureMlConfig.parse({"identity": wanted}, target="azureml"), {}, "")
    assert sent["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {ASSIGNED: {}}}
    told = {"type": "UserAssigned", "tenantId": "t", "userAssignedIdentities": {ASSIGNED: {"clientId": "c", "principalId": "p"}}}
    assert AzureEndpoint({**sent, "identity": told}).changed(tags={})["identity"] == sent["identity"]
