"""Lines of the containers behind an endpoint, as Azure ML keeps them: the last ones of each deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName
from deployer.core.target import LogLine
from deployer.errors import DeployerError, DeploymentNotFound
from deployer_targets.azureml import online
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.online import AzureEndpoint

_MOST = 10_000
_LAST = 20
FOR_EVER = 10.0**9
LOOKS = Pauses(shortest=1.0, longest=5.0)


def lines(name: DeploymentName, endpoint: AzureEndpoint | None, cloud: AzureMlCloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
    """The last `tail` lines (0: all that Azure keeps), those of the deployments with traffic last; then, if `follow`, those that come.

    Args:
        endpoint: as it is now.

    Raises:
        DeploymentNotFound: there is none.
    """
    if endpoint is None or (cloud.endpoint and online.deployment(cloud.endpoint, name, cloud) is None):
        raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there")
    seen: dict[str, list[str]] = {}
    found = [LogLine(text, source) for source in _sources(name, endpoint, cloud) for text in _fresh(name, source, cloud, seen)]
    yield from found[-tail:] if tail else found
    if not follow:
        return
    for _ in poll(lambda: None, seconds=FOR_EVER, pauses=LOOKS, sleep=cloud.connection.sleep):
        for source in _sources(name, online.endpoint(cloud.endpoint_of(name), cloud), cloud):
            yield from (LogLine(text, source) for text in _fresh(name, source, cloud, seen))


def last_lines(name: str, deployment: str, cloud: AzureMlCloud) -> tuple[str, ...]:
    """The last lines of a deployment, of its container or, where that never started, of what fetches the model; none where Azure gives none."""
    for container in ("InferenceServer", "StorageInitializer"):
        with suppress(DeployerError):
            if found := _content(name, deployment, cloud, container, _LAST):
                return tuple(found[-_LAST:])
    return ()


def _sources(name: DeploymentName, endpoint: AzureEndpoint | None, cloud: AzureMlCloud) -> list[str]:
    """The deployments of an endpoint, that with the most traffic last."""
    if cloud.endpoint:
        return [name]
    traffic = dict(endpoint.properties.get("traffic") or {}) if endpoint else {}
    return sorted((each.name for each in online.deployments(name, cloud)), key=lambda each: traffic.get(each, 0))


def _fresh(name: DeploymentName, source: str, cloud: AzureMlCloud, seen: dict[str, list[str]]) -> list[str]:
    """What a deployment wrote since it was looked at last."""
    before, seen[source] = seen.get(source, []), _content(cloud.endpoint_of(name), source, cloud, "InferenceServer", _MOST)
    return after(before, seen[source])


def after(before: list[str], now: list[str]) -> list[str]:
    """What of these lines is new: Azure tells no times, so what repeats the end of what was seen is left out."""
    for length in range(min(len(before), len(now)), 0, -1):
        if before[-length:] == now[:length]:
            return now[length:]
    return now


def _content(name: str, deployment: str, cloud: AzureMlCloud, container: str, tail: int) -> list[str]:
    path = f"{online.deployment_path(name, deployment)}/getLogs"
    return str(cloud.ask("POST", path, {"containerType": container, "tail": tail}).document.get("content") or "").splitlines()
