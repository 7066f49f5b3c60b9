"""The target contract: what a place to deploy to is. A third party adds a cloud by writing this class and one entry point (`deployer.targets`).

Pure: plan, plan_delete, plan_prune, container. The rest may ask the cloud. `deployer.conformance` holds every target to these docstrings. What only
some targets can do is in `deployer.core.capabilities`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from deployer.core.container import Container
from deployer.core.plan import Plan
from deployer.core.selectors import tags_of
from deployer.core.state import DeploymentName, Digest, Generation, Image, Observed, PackagedModel, Provenance, Record, Resource, Status, digest_of
from deployer.events import Report

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig  # pydantic, which no completion of a command line waits for

ConfigT = TypeVar("ConfigT", bound="TargetConfig")
Cloud = TypeVar("Cloud")
Cloud_contra = TypeVar("Cloud_contra", contravariant=True)


class Intent(StrEnum):
    """What a command asks for: create demands absence, update demands presence and completes from the record, apply takes the spec as complete."""

    CREATE = "create"
    UPDATE = "update"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class TargetUri:
    """`sagemaker:/us-west-2/arn:aws:iam::1:role/deployer`: a scheme and what the target reads from the rest, without the leading slash."""

    scheme: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> TargetUri:
        """Split at the first colon; `sagemaker`, `sagemaker:`, `sagemaker:/` and `deployer-sagemaker:/` (as MLflow users name it) are the same."""
        scheme, _, rest = text.partition(":")
        return cls(scheme.removeprefix("deployer-"), rest.removeprefix("/"))

    def __str__(self) -> str:
        return f"{self.scheme}:/{self.path}" if self.path else self.scheme


@dataclass(frozen=True, slots=True)
class DeploymentRequest(Generic[ConfigT]):
    """What the user asks for, completed from the record where the intent is update.

    Attributes:
        endpoint: the one that the deployment of this name is to be behind; None where a deployment is its own endpoint.
        config: validated options; `named` are those that this run names itself.
        image: the reference in service (update), which stays where it still fits and no image_url is named.
        packages: where the model's packages come from, and so how the image must fit, as `deployer.core.compatibility.MODES` has it.
        exported: it is only written down as files: no cloud that it may go to is asked what it can.
        allow_build: whether packages may be built, which runs their code, to learn what would be installed.
    """

    name: DeploymentName
    intent: Intent
    model: PackagedModel
    config: ConfigT
    named: frozenset[str] = frozenset()
    image: str | None = None
    packages: str = "auto"
    provenance: Provenance = field(default_factory=Provenance)
    adopt: bool = False
    allow_build: bool = False
    exported: bool = False
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentSpec(Generic[ConfigT]):
    """What the user wants, with everything that only the cloud could tell filled in.

    Attributes:
        record: all of it that is kept: the address, the model, the names of what is made.
        config: all options, those with secrets and those that no record keeps too.
        image: as its registry describes it.
        path: where the model's files are on this machine; None where it is known from a record alone.
        made: it is a generation whose resources are all there: nothing is made, the traffic alone goes to it.
        warnings: what may go wrong with it there, a sentence each.
        rests: a run that brought it to its share ended before it said so (`history.rests`): the pause comes before the next step.
    """

    record: Record
    config: ConfigT
    image: Image
    path: Path | None = None
    made: bool = False
    rests: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> DeploymentName:
        return self.record.deployment

    @property
    def endpoint(self) -> str | None:
        return self.record.endpoint

    @property
    def model(self) -> PackagedModel:
        return PackagedModel(self.record.model, self.path)

    @property
    def generation(self) -> str:
        return self.record.generation


def record_of(
    request: DeploymentRequest[ConfigT],
    image: Image,
    config: TargetConfig,
    resources: Sequence[Resource],
    *,
    secrets: str = "",
) -> Record:
    """The record of what `request` asks for once `image`, `config` (defaults filled in) and the names of its resources are known."""
    return Record(
        deployment=request.name,
        endpoint=request.endpoint,
        packages=request.packages,
        generation=generation_of(request, image, config, secrets),
        model=request.model.facts,
        image=image.reference,
        options=config.recorded(),
        revision=config.revision(secrets),
        resources=tuple(resources),
        secrets=secrets,
        provenance=request.provenance,
    )


def generation_of(request: DeploymentRequest[ConfigT], image: Image, config: TargetConfig, secrets: str = "") -> str:
    """The id of the generation that `request` asks for."""
    return generation_by(request.model.digest, image, config, request.packages, secrets)


def generation_by(model: Digest, image: Image, config: TargetConfig, packages: str, secrets: str = "") -> str:
    """The same by what it goes by. Packages that each start installs make another one of the same image."""
    revision = config.revision(secrets)
    if packages == "at-start":
        revision = digest_of([revision, packages])
    return Generation(model, image.digest, revision).id


def environment_of(
    request: DeploymentRequest[ConfigT], observed: Observed | None, kept: Callable[[Record], Mapping[str, str] | None]
) -> dict[str, str]:
    """The variables that are asked for; an update that names none keeps those of what serves, where the cloud has them still.

    Args:
        kept: the environment of a recorded generation as the cloud has it; None where that is gone.
    """
    if request.intent is Intent.UPDATE and "env" not in request.named and observed and observed.record:
        return dict(kept(observed.record) or {})
    return dict(request.config.env)


def secrets_of(environment: Mapping[str, str], observed: Observed | None, kept: Callable[[Record], Mapping[str, str] | None]) -> str:
    """The id that stands for an environment: that of a generation that has the same, else a new one. No digest of it is anywhere.

    Args:
        kept: the environment of a recorded generation as the cloud has it; None where that is gone.
    """
    if not environment:
        return ""
    records = observed.records if observed else {}
    nearest = sorted(records.values(), key=lambda record: record.generation != (observed.serving if observed else None))
    return next((each.secrets for each in nearest if each.secrets and kept(each) == environment), "") or uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of `list`.

    Attributes:
        columns: the target's own ("INSTANCES": "2 ml.m5.large"), in order.
        tags: what a selector goes by, where the target doesn't itself.
        path: of the URI that it is reached under, where that isn't the one that was asked.
    """

    name: DeploymentName
    status: Status
    model: str = ""
    generation: str = ""
    created: datetime | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    endpoint: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None

    @classmethod
    def of(cls, observed: Observed, columns: Mapping[str, str]) -> Summary:
        """Of what was observed whole; a target with many deployments asks less for each."""
        record, serving = observed.record, observed.serving or ""
        model, created = (record.model.uri, record.provenance.made) if record else ("", None)
        return cls(observed.name, observed.status, model, serving, created, columns, observed.reason, observed.endpoint, tags_of(record))


