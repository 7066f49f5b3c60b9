"""What the local Azure allows on an attached cluster."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_localstack.azure.account import HOME
from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.arm import kubernetes
from deployer_localstack.azure.arm.clusters import AttachedCompute
from deployer_localstack.azure.arm.online import OnlineDeployment, OnlineEndpoint
from deployer_localstack.azure.arm.quantities import ResourceAmounts, quantity
from deployer_localstack.azure.arm.store import Workspace

LARGE = {"resources": {"limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": 1}}}
AKS = f"{HOME.id}/computes/aks"


@pytest.fixture
def workspace() -> Workspace:
    made = Workspace(HOME)
    made.computes["aks"] = AttachedCompute("aks", {"properties": {"properties": {"instanceTypes": {"large": LARGE}}}})
    return made


def resources(limits: dict[str, str] | None = None, **requests: str) -> dict[str, Any]:
    return {"containerResourceRequirements": {"containerResourceRequests": requests, "containerResourceLimits": limits}}


@pytest.mark.parametrize(("text", "value"), [("100m", 0.1), ("2", 2.0), ("0.5", 0.5), ("2Gi", 2 * 1024**3), ("1.5M", 1.5e6), ("200Ki", 200 * 1024)])
def test_quantities_are_read(text: str, value: float) -> None:
    assert quantity(text, "cpu") == pytest.approx(value)


@pytest.mark.parametrize("text", ["0", "", "1 Gi", "2gb", "-1", "1ki", "two", "None"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(AzureError, match="a quantity of Kubernetes over 0"):
        quantity(text, "cpu")


def test_no_gpu_is_nothing_to_be_beyond_of() -> None:
    assert ResourceAmounts.read({"cpu": "1", "gpu": "0"}, "x").beyond(ResourceAmounts(2.0)) == ""
    assert ResourceAmounts.read({"cpu": "1", "nvidia.com/gpu": 1}, "x").beyond(ResourceAmounts(2.0)) == "gpu"


def test_an_endpoint_is_on_an_attached_compute_or_on_none(workspace: Workspace) -> None:
    assert kubernetes.compute_of(workspace, None, {}) == ""
    assert kubernetes.compute_of(workspace, None, {"compute": AKS.upper().replace("/COMPUTES/", "/computes/"), "authMode": "AMLToken"}) == "aks"
    for properties, why in (
        ({"compute": "aks"}, "not the id of a compute"),
        ({"compute": f"{HOME.id}/computes/gone"}, "gone is not found"),
        ({"compute": AKS, "authMode": "AADToken"}, "AADToken"),
        ({"compute": AKS, "mirrorTraffic": {"blue": 10}}, "mirror no traffic"),
    ):
        with pytest.raises(AzureError, match=why):
            kubernetes.compute_of(workspace, None, properties)
    for present in (OnlineEndpoint("e", {}), OnlineEndpoint("e", {}, compute="other")):
        with pytest.raises(AzureError, match="can't be changed"):
            kubernetes.compute_of(workspace, present, {"compute": AKS})


def test_a_cluster_has_60_endpoints_and_100_deployments(workspace: Workspace) -> None:
    for number in range(60):
        workspace.endpoints[f"e{number}"] = OnlineEndpoint(f"endpoint{number}", {}, compute="aks")
    with pytest.raises(AzureError, match="60 endpoints"):
        kubernetes.compute_of(workspace, None, {"compute": AKS})
    endpoint = workspace.endpoints["e0"]
    endpoint.deployments = {f"d{number}": OnlineDeployment(f"d{number}", {}) for number in range(100)}
    kubernetes.refuse_deployment(workspace, endpoint, "d99", {}, 1)
    with pytest.raises(AzureError, match="100 deployments"):
        kubernetes.refuse_deployment(workspace, endpoint, "next", {}, 1)


@pytest.mark.parametrize(
    ("properties", "capacity"),
    [
        ({}, None),
        ({"scaleSettings": {"scaleType": "Default"}}, 60),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 2, "maxInstances": 5, "pollingInterval": "PT10S"}}, None),
        (resources(cpu="100m", memory="1Gi"), 1),
        (resources({"cpu": "2", "memory": "2Gi"}, cpu="1", memory="1Gi"), 1),
        ({**resources({"cpu": "8", "memory": "8Gi", "gpu": "1"}, cpu="4", memory="1Gi"), "instanceType": "large"}, 1),
    ],
)
def test_deployments_that_fit_are_taken(workspace: Workspace, properties: dict[str, Any], capacity: int | None) -> None:
    kubernetes.refuse_deployment(workspace, OnlineEndpoint("endpoint", {}, compute="aks"), "blue", properties, capacity)


@pytest.mark.parametrize(
    ("properties", "capacity", "why"),
    [
        ({"scaleSettings": {"scaleType": "Default"}}, None, "instance count"),
        ({"scaleSettings": {"scaleType": "Default"}}, 0, "instance count"),
        ({"scaleSettings": {"scaleType": "Steps"}}, 1, "scaleType Steps"),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 3, "maxInstances": 2}}, 1, "from 3 to 2"),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "targetUtilizationPercentage": 101}}, 1, "101 percent"),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "pollingInterval": "5"}}, 1, "not a duration"),
        ({"instanceType": "huge"}, 1, "huge is not one of compute aks: defaultinstancetype, large"),
        (resources(cpu="1"), 1, "need memory"),
        (resources(cpu="1", memory="900Ki"), 1, "less than 1 MB"),
        (resources(cpu="3", memory="1Gi"), 1, "more cpu than instance type defaultinstancetype"),
        (resources({"cpu": "1"}, cpu="2", memory="1Gi"), 1, "more cpu than the limits"),
        (resources({"cpu": "1", "memory": "3Gi"}, cpu="1", memory="1Gi"), 1, "limits have more memory"),
        (resources({"cpu": "1", "memory": "1Gi", "gpu": "1"}, cpu="1", memory="1Gi"), 1, "limits have more gpu"),
    ],
)
def test_deployments_that_do_not_fit_are_refused(workspace: Workspace, properties: dict[str, Any], capacity: int | None, why: str) -> None:
    with pytest.raises(AzureError, match=why):
        kubernetes.refuse_deployment(workspace, OnlineEndpoint("endpoint", {}, compute="aks"), "blue", properties, capacity)


def test_names_have_62_characters_together(workspace: Workspace) -> None:
    endpoint = OnlineEndpoint("e" * 32, {}, compute="aks")
    kubernetes.refuse_deployment(workspace, endpoint, "d" * 30, {}, 1)
    with pytest.raises(AzureError, match="63 characters together"):
        kubernetes.refuse_deployment(workspace, endpoint, "d" * 31, {}, 1)
