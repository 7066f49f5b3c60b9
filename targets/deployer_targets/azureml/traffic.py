"""The endpoint: made, changed, and its traffic moved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import DeploymentName, Resource, Share
from deployer.errors import Conflict, Refused
from deployer_targets.azureml import bodies, cluster, names, online
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig

Traffic = tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class CreateEndpoint(Step[AzureMlCloud]):
    """The endpoint, where there is none; without traffic."""

    name: DeploymentName
    config: AzureMlConfig
    timeout_seconds: float
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return names.endpoint(self.name)

    def describe(self) -> str:
        return f"endpoint {self.name}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = online.endpoint(self.name, cloud)
        made = found is None or found.state == "Failed"
        if made:
            tags = names.tags_for(self.name, (), self.config.tags)
            body = bodies.endpoint(location_of(cloud), self.config, tags, cluster.compute_id(self.config, cloud))
            answer = online.put(self.name, cloud, online.endpoint_path(self.name), body, self.timeout_seconds)
            online.learnt(self.name, online.AzureEndpoint(answer), cloud)
            found = None
        if found is None or found.busy:
            await_endpoint(self.name, cloud, self.timeout_seconds, progress)
        return made


@dataclass(frozen=True, slots=True)
class SetTraffic(Step[AzureMlCloud]):
    """The switch, waited for. Refuses where the traffic isn't as the plan saw it: somebody else was faster.

    Attributes:
        expecting: the traffic that the plan saw.
        tags: the user's own, of the endpoint.
        properties: of the endpoint, those that change in place.
        back: only where the last one expected has a share still.
        mirror: of how many requests, in percent, the last one gets a copy.
    """

    name: DeploymentName
    to: Traffic
    expecting: Traffic
    tags: Mapping[str, str]
    properties: Mapping[str, Any]
    timeout_seconds: float
    back: bool = False
    mirror: int = 0
    effect = Effect.SWITCH

    def describe(self) -> str:
        if self.mirror:
            return f"a copy of {self.mirror} % of the traffic of {self.name} to {self.to[1].generation}"
        return f"traffic of {self.name}" if len(self.to) == 1 else f"traffic of {self.name}, {self.to[1].percent} % to {self.to[1].generation}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = online.idle(self.name, cloud, self.timeout_seconds, progress.note)
        if found is None:
            raise changed_by_another(self.name, "it is gone")
        if found.in_place:
            found = found.holding(online.deployments(self.name, cloud))
        copied = {found.place_of(self.to[1].generation): self.mirror} if self.mirror else {}
        if found.traffic == self.to and found.mirrored == copied:
            return False
        if self.back and self.expecting[-1].generation not in {share.generation for share in found.traffic}:
            return False
        if {share.generation for share in found.traffic} != {share.generation for share in self.expecting}:
            raise changed_by_another(self.name, f"its traffic goes to {_words(found.traffic)}")
        shares = {found.place_of(share.generation): share.percent for share in self.to}
        set_endpoint(
            self.name,
            cloud,
            found,
            self.timeout_seconds,
            tags=names.tags_for(self.name, self.to, self.tags, datetime.now(UTC).isoformat(timespec="seconds"), in_place=found.in_place),
            traffic=shares,
            **({"mirrorTraffic": copied} if copied or found.mirrored else {}),
            **self.properties,
        )
        await_endpoint(self.name, cloud, self.timeout_seconds, progress)
        return True


def set_endpoint(
    name: str, cloud: AzureMlCloud, found: online.AzureEndpoint, timeout_seconds: float, *, tags: Mapping[str, str], **properties: Any
) -> None:
    """Change an endpoint as it was found: Azure compares nothing, so the claim is read just before."""
    online.put(name, cloud, online.endpoint_path(name), found.changed(tags=tags, **properties), timeout_seconds)


def await_endpoint(name: str, cloud: AzureMlCloud, timeout_seconds: float, progress: Progress) -> None:
    """Until Azure is done with what this run has changed of an endpoint.

    Raises:
        Refused: it says that it failed, and why.
        TimedOut: it isn't done yet; it goes on.
    """
    path, status, why, begin = online.endpoint_path(name), "", "", time.monotonic()
    for status, why in online.followed(cloud, path, timeout_seconds):  # noqa: B007 - the last one says how it ended
        if status == "Succeeded":
            return
        progress.note(status)
    if status in ("Failed", "Canceled"):
        raise Refused(f"Azure could not change the endpoint {name}", why=why)
    for found in online.watched(name, "the endpoint", partial(online.endpoint, name, cloud), cloud, timeout_seconds, begun=begin):
        if found is None:
            raise changed_by_another(name, "it is gone")
        if not found.busy:
            return


def location_of(cloud: AzureMlCloud) -> str:
    """The region of the workspace, which endpoints have too."""
    if "location" not in cloud.learnt:
        cloud.learnt["location"] = str(cloud.ask("GET", "").document["location"])
    return str(cloud.learnt["location"])


def changed_by_another(name: str, now: str) -> Conflict:
    return Conflict(
        f"the endpoint {name} was changed by somebody else meanwhile: {now}", advice="deploy get shows what is there; the same command starts from it"
    )


def _words(traffic: Traffic) -> str:
    return ", ".join(f"{share.generation} ({share.percent} %)" for share in traffic) or "nobody"
