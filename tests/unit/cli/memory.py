"""A target in memory, whole but small: what the command line and the client are tested over. `CLOUDS` holds what is deployed, by the URI's path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from deployer import generations
from deployer.container import Container
from deployer.errors import ConfigInvalid, DeploymentNotFound, RolloutFailed
from deployer.events import Report
from deployer.options import GENERATION, LIVE, TargetConfig
from deployer.plan import Effect, Plan, Progress, Step
from deployer.state import DeploymentName, Image, Observed, Record, Resource, Share, Status, digest_of, short
from deployer.target import DeploymentSpec, Finding, LogLine, Payload, Request, Summary, TargetUri, Verdict, record_of

PACKAGES = {"mlflow": "3.17.2", "scikit-learn": "1.9.1", "pandas": "3.1.1", "numpy": "2.4.6"}


class Resources(BaseModel):
    """What a container may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: str = Field("1Gi", description="At most so much memory.")


class Options(TargetConfig):
    """The options of the in-memory target."""

    instance_type: Annotated[str, GENERATION] = Field("small", description="What it runs on.")
    instance_count: Annotated[int, LIVE] = Field(1, gt=0, description="On how many it runs.")
    resources: Annotated[Resources, GENERATION] = Field(Resources(memory="1Gi"), description="What the container may use.")
    tags: Annotated[Mapping[str, str], LIVE] = Field(default_factory=dict, description="Names and values to find it by.")


@dataclass
class Cloud:
    """What is there. `faults` are raised by the step of that kind; `broken` are models (by digest) that can't be loaded; `now` is what time it is."""

    deployments: dict[str, Observed] = field(default_factory=dict)
    environments: dict[str, Mapping[str, str]] = field(default_factory=dict)
    faults: dict[str, BaseException] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    lines: list[LogLine] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    platform_defaults: dict[str, Any] = field(default_factory=dict)
    sent: list[Payload] = field(default_factory=list)

    def put(self, observed: Observed) -> None:
        self.deployments[observed.name] = observed

    def strike(self, what: str) -> None:
        if what in self.faults:
            raise self.faults[what]


CLOUDS: dict[str, Cloud] = {}


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[Cloud]):
    record: Record
    effect = Effect.CREATE

    def describe(self) -> str:
        return "record"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        name = self.record.deployment
        before = cloud.deployments.get(name, Observed(name, Status.PROGRESSING))
        records = {**before.records, self.record.generation: self.record.replacing(before.serving)}
        cloud.put(replace(before, records=records, resources=before.resources | set(self.record.resources)))
        return True


