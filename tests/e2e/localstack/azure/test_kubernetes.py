"""Online endpoints on attached clusters, judged by Azure ML's SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..conftest import User
from . import sdk
from .arm import Arm
from .test_endpoints import pushed


def test_the_sdk_attaches_deploys_moves_traffic_and_deletes(user: User, name: str, tmp_path: Path) -> None:
    for which in ("blue", "green"):
        (tmp_path / which).mkdir()
        (tmp_path / which / "answer.txt").write_text(which)
    user.control.settings(azure_retry_after_seconds=0.1)
    said = sdk.run("kubernetes", user.status, pushed(user, name), str(tmp_path), name)

    assert said["compute"] == ["kubernetes", "default", "Succeeded", ["defaultinstancetype"]]
    assert said["computes"] == ["aks"]
    assert said["attached"] == [name, "scoring", "Succeeded"]
    assert said["entra"] == [400, "BadRequest"]
    assert said["nowhere"] == [404, "ComputeNotFound"]
    assert said["endpoint"] == ["KubernetesOnlineEndpoint", "Succeeded", name, {"team": "risk"}]
    assert said["blue"] == ["Succeeded", 2, "large", "2Gi", "default"]
    assert said["green"] == ["target_utilization", 1, 1, 1]
    assert said["green scaled"] == [2, 5, 2]
    assert said["too slow"] == said["managed"] == said["mirrored"] == [400, "BadRequest"]
    assert said["unknown size"] == said["too much"] == [400, "BadArgument"]

    assert said["no traffic"] == 404
    assert (said["traffic"], said["all green"]) == ({"blue": 100}, {"green": 100})
    assert said["blue answers"] == [200, "blue:b"]
    assert said["by name"] == [200, "green:c"]
    assert said["green answers"] == [200, "green:d"]
    assert "answering d" in said["green's log"]
    assert said["detached in use"] == [409, "Conflict"]
    assert said["left"] == ["green"]
    assert said["computes left"] == ["aks"]


def test_all_that_is_answered_is_as_the_sdk_has_it(user: User, name: str) -> None:
    arm, image = Arm(user.status), pushed(user, name)
    compute = f"{arm.workspace}/computes/aks"
    arm.follow(arm.endpoint(name, compute=compute))
    arm.follow(arm.endpoint(f"{name}-managed"))
    arm.follow(arm.deployment(name, "blue", image, endpointComputeType="Kubernetes", instanceType=None))
    arm.follow(arm.deployment(f"{name}-managed", "blue", image))
    found: list[tuple[str, Any]] = [("ComputeResource", arm.ask("GET", "/computes/aks").json())]
    for endpoint in (name, f"{name}-managed"):
        found.append(("OnlineEndpoint", arm.ask("GET", f"/onlineEndpoints/{endpoint}").json()))
        found.append(("OnlineDeployment", arm.ask("GET", f"/onlineEndpoints/{endpoint}/deployments/blue").json()))
    found.append(("EnvironmentVersion", arm.ask("GET", f"/environments/{name}/versions/1").json()))
    for endpoint in (name, f"{name}-managed"):
        arm.follow(arm.ask("DELETE", f"/onlineEndpoints/{endpoint}"))
    assert sdk.run("strict", user.status, given=json.dumps(found)) == []


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("OnlineEndpoint", {"location": "eastus", "properties": {"authMode": "Key", "colour": "blue"}}),
        ("OnlineEndpoint", {"location": "eastus", "properties": {"authMode": "Password"}}),
        (
            "OnlineDeployment",
            {"location": "eastus", "properties": {"endpointComputeType": "Kubernetes", "containerResourceRequirements": {"cpu": "1"}}},
        ),
        ("OnlineDeployment", {"location": "eastus", "sku": {"name": "Default", "capacity": "1"}, "properties": {"endpointComputeType": "Managed"}}),
    ],
)
def test_what_the_sdk_does_not_have_is_found(user: User, kind: str, document: dict[str, Any]) -> None:
    assert len(sdk.run("strict", user.status, given=json.dumps([[kind, document]]))) == 1
