"""What a deployment is: names, digests, generations, the record of each and what the cloud says of it. Frozen data, no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NewType

from deployer.words import size

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    View = TypeVar("View", default=Any)
else:
    from typing import TypeVar

    View = TypeVar("View")  # with a default, a bare `Observed` is one whose view nobody asks for; typing has those from Python 3.13

from deployer.errors import ConfigInvalid, MachineFault

DeploymentName = NewType("DeploymentName", str)
Digest = NewType("Digest", str)
"""`sha256:` and 64 hex digits."""


def digest_of(value: object) -> Digest:
    """The digest of a JSON-ready value, the same whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def short(digest: str) -> str:
    """The ten hex digits of a digest that names and people use."""
    return digest.removeprefix("sha256:")[:10]


class Status(StrEnum):
    """The state of a deployment, the same words on every target."""

    READY = "ready"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Generation:
    """One version of a deployment: a model in an image with the options that need a new version. The same three always give the same id."""

    model: Digest
    image: Digest
    revision: Digest

    @property
    def id(self) -> str:
        """Ten hex digits of the digest of the three."""
        return short(digest_of([self.model, self.image, self.revision]))


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model without its files, as a record keeps it.

    Attributes:
        uri: as the user gave it; what it stood for then is in `version` and `run_id`.
        size: bytes of all files.
        location: the address of its files in a store or on a server, where `uri` isn't that.
        framework: "sklearn 1.9.1", for people.
        requirements: as the model pins them, one PEP 508 requirement each.
        beside: what else tells its environment from others with the same requirements, as pip's options: constraints, folders of packages, and
            what is installed before all else.
        signature: MLflow's JSON of inputs, outputs and params, or None.
        loader_module: the module that loads it; one of mlflow's needs mlflow in the image.
        needs_mlflow: false where it's certain that ours loads it without (`deployer.checks.mlflow_needed`).
    """

    uri: str
    digest: Digest
    size: int = 0
    location: str = ""
    framework: str = ""
    python_version: str = ""
    requirements: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    signature: Mapping[str, Any] | None = None
    registered_name: str = ""
    version: str = ""
    run_id: str = ""
    loader_module: str = ""
    needs_mlflow: bool = True

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ModelFacts:
        """Read back what `asdict` wrote; keys that a later version of this tool added are ignored."""
        known = {key: document[key] for key in cls.__dataclass_fields__ if key in document}
        return cls(**{**known, **{name: tuple(known.get(name, ())) for name in ("requirements", "beside")}})


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model to deploy. `path` is its directory on this machine, or None where it's known from a record alone (an update that names no model)."""

    facts: ModelFacts
    path: Path | None = None

    @property
    def digest(self) -> Digest:
        return self.facts.digest

    @property
    def directory(self) -> Path:
        """Where its files are.

        Raises:
            ConfigInvalid: not on this machine.
        """
        if self.path is None:
            raise ConfigInvalid("the model isn't on this machine", advice="name it: -m MODEL")
        return self.path


@dataclass(frozen=True, slots=True)
class PlannedPackages:
    """What is still to be made of an image: a model's packages, on top of the shared one.

    Attributes:
        shared: that image, as people know it.
        address: of the layer that the packages make.
        size: bytes to fetch; 0 where the index doesn't say.
        there: whether the registry has the layer already.
        built: why it is built by an engine in the image: "x is only a source distribution"; how many packages there are is known then.
        builds: which builds of a framework were chosen for where it will run, and why: "torch 2.5.1+cpu: ml.m5.large has no GPU".
        warnings: what may go wrong with it there.
    """

    shared: str
    address: Digest
    count: int
    size: int = 0
    there: bool = False
    built: tuple[str, ...] = ()
    builds: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """ "deployer-scoring:0.1.0-py311 + packages 5d41402abc (14 packages, 92.0 MB: built now, once for this lock)"."""
        if self.built:
            return f"{self.shared} + packages ({'; '.join(self.built)}: built now by the engine here, in this image)"
        how = "in the registry already" if self.there else "built now, once for this lock"
        large = f", {size(self.size)}" if self.size else ""
        chosen = f"; {self.builds}" if self.builds else ""
        return f"{self.shared} + packages {short(self.address)} ({self.count} packages{large}: {how}{chosen})"


@dataclass(frozen=True, slots=True)
class Image:
    """A scoring image as its registry describes it.

    Attributes:
        reference: registry/repository@sha256:…, never a moving tag.
        packages: name to version of what is installed inside, from the image's label; None where it has none (an image of somebody else).
        unlisted: why `packages` is None, a sentence without its end, where more is known than that nobody has listed them.
        trimmed: whether a model's packages are in it, without what no import needs.
        stand_in: names the process runtime instead of holding files: a cloud without a container engine runs it as a local process.
        planned: what is still to be made of it, if anything; until then its digest stands for what goes into it.
    """

    reference: str
    digest: Digest
    tag: str = ""
    platform: str = "linux/amd64"
    python_version: str = ""
    runtime: str = ""
    packages: Mapping[str, str] | None = None
    trimmed: bool = False
    stand_in: bool = False
    unlisted: str = ""
    planned: PlannedPackages | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who made a generation, from where: user, CI job and git commit where the environment tells them; RFC 3339 time; this tool's version."""

    user: str = ""
    job: str = ""
    commit: str = ""
    time: str = ""
    tool: str = ""

    @property
    def made(self) -> datetime | None:
        """The time, where it is known."""
        try:
            return datetime.fromisoformat(self.time)
        except ValueError:
            return None


