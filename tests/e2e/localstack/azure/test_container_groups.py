"""Azure Container Instances, judged by their SDK: groups that really run, are reached at their address, changed, started again, deleted."""

from __future__ import annotations

import json
import sys

from ..conftest import User, eventually
from ..registry_client import Client
from . import sdk
from .arm import Arm
from .test_endpoints import LOGIN, pushed


def test_the_sdk_deploys_asks_reads_logs_and_deletes(user: User, name: str) -> None:
    user.control.settings(azure_retry_after_seconds=0.1)
    said = sdk.run("container_group", user.status, pushed(user, name), *LOGIN, name)

    assert said["made"] == ["Succeeded", "Running", {"team": "risk"}, "Running"]
    assert said["named"] == f"label-{name}"
    assert said["variables"] == ["blue", "hidden"]
    assert said["shown"] == [["FLAVOR", "blue", None], ["TOKEN", None, None]]
    assert said["password"] == [None]
    assert "answering" not in said["log"]
    assert said["stamped"] in ("20", "")
    assert said["listed"] == said["listed everywhere"] == [name]
    assert said["changed"] == ["green", True, {}]
    assert said["more cpu in place"] == [400, "InvalidContainerGroupUpdate"]
    assert said["label taken"] == [409, "DnsNameLabelNotAvailable"]
    assert said["label in a subnet"] == [400, "DnsNameLabelNotSupportedInVnet"]
    assert said["short label"] == [400, "InvalidDnsNameLabel"]
    assert said["too much"] == [400, "ServiceUnavailable"]
    assert said["gpu"] == [400, "GpuNotSupported"]
    assert said["no login"] == said["identity of somebody else"] == [400, "InaccessibleImage"]
    assert said["nobody's name"] == [400, "InvalidContainerGroupName"]
    assert (said["by identity"][0], len(said["by identity"][1])) == ("Succeeded", 1)
    assert said["private"] == ["Private", None]
    assert said["answers again"] == "green"
    assert said["stopped"] == "Stopped"
    assert said["started"] == ["Running", "green"]
    assert said["tagged"] == {"team": "fraud"}
    assert said["used"] == [["ContainerGroups", True, 100], ["StandardCores", True, 100]]
    assert said["gone"] == [404, "ResourceNotFound"]
    assert said["left"] == []


def test_a_container_that_ends_is_started_again_later_and_later(user: User, name: str) -> None:
    user.control.settings(azure_backoff_seconds=0.1)
    client = Client(user.status.azure_registry)
    client.login(*LOGIN)
    labels = {"io.deployer.stand-in": "command", "io.deployer.command": json.dumps([sys.executable, "-c", "raise SystemExit(3)"])}
    assert client.push_image(name, "1", labels).status_code == 201
    arm, image = Arm(user.status), f"{user.status.azure_registry}/{name}:1"
    place = f"/subscriptions/{arm.variables['AZURE_SUBSCRIPTION_ID']}/resourceGroups/{arm.variables['AZUREML_ARM_RESOURCEGROUP']}"
    url = f"{arm.url}{place}/providers/Microsoft.ContainerInstance/containerGroups/{name}?api-version=2023-05-01"
    container = {"image": image, "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}}
    login = {"server": user.status.azure_registry, "username": LOGIN[0], "password": LOGIN[1]}
    body = {"osType": "Linux", "containers": [{"name": "c", "properties": container}], "imageRegistryCredentials": [login]}
    headers = {"Authorization": f"Bearer {arm.token}"}
    arm.follow(arm.http.put(url, json={"location": "eastus", "properties": body}, headers=headers))

    def restarted() -> bool:
        view = arm.http.get(url, headers=headers).json()["properties"]["containers"][0]["properties"]["instanceView"]
        return bool(view["restartCount"] >= 2 and view["previousState"]["exitCode"] == 3)

    eventually(restarted)
    assert LOGIN[1] not in arm.http.get(url, headers=headers).text
    arm.follow(arm.http.delete(url, headers=headers))
    assert arm.http.get(url, headers=headers).status_code == 404
