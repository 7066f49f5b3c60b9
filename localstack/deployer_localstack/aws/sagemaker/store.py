"""SageMaker's models, endpoint configurations and endpoints of one account and region, with their tags."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import validation

if TYPE_CHECKING:
    from deployer_localstack.aws.dataplane import Fleet

MAXIMUM_TAGS = 50


@dataclass(slots=True)
class StoredResource:
    """A model or an endpoint configuration: what was sent, verbatim, and when."""

    name: str
    arn: str
    document: Mapping[str, Any]
    tags: dict[str, str]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Variant:
    """What DescribeEndpoint says of a production variant."""

    name: str
    model: str
    document: Mapping[str, Any]
    weight: float
    count: int | None
    images: tuple[tuple[str, str], ...] = ()
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def instance_type(self) -> str:
        return str(self.document.get("InstanceType", ""))


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a rollout is.

    Attributes:
        status: in the words of DescribeEndpoint: Creating, ActivatingTraffic, Baking, Deleting.
        share: of the traffic that the new fleet has, of 1.
        rolling: the new fleet has this share of the instances, too.
    """

    status: str
    share: float = 0.0
    rolling: bool = False
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class DeployedConfig:
    """A configuration with the variants made of it: what serves, or what is being rolled out."""

    config: str
    document: Mapping[str, Any]
    variants: list[Variant]
    shadows: list[Variant] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    stage: Stage = field(default_factory=lambda: Stage("Creating"))


@dataclass(slots=True)
class Endpoint:
    """An endpoint. `current` serves (None until it was InService once), `pending` is on its way."""

    name: str
    arn: str
    config: str
    tags: dict[str, str]
    status: str = "Creating"
    failure_reason: str | None = None
    current: DeployedConfig | None = None
    pending: DeployedConfig | None = None
    last_deployment_config: Mapping[str, Any] | None = None
    fleets: tuple[tuple[Fleet, float], ...] = ()
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: threading.Event = field(default_factory=threading.Event)

    def become(self, status: str) -> None:
        self.status = status
        self.modified = datetime.now(UTC)


AnyResource = TypeVar("AnyResource", StoredResource, Endpoint)


@dataclass(slots=True)
class RegionStore:
    """What one place has. `lock` guards every look and change that must be of one piece."""

    place: AccountRegion
    models: dict[str, StoredResource] = field(default_factory=dict)
    configs: dict[str, StoredResource] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def model(self, name: str) -> StoredResource:
        return self._find(self.models, "model", "model", name)

    def config(self, name: str) -> StoredResource:
        return self._find(self.configs, "endpoint configuration", "endpoint-config", name)

    def endpoint(self, name: str) -> Endpoint:
        return self._find(self.endpoints, "endpoint", "endpoint", name)

    def refuse_existing(self, known: Mapping[str, object], words: str, kind: str, name: str) -> None:
        """Names are unique without regard to case, as the ARNs made of them are in lower case."""
        if any(existing.lower() == name.lower() for existing in known):
            raise validation(f'Cannot create already existing {words} "{self.place.arn(kind, name)}".')

    def tags_of(self, arn: str) -> dict[str, str] | None:
        """The tags of the resource with this ARN, to read or to change; None where it's not of the three kinds."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        known: Mapping[str, StoredResource] | Mapping[str, Endpoint]
        if kind == "model":
            known = self.models
        elif kind == "endpoint-config":
            known = self.configs
        elif kind == "endpoint":
            known = self.endpoints
        else:
            return None
        found = next((each for each in known.values() if each.arn == arn.lower() or each.arn == arn), None)
        if found is None:
            words = "endpoint configuration" if kind == "endpoint-config" else kind
            raise validation(f'Could not find {words} "{self.place.arn(kind, name)}".')
        return found.tags

    def _find(self, known: Mapping[str, AnyResource], words: str, kind: str, name: str) -> AnyResource:
        found = known.get(name) or next((each for key, each in known.items() if key.lower() == name.lower()), None)
        if found is None:
            raise validation(f'Could not find {words} "{self.place.arn(kind, name)}".')
        return found


class SageMakerStore:
    """The shelves of all places."""

    def __init__(self) -> None:
        self._shelves: dict[AccountRegion, RegionStore] = {}
        self._lock = threading.Lock()

    def shelf(self, place: AccountRegion) -> RegionStore:
        with self._lock:
            return self._shelves.setdefault(place, RegionStore(place))

    def shelves(self) -> list[RegionStore]:
        with self._lock:
            return list(self._shelves.values())

    def clear(self) -> None:
        with self._lock:
            self._shelves.clear()


def read_tags(tags: list[dict[str, str]] | None, existing: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tags of a request, over those that are there; a key again overwrites.

    Raises:
        AwsError: a key twice in one request, a key of AWS's own, more than fifty in all.
    """
    seen: dict[str, str] = {}
    for tag in tags or ():
        if tag["Key"] in seen:
            raise validation(f"Duplicate tag keys found. Please note that Tag keys are case insensitive. Key: {tag['Key']}")
        if tag["Key"].lower().startswith("aws:"):
            raise validation("Invalid tag key: keys beginning with aws: are reserved for system use")
        seen[tag["Key"]] = tag["Value"]
    together = {**(existing or {}), **seen}
    if len(together) > MAXIMUM_TAGS:
        raise validation(f"Too many tags: {len(together)} of at most {MAXIMUM_TAGS}")
    return together


def write_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
