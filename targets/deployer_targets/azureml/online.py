"""Online endpoints and their deployments as Azure ML has them: looking at them, and waiting until Azure is done with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName, Share
from deployer.errors import DeployerError, TimedOut
from deployer.words import duration
from deployer_targets.azureml import names
from deployer_targets.azureml.bodies import Scaling
from deployer_targets.azureml.client import AzureAnswer, AzureMlCloud
from deployer_targets.azureml.faults import Absent, Overtaken, reason_of

LOOKS = Pauses(shortest=0.2, longest=1.0)
"""At what is under way: what Azure has done is known a second later."""
_UNDER_WAY = frozenset({"Creating", "Updating", "Deleting"})
_NOTHING_THERE = 204
_READ_ONLY = ("provisioningState", "scoringUri", "swaggerUri")


@dataclass(frozen=True, slots=True)
class AzureResource:
    """One as GET answers it."""

    document: Mapping[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.document.get("properties") or {}

    @property
    def state(self) -> str:
        return str(self.properties.get("provisioningState") or "")

    @property
    def busy(self) -> bool:
        return self.state in _UNDER_WAY

    def _kept(self, *keys: str) -> dict[str, Any]:
        """These of the document, where it has them, and all properties that can be written: what an update leaves out is reset."""
        kept = {key: value for key, value in self.properties.items() if key not in _READ_ONLY}
        return {**{key: self.document[key] for key in keys if self.document.get(key)}, "properties": kept}


Found = TypeVar("Found", bound=AzureResource)


@dataclass(frozen=True, slots=True)
class AzureEndpoint(AzureResource):
    """An online endpoint.

    Attributes:
        inside: its deployments; none where they weren't looked at.
    """

    inside: tuple[AzureDeployment, ...] = field(default=(), repr=False)

    @property
    def held(self) -> Mapping[str, str]:
        """The generation that each deployment in it is, by the deployment's name."""
        return {each.name: each.generation for each in self.inside}

    @property
    def in_place(self) -> bool:
        """Whether a deployment in it was ever updated in place."""
        return names.TAG_IN_PLACE in self.tags

    def holding(self, inside: Iterable[AzureDeployment]) -> AzureEndpoint:
        """The same with its deployments known."""
        return replace(self, inside=tuple(inside))

    def place_of(self, generation: str) -> str:
        """What the deployment of a generation is called."""
        return next((name for name, held in self.held.items() if held == generation), names.deployment_of(generation))

    @property
    def tags(self) -> Mapping[str, str]:
        return self.document.get("tags") or {}

    @property
    def traffic(self) -> tuple[Share, ...]:
        return names.traffic_of(self.properties.get("traffic") or {}, self.tags, self.held)

    def percent_of(self, called: str) -> int:
        """The share of the traffic that a deployment has."""
        return int((self.properties.get("traffic") or {}).get(called) or 0)

    @property
    def mirrored(self) -> Mapping[str, int]:
        """The share of the traffic that a deployment gets a copy of, where one does."""
        return {name: int(share) for name, share in (self.properties.get("mirrorTraffic") or {}).items() if share}

    @property
    def scoring_uri(self) -> str:
        return str(self.properties.get("scoringUri") or "")

    @property
    def compute(self) -> str:
        """The ARM id of the cluster that it is on; "" where it is managed."""
        return str(self.properties.get("compute") or "")

    @property
    def auth_mode(self) -> str:
        """As the options call it."""
        return {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}.get(str(self.properties.get("authMode")).lower(), "key")

    @property
    def identity(self) -> dict[str, Any]:
        """As it is put: of those that were assigned, the names alone."""
        found = self.document.get("identity") or {}
        put: dict[str, Any] = {"type": found["type"]} if found.get("type") else {}
        if assigned := found.get("userAssignedIdentities"):
            put["userAssignedIdentities"] = {name: {} for name in assigned}
        return put

    def changed(self, *, tags: Mapping[str, str], **properties: Any) -> dict[str, Any]:
        """The body that changes these, and leaves the rest as it is."""
        body = self._kept("location", "kind", "sku")
        identity = self.identity
        return {**body, **({"identity": identity} if identity else {}), "tags": dict(tags), "properties": {**body["properties"], **properties}}