@dataclass(frozen=True, slots=True)
class Payload:
    """A request's or an answer's body as it goes over the wire."""

    body: bytes
    content_type: str = "application/json"
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's log. `source` is the container or stream that it came from; `time` is UTC where the cloud tells it."""

    text: str
    source: str = ""
    time: datetime | None = None


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of `doctor`: what was looked at, how it is, and what to do where it's wrong."""

    subject: str
    verdict: Verdict
    detail: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """A deployment as files.

    Attributes:
        files: path below a directory to text.
        needs: what has to be there before they are applied, a sentence each.
        commands: those that apply them, in this order, where that isn't one tool's one command.
    """

    files: Mapping[str, str]
    needs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class Target(Protocol[ConfigT, Cloud]):
    """A place to deploy to. Stateless: all that a run needs to reach it is in the `Cloud` that `connect` gives."""

    scheme: str

    @property
    def config(self) -> type[ConfigT]:
        """The options, typed and marked."""

    def name_for(self, candidate: str) -> DeploymentName:
        """The nearest valid name to what a model or directory is called."""

    def check_name(self, name: str) -> DeploymentName:
        """The name, if it is valid here.

        Raises:
            ConfigInvalid: what the limits are and which one it breaks.
        """

    def connect(self, uri: TargetUri, config: ConfigT) -> Cloud:
        """A client for that place. Cheap; asks nothing yet.

        Raises:
            ConfigInvalid: the URI isn't one of this target.
            CredentialsInvalid: none are configured.
        """

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """Options that the user didn't name but configured elsewhere for this platform (the cloud SDK's own files), and where each came from."""

    def settle(self, name: DeploymentName, cloud: Cloud, report: Report, timeout_seconds: float) -> None:
        """Wait until the cloud is done with what it does to this name. Returns at once where the name is absent or at rest.

        Raises:
            TimedOut: it isn't done yet.
        """

    def claim(self, name: DeploymentName, cloud: Cloud, config: ConfigT) -> Cloud:
        """The cloud as this run holds it: the newest run owns the name, and each changing call looks first whether it still does.

        `config` is the deployment's, not the run's: all options as they are to be, or, where something is to go, as they are.

        The steps raise Conflict once a newer run has claimed the name. No lease: a killed run blocks nobody.
        """

    def observe(self, name: DeploymentName, cloud: Cloud) -> Observed | None:
        """What is there. None where nothing of ours is; never a state file.

        Raises:
            NotOurs: the name is taken by something without our tag, which was not adopted.
        """

    def resolve(self, request: DeploymentRequest[ConfigT], observed: Observed | None, cloud: Cloud) -> DeploymentSpec[ConfigT]:
        """Ask the cloud what the user left open: image tag to digest, role, account, defaults. Changes nothing."""

    def plan(self, spec: DeploymentSpec[ConfigT], observed: Observed | None) -> Plan[Cloud]:
        """The steps from what is there to what is wanted; empty where they are the same. Pure."""

    def plan_delete(self, name: DeploymentName, observed: Observed, config: ConfigT) -> Plan[Cloud]:
        """The steps to nothing of ours left. Pure."""

    def plan_prune(self, name: DeploymentName, observed: Observed, config: ConfigT) -> Plan[Cloud]:
        """The steps (all of them `forward`: one that fails is an error) after which what takes traffic and the `config.keep` generations before
        it, by descent, are there, whole, and nothing else of ours is (`generations.prunable`). Asked only while a recorded generation serves and
        none is on its way. Pure.
        """

    def container(self, spec: DeploymentSpec[ConfigT]) -> Container:
        """What run-local runs: exactly what the target would. The model is mounted from `spec.model.path`. Pure."""

    def list(self, cloud: Cloud) -> Iterator[Summary]:
        """All deployments of ours, page by page."""

    def predict(self, name: DeploymentName, payload: Payload, cloud: Cloud) -> Payload:
        """Send one request to the deployment.

        Raises:
            DeploymentNotFound, TargetUnavailable; ModelError-like refusals as ConfigInvalid with the container's own words.
        """

    def logs(self, name: DeploymentName, cloud: Cloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
        """The container's lines, oldest first: the last `tail` (0: all), then, if `follow`, those that come, until closed."""

    def doctor(self, cloud: Cloud) -> Iterator[Diagnosis]:
        """All that a deploy would need, looked at one by one; a finding never raises."""
