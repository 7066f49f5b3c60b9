"""What things of a deployment are called in a workspace and its store, and the tags by which they are found. Pure.

The endpoint has the deployment's name. Each generation is an Azure deployment inside it, a registered model and an environment; records, claim,
history and the models' files are blobs below a prefix of the deployment's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deployer.core import generations
from deployer.core.ledger import ROOT, LedgerKeys
from deployer.core.state import DeploymentName, Digest, Record, Resource, Share, short
from deployer.errors import ConfigInvalid

ENDPOINT, DEPLOYMENT, ENVIRONMENT, MODEL, DATA = "endpoint", "deployment", "environment", "model", "data"
GROUP, SECRET, KEYS = "container group", "secret", "keys"
DATA_ASSET = "data asset"
ASSETS = frozenset({MODEL, ENVIRONMENT, DATA_ASSET})
"""What Azure archives, and never removes."""
RECORD, HISTORY, CLAIM = generations.RECORD, "history", "claim"
ORDER = (DEPLOYMENT, ENVIRONMENT, MODEL, DATA_ASSET, DATA, SECRET, KEYS, RECORD, HISTORY, CLAIM)
"""In which things go: what is recorded is never out of sight."""

ENDPOINTS = "deployer-endpoints/"
"""Below which the blobs of endpoints are that several named deployments share."""

TAG_DEPLOYMENT = "deployer-deployment"
"""The tag of what is ours; its value is the deployment's name."""
TAG_SERVING, TAG_CANDIDATE = "deployer-serving", "deployer-candidate"
"""Of an endpoint that two generations share: which was there first, and which is tried. Percentages alone don't say."""

TAG_SINCE = "deployer-since"
"""When an endpoint was given the traffic that it has, RFC 3339."""
TAG_GENERATION = "deployer-generation"
"""Of an Azure deployment that is updated in place, and so isn't named by its generation: which one it is."""
TAG_IN_PLACE = "deployer-in-place"
"""Of an endpoint in which a deployment was updated in place, so that its name alone doesn't tell the generation."""
TAG_ENDPOINT = "deployer-endpoint"
"""Of an endpoint that several named deployments share; its value is the endpoint's name."""

OUR_TAGS = frozenset({TAG_DEPLOYMENT, TAG_SERVING, TAG_CANDIDATE, TAG_SINCE, TAG_GENERATION, TAG_IN_PLACE, TAG_ENDPOINT})

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{1,30}[a-z0-9])")
_LONGEST, _LONGEST_TOGETHER = 32, 62
_GENERATION = re.compile(r"g([0-9a-f]{10})")


def name_for(candidate: str) -> DeploymentName:
    """The nearest name that an endpoint can have."""
    text = re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")
    text = re.sub(r"^(?=[^a-z])", "m-", text)[:_LONGEST].strip("-")
    return DeploymentName(text if _NAME.fullmatch(text) else f"model-{text}".strip("-")[:_LONGEST].strip("-"))


def check_together(endpoint: str, deployment: str) -> None:
    """Return if a cluster can have a deployment of this name behind an endpoint of that one.

    Raises:
        ConfigInvalid: they are too long together.
    """
    if (length := len(endpoint) + len(deployment)) > _LONGEST_TOGETHER:
        raise ConfigInvalid(
            f"endpoint {endpoint} and deployment {deployment} have {length} characters together: "
            f"at most {_LONGEST_TOGETHER} on a cluster of Kubernetes",
            advice="choose a shorter name",
        )


def check_name(name: str) -> DeploymentName:
    """The name, if an endpoint can have it. Azure takes capitals, and doesn't tell them from small letters.

    Raises:
        ConfigInvalid: what it may be.
    """
    if not _NAME.fullmatch(name):
        raise ConfigInvalid(
            f"{name!r} can't name an online endpoint: 3 to 32 small letters, digits and hyphens, a letter first and no hyphen last",
            advice=f"-n {name_for(name)} is one",
        )
    return DeploymentName(name)


def deployment_of(generation: str) -> str:
    """What the Azure deployment of a generation is called; one that isn't ours is its own generation."""
    return f"g{generation}" if re.fullmatch(r"[0-9a-f]{10}", generation) else generation


def generation_of(deployment: str) -> str:
    """The generation that an Azure deployment is."""
    match = _GENERATION.fullmatch(deployment)
    return match[1] if match else deployment


def is_ours(deployment: str) -> bool:
    """Whether an Azure deployment is named as generations are."""
    return _GENERATION.fullmatch(deployment) is not None


def asset_of(name: DeploymentName, endpoint: str | None = None) -> str:
    """What the models and environments of a deployment are called; the version tells them apart. No endpoint has an underscore in its name."""
    return f"deployer-{endpoint}_{name}" if endpoint else f"deployer-{name}"