@dataclass(frozen=True, slots=True)
class AzureDeployment(AzureResource):
    """A deployment inside an endpoint."""

    @property
    def name(self) -> str:
        return str(self.document["name"]).rpartition("/")[2]

    @property
    def tags(self) -> Mapping[str, str]:
        return self.document.get("tags") or {}

    @property
    def generation(self) -> str:
        return self.tags.get(names.TAG_GENERATION) or names.generation_of(self.name)

    @property
    def half_updated(self) -> bool:
        """Whether an update in place has failed: what serves isn't known, and a run that wants this generation has to bring it again."""
        return self.state == "Failed" and names.TAG_GENERATION in self.tags

    @property
    def count(self) -> int:
        return int((self.document.get("sku") or {}).get("capacity") or 0)

    @property
    def environment(self) -> dict[str, str]:
        """Its variables, which may be secret."""
        return dict(self.properties.get("environmentVariables") or {})

    def is_scaled(self, to: Scaling) -> bool:
        """Whether it has as many instances as that says, or scales by itself as that says."""
        now = self.properties.get("scaleSettings") or {"scaleType": "Default"}
        return all(now.get(name) == value for name, value in to.settings.items()) and (not to.fixed or self.count == to.count)

    def as_it_is(self) -> dict[str, Any]:
        """The body that brings all of it back."""
        return self._kept("location", "kind", "tags", "identity", "sku")

    def scaled(self, to: Scaling) -> dict[str, Any]:
        """The body that changes the number of instances alone."""
        kept = self._kept("location", "kind", "tags", "identity")
        properties = {**kept["properties"], "scaleSettings": dict(to.settings)}
        return {**kept, "sku": {"name": "Default", "capacity": to.count}, "properties": properties}


def endpoint_path(name: str) -> str:
    return f"onlineEndpoints/{name}"


def deployment_path(name: str, deployment: str) -> str:
    return f"onlineEndpoints/{name}/deployments/{deployment}"


def endpoint(name: str, cloud: AzureMlCloud) -> AzureEndpoint | None:
    """The endpoint; None where there is none."""
    found = cloud.find(endpoint_path(name))
    if found is None:
        cloud.learnt.pop(("endpoint", name), None)
        return None
    return learnt(name, AzureEndpoint(found), cloud)


def learnt(name: str, found: AzureEndpoint, cloud: AzureMlCloud) -> AzureEndpoint:
    """The same; where it is asked, how, and its region stay so for its life, and are read once a run."""
    if found.scoring_uri:
        cloud.learnt["endpoint", name] = found
    if location := found.document.get("location"):
        cloud.learnt.setdefault("location", location)
    return found


def deployment(name: str, called: str, cloud: AzureMlCloud) -> AzureDeployment | None:
    """The deployment of an endpoint; None where there is none."""
    found = cloud.find(deployment_path(name, called))
    return None if found is None else AzureDeployment(found)


def deployments(name: str, cloud: AzureMlCloud) -> list[AzureDeployment]:
    """All deployments of an endpoint; none where there is no endpoint."""
    try:
        return [AzureDeployment(each) for each in cloud.pages(f"{endpoint_path(name)}/deployments")]
    except Absent:
        return []


def settle(name: DeploymentName, cloud: AzureMlCloud, seconds: float, note: Callable[[str], None] = lambda _: None) -> AzureEndpoint | None:
    """The endpoint once Azure is done with it and with all deployments in it; None where there is none.

    Raises:
        TimedOut: it isn't yet.
    """

    at = cloud.endpoint_of(name)

    def look() -> tuple[AzureEndpoint | None, str]:
        found = endpoint(at, cloud)
        if found is None or found.busy:
            return found, f"the endpoint is {found.state}" if found else ""
        inside = deployments(at, cloud)
        busy = next((each for each in inside if each.busy), None)
        return found.holding(inside), f"deployment {busy.name} is {busy.state}" if busy else ""

    for found, busy in poll(look, seconds=seconds, late=lambda seen: late(at, seen[1], seconds), pauses=LOOKS, sleep=cloud.connection.sleep):
        if not busy:
            return found
        note(busy)
    raise AssertionError("poll ends by its error")


def idle(name: str, cloud: AzureMlCloud, seconds: float, note: Callable[[str], None]) -> AzureEndpoint | None:
    """The endpoint once Azure is done with it, whatever its deployments do; None where there is none.

    Raises:
        TimedOut: it isn't yet.
    """
    for found in watched(name, "the endpoint", partial(endpoint, name, cloud), cloud, seconds):
        if found is None or not found.busy:
            return found
        note(found.state)
    raise AssertionError("poll ends by its error")


