"""Container groups as Azure has them: looking at them, changing them, and waiting until Azure is done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from deployer.core.state import DeploymentName
from deployer.errors import DeployerError
from deployer_targets.azureml import names, online, regions
from deployer_targets.azureml.bodies import PORT, SCORING
from deployer_targets.azureml.client import AzureAnswer, AzureMlCloud
from deployer_targets.azureml.faults import Absent
from deployer_targets.azureml.online import AzureResource

API = "2023-05-01"
CONTAINER = "server"
_UNDER_WAY = frozenset({"Pending", "Creating", "Repairing", "Deleting", "Updating"})
_LAST = 20


@dataclass(frozen=True, slots=True)
class ContainerGroup(AzureResource):
    """A group as GET answers it."""

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def tags(self) -> Mapping[str, str]:
        return self.document.get("tags") or {}

    @property
    def under_way(self) -> bool:
        return self.state in _UNDER_WAY

    @property
    def serving(self) -> str | None:
        """The generation that is known to serve, or did before the one that was put last."""
        return self.tags.get(names.TAG_SERVING)

    @property
    def runs(self) -> str | None:
        """The generation that was put last."""
        return self.tags.get(names.TAG_CANDIDATE) or self.serving

    @property
    def address(self) -> str:
        """Host, by name where it has one."""
        told = self.properties.get("ipAddress") or {}
        return str(told.get("fqdn") or told.get("ip") or "")

    @property
    def url(self) -> str:
        return f"http://{self.address}:{PORT}{SCORING}" if self.address else ""

    @property
    def image(self) -> str:
        return str(self._server["image"])

    @property
    def crash(self) -> str:
        """Why its container doesn't stay up; "" where it does."""
        view = self._server.get("instanceView") or {}
        now, before = view.get("currentState") or {}, view.get("previousState") or {}
        if not view.get("restartCount") and str(now.get("state")) != "Waiting":
            return ""
        return f"the container ended with exit code {before['exitCode']}" if before.get("exitCode") is not None else ""

    @property
    def fixed(self) -> tuple[Any, ...]:
        """What can't be changed in place."""
        return fixed(self.properties)

    @property
    def _server(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(each["properties"] for each in self.properties["containers"] if each["name"] == CONTAINER)
        return found


def fixed(properties: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a group's properties needs another group: documented in "Update containers in Azure Container Instances"."""
    requests = [(each["name"], each["properties"]["resources"]["requests"]) for each in properties["containers"]]
    sizes = [(name, float(asked["cpu"]), float(asked["memoryInGB"])) for name, asked in requests]
    return (sizes, [str(each["id"]).lower() for each in properties.get("subnetIds") or ()], (properties.get("ipAddress") or {}).get("type"))


def find(name: str, cloud: AzureMlCloud) -> ContainerGroup | None:
    """The group; None where there is none."""
    try:
        return ContainerGroup(_send(cloud, "GET", name).document)
    except Absent:
        return None


def listed(cloud: AzureMlCloud) -> Iterator[ContainerGroup]:
    """All of ours in the workspace's resource group."""
    for each in map(ContainerGroup, cloud.elements(_send(cloud, "GET", ""))):
        if each.tags.get(names.TAG_DEPLOYMENT) == each.name:
            yield each


def put(name: str, body: Mapping[str, Any], cloud: AzureMlCloud, seconds: float) -> None:
    """Make or change a group, once Azure is free. How that goes is told by `online.followed`."""
    online.begin(name, cloud, path(name), partial(change, cloud, "PUT", name, body), seconds)


def change(cloud: AzureMlCloud, method: str, name: str, body: Any = None) -> AzureAnswer:
    """A call that changes a group: the claim is read just before."""
    cloud.check()
    return _send(cloud, method, name, body)


def delete(name: str, cloud: AzureMlCloud, seconds: float) -> bool:
    """Delete a group, and wait until it is gone; false where there was none."""
    if settle(name, cloud, seconds) is None:
        return False
    online.when_free(name, cloud, lambda: change(cloud, "DELETE", name), seconds)
    for left in online.watched(name, "the container group", partial(find, name, cloud), cloud, seconds):
        if left is None:
            break
    return True


def settle(name: DeploymentName | str, cloud: AzureMlCloud, seconds: float, note: Callable[[str], None] = lambda _: None) -> ContainerGroup | None:
    """The group once Azure is done with it; None where there is none."""
    for found in online.watched(name, "the container group", partial(find, name, cloud), cloud, seconds):
        if found is None or not found.under_way:
            return found
        note(found.state)
    raise AssertionError("poll ends by its error")


def log(name: str, cloud: AzureMlCloud, tail: int) -> list[str]:
    """The last lines of a group's container; none where it hasn't run yet."""
    try:
        answer = _send(cloud, "GET", f"{name}/containers/{CONTAINER}/logs", **({"tail": str(tail)} if tail else {}))
    except Absent:
        return []
    return str(answer.document.get("content") or "").splitlines()


def last_lines(name: str, cloud: AzureMlCloud) -> tuple[str, ...]:
    with suppress(DeployerError):
        return tuple(log(name, cloud, _LAST))
    return ()


def path(name: str) -> str:
    """Below the resource group's provider."""
    return f"containerGroups/{name}"


def usages(location: str, cloud: AzureMlCloud) -> Mapping[str, tuple[float, float]]:
    """What a region has in use and allows, by name."""
    found = regions.listed(cloud, "Microsoft.ContainerInstance", location, "usages", API)
    return {str(each["name"]["value"]): (float(each["currentValue"]), float(each["limit"])) for each in found}


def _send(cloud: AzureMlCloud, method: str, below: str, body: Any = None, **query: str) -> AzureAnswer:
    workspace = cloud.workspace
    place = f"/subscriptions/{workspace.subscription}/resourceGroups/{workspace.group}/providers/Microsoft.ContainerInstance/containerGroups"
    url = f"{cloud.connection.cloud.resource_manager}{place}" + (f"/{below}" if below else "")
    return _at(cloud, method, url, operation=f"{method} container group {below}".strip(), body=body, **query)


def _at(cloud: AzureMlCloud, method: str, url: str, *, operation: str, body: Any = None, **query: str) -> AzureAnswer:
    asked = urlencode({"api-version": API, **query})
    guard = cloud.check if cloud.held else None
    return cloud.connection.send(method, f"{url}?{asked}", scope=cloud.connection.cloud.scope, operation=operation, body=body, guard=guard)
