"""Requests to a container group's server, with one of its keys, and its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from deployer.core.seam import poll
from deployer.core.state import DeploymentName
from deployer.core.target import LogLine, Payload
from deployer.errors import ConfigInvalid, DeployerError, DeploymentNotFound, TargetUnavailable
from deployer_targets.azureml import logs
from deployer_targets.azureml.aci import groups, vault
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.faults import ApiError
from deployer_targets.azureml.invoke import words_of

Answer = TypeVar("Answer")


def predict(name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Payload:
    """One request's answer; the seam asks again while the group restarts.

    Raises:
        DeploymentNotFound, TargetUnavailable.
        ConfigInvalid: the container refuses the request, in its own words.
    """
    answer = _asked(name, payload, cloud, cloud.connection.once)
    return Payload(answer.body, content_type=answer.headers.get("Content-Type") or payload.accept, accept=payload.accept)


def predict_stream(name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Iterator[bytes]:
    """The answer's pieces as the model makes them; raises as `predict` does, in the middle too."""
    yield from _asked(name, payload, cloud, cloud.connection.opened).pieces(name)


def lines(name: DeploymentName, cloud: AzureMlCloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
    """The last `tail` lines (0: all that Azure keeps); then, if `follow`, those that come."""
    seen = groups.log(name, cloud, tail)
    yield from (LogLine(text, name) for text in seen)
    if not follow:
        return
    for _ in poll(lambda: None, seconds=logs.FOR_EVER, pauses=logs.LOOKS, sleep=cloud.connection.sleep):
        now = groups.log(name, cloud, 0)
        yield from (LogLine(text, name) for text in logs.after(seen, now))
        seen = now


def credentials(name: DeploymentName, cloud: AzureMlCloud) -> dict[str, str]:
    """The two keys of a deployment."""
    return dict(zip(("primary_key", "secondary_key"), vault.keys(name, cloud), strict=False))


def _asked(name: DeploymentName, payload: Payload, cloud: AzureMlCloud, ask: Callable[..., Answer]) -> Answer:
    url, key = _door(name, cloud)
    headers = {"Content-Type": payload.content_type, "Accept": payload.accept, "Authorization": f"Bearer {key}"}

    def send() -> Answer:
        try:
            return ask("POST", url, "", content=payload.body, headers=headers)
        except ApiError as error:
            raise _translated(name, error) from error

    return cloud.connection.seam.call(send, f"a request to {name}")


def _door(name: DeploymentName, cloud: AzureMlCloud) -> tuple[str, str]:
    group, keys = groups.find(name, cloud), vault.keys(name, cloud)
    if group is None or not keys:
        raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there")
    if not group.url or not group.serving:
        raise DeploymentNotFound(f"{name} doesn't serve: the container group is {group.state}", advice=f"deploy get -n {name} shows how it is")
    return group.url, keys[0]


def _translated(name: DeploymentName, error: ApiError) -> DeployerError:
    said, advice = words_of(error.body), f"deploy logs -n {name} has the container's side of it"
    if error.status in (429, 503):
        return TargetUnavailable(f"the container of {name} isn't ready", why=said, advice="ask again")
    what = f"the model behind {name} failed" if error.status >= 500 else f"the model behind {name} refuses the request"
    return ConfigInvalid(f"{what} (HTTP {error.status})", why=said, advice=advice)