@dataclass(frozen=True, slots=True)
class ExportedNames:
    """What things are called that no run of this tool makes: by the deployment's own name.

    Attributes:
        asset: the model and the environment.
        shared: whether the endpoint is there already, for several deployments.
    """

    endpoint: str
    deployment: str
    asset: str
    shared: bool

    @classmethod
    def of(cls, name: DeploymentName, endpoint: str | None, generation: str) -> ExportedNames:
        """`generation` is what it is called in an endpoint of its own."""
        asset = asset_of(name, endpoint).removeprefix("deployer-")
        return cls(endpoint or name, name if endpoint else generation, asset, endpoint is not None)


def keeps_variables(record: Record) -> bool:
    """Whether a generation's variables are in the workspace's store."""
    return any(each.kind == SECRET for each in record.resources)


def endpoint(name: str) -> Resource:
    return Resource(ENDPOINT, name)


def group(name: str) -> Resource:
    """The container group of a deployment that is one."""
    return Resource(GROUP, name)


def beside(name: DeploymentName, endpoint: str | None = None) -> frozenset[Resource]:
    """What is the deployment's, and no generation's; behind an endpoint the claim is that one's."""
    return frozenset({Resource(HISTORY, name)} | ({Resource(CLAIM, name)} if endpoint is None else set()))


def tags_for(name: DeploymentName, traffic: tuple[Share, ...], own: Mapping[str, str], since: str = "", *, in_place: bool = False) -> dict[str, str]:
    """An endpoint's tags: the user's own, and ours."""
    shared = {TAG_SERVING: traffic[0].generation, TAG_CANDIDATE: traffic[1].generation} if len(traffic) > 1 else {}
    told = {TAG_SINCE: since} if since else {}
    return {**own, TAG_DEPLOYMENT: name, **shared, **told, **({TAG_IN_PLACE: "true"} if in_place else {})}


def traffic_of(shares: Mapping[str, int], tags: Mapping[str, str], held: Mapping[str, str] | None = None) -> tuple[Share, ...]:
    """The traffic of an endpoint: percentages by Azure deployment, and its tags. Azure may leave zeros out.

    Args:
        held: the generation that each Azure deployment is, where that was looked at; the others are those that they are named by.
    """
    by_generation = {(held or {}).get(deployment) or generation_of(deployment): percent for deployment, percent in shares.items()}
    serving, candidate = tags.get(TAG_SERVING), tags.get(TAG_CANDIDATE)
    total = sum(by_generation.values())
    if serving and candidate and total and total == sum(by_generation.get(each, 0) for each in (serving, candidate)):
        return (Share(serving, by_generation.get(serving, 0)), Share(candidate, by_generation.get(candidate, 0)))
    live = {generation: percent for generation, percent in by_generation.items() if percent}
    return tuple(Share(generation, percent) for generation, percent in sorted(live.items(), key=lambda each: -each[1]))


@dataclass(frozen=True, slots=True)
class Shelf(LedgerKeys):
    """A deployment's blobs, by their names. Behind an endpoint that several share they are below that, and the claim is the endpoint's."""

    deployment: DeploymentName
    endpoint: str | None = None

    @property
    def prefix(self) -> str:
        return f"{ENDPOINTS}{self.endpoint}/{self.deployment}/" if self.endpoint else f"{ROOT}{self.deployment}/"

    @property
    def claim(self) -> str:
        return f"{ENDPOINTS}{self.endpoint}.claim" if self.endpoint else f"{self.prefix}claim"

    def data(self, model: Digest | str) -> str:
        """The folder of a model's files; the last part is what Azure mounts it as."""
        return f"{self.prefix}models/{short(model)}/"

    def seal(self, model: Digest | str) -> str:
        """The blob that says that a model's files are all there."""
        return f"{self.prefix}sealed/{short(model)}"

    def secret(self, identity: str) -> str:
        """The variables of generations whose record names this."""
        return f"{self.prefix}secrets/{identity}.json"

    @property
    def keys(self) -> str:
        """The keys of a server that checks them by itself."""
        return f"{self.prefix}keys.json"

    def resource_of(self, blob: str) -> Resource:
        """The resource that a blob of this deployment is, or is part of."""
        kind, _, rest = blob.removeprefix(self.prefix).partition("/")
        match kind:
            case "claim":
                return Resource(CLAIM, self.deployment)
            case "history.json":
                return Resource(HISTORY, self.deployment)
            case "secrets":
                return Resource(SECRET, rest.removesuffix(".json"))
            case "keys.json":
                return Resource(KEYS, self.deployment)
            case "generations":
                return Resource(RECORD, rest.removesuffix(".json"))
            case _:
                return Resource(DATA, rest.partition("/")[0])