FORMAT = 2
"""Of records: goes up where who doesn't know what is new must not go by the rest."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked for, kept in the cloud beside each generation: model, image, options without secrets, who, when.

    It names the generation's resources as they were made (a later version of this tool may name them otherwise) and the generation that it
    `replaces`. Written before anything else is made and removed last, so that nothing half-made is ever out of sight.

    Attributes:
        endpoint: the one that the deployment is behind, where a target has endpoints apart from deployments.
        options: all options by name, JSON-ready, secrets left out.
        packages: where the model's packages come from (see `deployer.core.compatibility`).
        secrets: a random id that changes when a secret option does: no digest that a secret could be guessed from.
    """

    deployment: DeploymentName
    generation: str
    model: ModelFacts
    image: str
    options: Mapping[str, Any]
    revision: Digest
    resources: tuple[Resource, ...]
    replaces: str | None = None
    secrets: str = ""
    provenance: Provenance = field(default_factory=Provenance)
    endpoint: str | None = None
    packages: str = "auto"

    def to_json(self) -> str:
        """One JSON document, keys sorted."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Read what `to_json` wrote, by this or an earlier version of this tool, or by a later one with the same format.

        Raises:
            MachineFault: its format is newer than this version of the tool knows.
            ValueError, KeyError, TypeError: it isn't a record.
        """
        document = json.loads(text)
        if document["format"] > FORMAT:
            whose = f"generation {document.get('generation', '?')} of {document.get('deployment', '?')}"
            raise MachineFault(
                f"the record of {whose} has format {document['format']}: a newer version of this tool wrote it, and this one reads up to {FORMAT}",
                advice="pip install --upgrade deployer-ml, then run the command again; nothing was changed",
            )
        known = {key: document[key] for key in cls.__dataclass_fields__ if key in document}
        known["model"] = ModelFacts.from_document(known["model"])
        known["resources"] = tuple(Resource(**resource) for resource in known["resources"])
        known["provenance"] = Provenance(**{k: v for k, v in known.get("provenance", {}).items() if k in Provenance.__dataclass_fields__})
        return cls(**known)

    def replacing(self, generation: str | None) -> Record:
        """The same, naming the generation that it takes over from."""
        return replace(self, replaces=generation if generation != self.generation else self.replaces)

    def same(self, other: Record) -> bool:
        """Equal but for who wrote it, and when."""
        return replace(self, provenance=other.provenance) == other


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """One thing in the cloud: what sort ("model", "endpoint-config", "object", "upload") and its name there."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Share:
    """Part of the traffic, in percent, that a generation takes."""

    generation: str
    percent: int = 100


@dataclass(frozen=True, slots=True)
class Observed(Generic[View]):
    """What the cloud says of one name. None stands for a name that isn't there.

    Attributes:
        endpoint: the one that it is behind; None where a deployment is its own endpoint.
        traffic: one share of 100 in the plain case, none where nothing serves. While a rollout keeps two: the one that was there first, which
            takes all of it again where the rollout is aborted, then the candidate; each may have anything from 0 to 100.
        incoming: the generation that the cloud itself is still rolling to.
        records: by generation.
        resources: all that is ours: tagged, named by a record, or an unfinished upload under our prefix.
        owned_elsewhere: options whose value somebody else took over since (an autoscaler's count), with that value; and fields of what was made that
            somebody else has set, with who, where the cloud says so.
        reason: why it is failed or degraded, in the cloud's words.
        view: what the target's own planner must know beside all this, in a type of its own.
        detail: the cloud's own description, for `get -o yaml` alone: nothing is planned by it.
    """

    name: DeploymentName
    status: Status
    traffic: tuple[Share, ...] = ()
    incoming: str | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    resources: frozenset[Resource] = frozenset()
    owned_elsewhere: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    url: str = ""
    view: View | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str | None = None

    @property
    def serving(self) -> str | None:
        """The generation in service, or None; while a rollout keeps two, the one that was there first, whatever its share."""
        return self.traffic[0].generation if self.traffic else None

    @property
    def candidate(self) -> str | None:
        """The generation that a rollout has given a share, and that isn't promoted yet."""
        return self.traffic[1].generation if len(self.traffic) > 1 else None

    @property
    def record(self) -> Record | None:
        """The record of the generation that serves."""
        return self.records.get(self.serving) if self.serving else None