def when_free(name: str, cloud: AzureMlCloud, send: Callable[[], object], seconds: float) -> None:
    """Send a change. Azure makes one at a time: while another is in progress, or our own whose answer was lost, it is sent again.

    Raises:
        TimedOut: it is in progress still.
    """

    def refused() -> Overtaken | None:
        try:
            send()
        except Overtaken as busy:
            return busy
        return None

    def out_of_time(no: Overtaken | None) -> DeployerError:
        return late(name, no.message if no else "", seconds)

    for busy in poll(refused, seconds=seconds, late=out_of_time, pauses=LOOKS, sleep=cloud.connection.sleep):
        if busy is None:
            return


def remove(name: str, these: Collection[str], cloud: AzureMlCloud, seconds: float) -> None:
    """Remove deployments of an endpoint, all at once, and wait until they are gone."""
    for each in these:
        when_free(name, cloud, partial(cloud.change, "DELETE", deployment_path(name, each)), seconds)
    looks = poll(
        lambda: [each.name for each in deployments(name, cloud) if each.name in these],
        seconds=seconds,
        late=lambda left: late(name, f"{', '.join(left)} is being removed", seconds),
        pauses=LOOKS,
        sleep=cloud.connection.sleep,
    )
    for left in looks:
        if not left:
            return


def watched(
    name: str, what: str, look: Callable[[], Found | None], cloud: AzureMlCloud, seconds: float, *, begun: float | None = None
) -> Iterator[Found | None]:
    """What is found at each look at something under way, until whoever asks has seen enough.

    Args:
        begun: since when the seconds count, by the monotonic clock; None: from now.

    Raises:
        TimedOut: the seconds are over; says what `what` is then.
    """

    def out_of_time(found: Found | None) -> DeployerError:
        return late(name, f"{what} is {found.state if found else 'gone'}", seconds)

    waited = time.monotonic() - begun if begun is not None else 0.0
    return poll(look, seconds=seconds - waited, late=out_of_time, pauses=LOOKS, sleep=cloud.connection.sleep)


def late(name: str, what: str, seconds: float) -> DeployerError:
    advice = "the same command waits again; --timeout gives it longer"
    return TimedOut(f"{name} is still being changed after {duration(seconds)}", why=what, advice=advice)


def put(name: str, cloud: AzureMlCloud, path: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Make or change what is at a path of an endpoint, once Azure is free; as it is then. How that goes is told by `followed`.

    Raises:
        TimedOut: something else is in progress still.
    """
    return begin(name, cloud, path, partial(cloud.change, "PUT", path, body), seconds).document


def delete(name: str, cloud: AzureMlCloud, path: str, seconds: float) -> bool:
    """Delete what is at a path of an endpoint, once Azure is free; false where nothing is. How that goes is told by `followed`.

    Raises:
        TimedOut: something else is in progress still.
    """
    try:
        return begin(name, cloud, path, partial(cloud.change, "DELETE", path), seconds).status != _NOTHING_THERE
    except Absent:
        return False


def begin(name: str, cloud: AzureMlCloud, path: str, send: Callable[[], AzureAnswer], seconds: float) -> AzureAnswer:
    """Send what Azure then goes on with, once it is free; its answer. How that goes at the path is told by `followed`.

    Raises:
        TimedOut: something else is in progress still.
    """
    answers: list[AzureAnswer] = []
    when_free(name, cloud, lambda: answers.append(send()), seconds)
    cloud.learnt["operation", path] = answers[-1].headers.get("Azure-AsyncOperation") or ""
    return answers[-1]


def followed(cloud: AzureMlCloud, path: str, seconds: float) -> Iterator[tuple[str, str]]:
    """How what this run has begun at a path goes: Azure's word for it and, where it failed, why, which the resource alone doesn't say.

    Nothing, where this run began nothing. The last is the end of it, or what was seen last.
    """
    url = cloud.learnt.get(("operation", path))
    if not url:
        return

    def look() -> tuple[str, str]:
        with suppress(Absent):  # Azure forgets operations after a while
            told = cloud.at("GET", url).document
            return str(told.get("status") or ""), reason_of(told.get("error"))
        return "", ""

    for status, reason in poll(look, seconds=seconds, pauses=LOOKS, sleep=cloud.connection.sleep):
        yield status, reason
        if status in ("Succeeded", "Failed", "Canceled", ""):
            cloud.learnt.pop(("operation", path), None)
            return