@dataclass(frozen=True, slots=True)
class UploadModel(Step[Cloud]):
    name: str
    size: int
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        cloud.strike("upload")
        for done in (self.size // 2, self.size):
            progress.moved(done, self.size)
        return True


@dataclass(frozen=True, slots=True)
class PointEndpoint(Step[Cloud]):
    name: str
    record: Record
    env: Mapping[str, str]
    effect = Effect.SWITCH

    def describe(self) -> str:
        return "endpoint"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        cloud.strike("point")
        progress.note("Creating, container loads the model")
        if self.record.model.digest in cloud.broken:
            raise RolloutFailed(
                f"{self.name} can't serve",
                why="the model could not be loaded: ModuleNotFoundError: No module named 'lightgbm'",
                advice="add lightgbm to the model's requirements",
                lines=("loading model from /opt/ml/model", "ModuleNotFoundError: No module named 'lightgbm'"),
            )
        cloud.environments[self.name] = self.env
        cloud.put(replace(cloud.deployments[self.name], status=Status.READY, traffic=(Share(self.record.generation),), url=f"memory:/{self.name}"))
        return True


@dataclass(frozen=True, slots=True)
class AwaitServing(Step[Cloud]):
    name: str
    effect = Effect.READ

    def describe(self) -> str:
        return "endpoint serves"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        cloud.strike("await")
        return False


@dataclass(frozen=True, slots=True)
class SetCount(Step[Cloud]):
    name: str
    record: Record
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "instances"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        cloud.strike("count")
        before = cloud.deployments[self.name]
        cloud.put(replace(before, records={**before.records, self.record.generation: self.record}))
        return True


@dataclass(frozen=True, slots=True)
class Forget(Step[Cloud]):
    """Removes generations; all of them is the whole deployment."""

    name: str
    generations: tuple[str, ...]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "earlier generations"

    def run(self, cloud: Cloud, progress: Progress) -> bool:
        cloud.strike("forget")
        before = cloud.deployments.get(self.name)
        if before is None:
            return False
        records = {key: record for key, record in before.records.items() if key not in self.generations}
        if not records:
            del cloud.deployments[self.name]
            return True
        resources = frozenset(resource for record in records.values() for resource in record.resources)
        cloud.put(replace(before, records=records, resources=resources))
        return True


class Memory:
    """The target."""

    scheme = "memory"

    @property
    def config(self) -> type[Options]:
        return Options

    def name_for(self, candidate: str) -> DeploymentName:
        return DeploymentName(re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")[:20] or "model")

    def check_name(self, name: str) -> DeploymentName:
        if not re.fullmatch(r"[a-z0-9-]{1,20}", name):
            raise ConfigInvalid(f"{name!r} is no name here: 1 to 20 small letters, digits and hyphens", advice="-n NAME")
        return DeploymentName(name)

    def connect(self, uri: TargetUri, config: Options) -> Cloud:
        return CLOUDS.setdefault(uri.path, Cloud())

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        found = CLOUDS.setdefault(uri.path, Cloud()).platform_defaults
        return found, dict.fromkeys(found, "the platform's defaults file")

    def settle(self, name: DeploymentName, cloud: Cloud, report: Report, timeout_seconds: float) -> None:
        cloud.strike("settle")

    def claim(self, name: DeploymentName, cloud: Cloud, config: Options) -> Cloud:
        cloud.strike("claim")
        return cloud

    def observe(self, name: DeploymentName, cloud: Cloud) -> Observed | None:
        cloud.strike("observe")
        return cloud.deployments.get(name)

    def resolve(self, request: Request[Options], observed: Observed | None, cloud: Cloud) -> DeploymentSpec[Options]:
        reference = request.config.image_url or request.image or "registry/deployer-scoring@sha256:0a"
        image = Image(reference, digest_of(reference), tag="0.1.0-py311", python_version="3.11.7", packages=PACKAGES)
        data = Resource("object", f"{request.name}/{short(request.model.digest)}")
        secrets = "same" if request.config.env else ""
        record = record_of(request, image, request.config, [data], secrets=secrets)
        return DeploymentSpec(record, request.config, image, request.model.path)

    def plan(self, spec: DeploymentSpec[Options], observed: Observed | None) -> Plan[Cloud]:
        record = spec.record
        if observed and observed.serving == record.generation:
            same = observed.records[record.generation].options == record.options
            return Plan() if same else Plan(live=(SetCount(spec.name, record.replacing(observed.records[record.generation].replaces)),))
        record = generations.successor(record, observed)
        goes = self._past(observed, record, spec.config.keep) if observed else ()
        whole = (WriteRecord(record), UploadModel(spec.name, spec.model.facts.size))
        return Plan(
            forward=(*whole, PointEndpoint(spec.name, record, spec.config.env), AwaitServing(spec.name), *whole),
            back=(Forget(spec.name, (record.generation,)),),
            sweep=(Forget(spec.name, goes),) if goes else (),
            removes=self._of(observed, goes) - set(record.resources) if observed else frozenset(),
        )

    def plan_delete(self, name: DeploymentName, observed: Observed, config: Options) -> Plan[Cloud]:
        return Plan(forward=(Forget(name, tuple(observed.records)),), removes=observed.resources)

    def plan_prune(self, name: DeploymentName, observed: Observed, config: Options) -> Plan[Cloud]:
        goes = self._past(observed, observed.record, config.keep) if observed.record else ()
        return Plan(forward=(Forget(name, goes),) if goes else (), removes=self._of(observed, goes))

    def container(self, spec: DeploymentSpec[Options]) -> Container:
        return Container(image=spec.image.reference, command=("serve",), port=8080, environment=spec.config.env)

    def list(self, cloud: Cloud) -> Iterator[Summary]:
        for each in cloud.deployments.values():
            record = each.record
            yield Summary(
                each.name,
                each.status,
                model=record.model.uri if record else "",
                generation=each.serving or "",
                created=datetime.fromisoformat(record.provenance.time) if record else None,
                columns={"INSTANCES": f"{record.options['instance_count']} {record.options['instance_type']}" if record else ""},
                reason=each.reason,
            )

    def predict(self, name: DeploymentName, payload: Payload, cloud: Cloud) -> Payload:
        """Answers with what it was sent: rows of `dataframe_split` doubled, anything else as it is."""
        self._present(name, cloud)
        cloud.sent.append(payload)
        if payload.content_type != "application/json":
            return payload
        asked = json.loads(payload.body)
        rows = asked.get("dataframe_split", {}).get("data")
        return Payload(json.dumps({"predictions": asked if rows is None else [2 * row[0] for row in rows]}).encode())

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: Cloud) -> Iterator[bytes]:
        self._present(name, cloud)
        yield from (b"one\n", b"two\n")

    def logs(self, name: DeploymentName, cloud: Cloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
        self._present(name, cloud)
        yield from cloud.lines[-tail:]
        cloud.strike("follow")

    def doctor(self, cloud: Cloud) -> Iterator[Finding]:
        yield Finding("memory", Verdict.OK, "is there")
        yield from cloud.findings

    def _present(self, name: DeploymentName, cloud: Cloud) -> None:
        cloud.strike("predict")
        if name not in cloud.deployments:
            raise DeploymentNotFound(f"there is no deployment {name}")

    def _past(self, observed: Observed, record: Record, keep: int) -> tuple[str, ...]:
        stays = generations.lineage(generations.succeeded(record, observed), keep)
        return tuple(each for each in observed.records if each not in stays)

    def _of(self, observed: Observed, goes: tuple[str, ...]) -> frozenset[Resource]:
        return observed.resources & generations.belongings(observed.records, goes)
