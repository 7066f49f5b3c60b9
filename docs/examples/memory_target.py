"""A whole target, over a cloud in memory: all that a cloud costs. It keeps the contract, and is what our own tests deploy to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from deployer.core import generations, seam
from deployer.core.container import Container
from deployer.core.ledger import WriteRecord
from deployer.core.options import GENERATION, LIVE, TargetConfig
from deployer.core.plan import Effect, Plan, Progress, Step
from deployer.core.rollout import Traffic, way
from deployer.core.state import DeploymentName, Image, Observed, Record, Resource, Share, Status, short
from deployer.core.target import DeploymentRequest, DeploymentSpec, Diagnosis, Intent, LogLine, Payload, Summary, TargetUri, Verdict, record_of
from deployer.core.traffic import Measured, Strategy
from deployer.errors import ConfigInvalid, Conflict, DeployerError, DeploymentNotFound, NotOurs, RolloutFailed, TargetUnavailable, TimedOut
from deployer.events import Report
from docs.examples.memory_cloud import POLL_SECONDS, Cloud, CloudError, Service, cloud_at

VERSION, DATA, HISTORY, CLAIM, SERVICE = "version", "data", "history", "claim", "service"
ORDER = (VERSION, DATA, generations.RECORD, HISTORY, CLAIM)  # in which things go: what is recorded is never out of sight
OWNER = "deployer"  # the label of what is ours; its value is the deployment's name


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


class Absent(DeploymentNotFound):
    """There is no such thing."""


class MemoryFaults(seam.FaultTable):
    """What the cloud's library raises, in our words."""

    known: Mapping[str, type[DeployerError]] = {"NotFound": Absent, "Changed": Conflict, "Busy": Conflict, "InUse": Conflict}

    def transient(self, error: BaseException) -> bool:
        return isinstance(error, CloudError) and error.code == "Throttled"

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        return self.known.get(error.code, TargetUnavailable)(f"{operation}: {error}") if isinstance(error, CloudError) else None


@dataclass(frozen=True, slots=True)
class Client:
    """The seam, where alone the cloud is called. `held`: the name that this run claimed; `adopts`: names whose service counts as ours."""

    cloud: Cloud
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    held: DeploymentName | None = None
    adopts: frozenset[str] = frozenset()

    def ask(self, verb: str, *given: Any, guard: Callable[[], None] | None = None) -> Any:
        """A call that looks, or makes what is named by its content."""
        return seam.Seam(MemoryFaults()).call(lambda: self.cloud.call(verb, *given), verb, guard=guard)

    def change(self, verb: str, *given: Any) -> Any:
        """Any other: only while no newer run has claimed the name, which is looked at before each try."""
        self.check()
        return self.ask(verb, *given, guard=self.check)

    def find(self, verb: str, *given: Any) -> Any:
        """What `ask` gives; None where there is no such thing."""
        with suppress(Absent):
            return self.ask(verb, *given)
        return None

    def write(self, record: Record) -> bool:
        where = (record.deployment, generations.RECORD, record.generation)
        found = self.find("get", *where)
        same = found is not None and Record.from_json(found).same(record)
        return not same and self.change("put", *where, record.to_json()) is None

    def check(self) -> None:
        if self.held is not None and self.find("get", self.held, CLAIM, self.held) != self.run:
            raise Conflict(f"a newer run changes {self.held}", advice="look at what it made, then run the command again")


@dataclass(frozen=True, slots=True)
class View:
    """What only this target's planner must know: the count that somebody else keeps, and what the version in service has for an environment."""

    count: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


Seen = Observed[View]


def observe(name: DeploymentName, cloud: Client) -> Seen | None:
    """All of ours under this name."""
    service: Service | None = cloud.find("service", name)
    if service and service.labels.get(OWNER) != name and name not in cloud.adopts:
        raise NotOurs(f"a service {name} is there, made by somebody else", advice="choose another name, or take it over: --adopt")
    things: Mapping[tuple[str, str], Any] = cloud.ask("list", name)
    if service is None and not things:
        return None
    records = {key: Record.from_json(body) for (kind, key), body in things.items() if kind == generations.RECORD}
    version = things.get((VERSION, service.version or ""), {}) if service else {}
    serves = (Status.PAUSED if service.trial else Status.READY) if service and service.version and not service.down else Status.FAILED
    return Observed(
        name=name,
        status=Status.PROGRESSING if service and service.due is not None else serves,
        traffic=leads(service) if service else (),
        incoming=service.incoming if service else None,
        records=records,
        resources=frozenset(Resource(*each) for each in things) | ({Resource(SERVICE, name)} if service else frozenset()),
        owned_elsewhere={"instance_count": service.count} if service and service.autoscaled else {},
        reason=service.reason if service else "there is no service: what an interrupted run left",
        url=f"memory:/{name}" if service else "",
        view=View(service.count if service and service.autoscaled else None, version.get("environment", {})),
        detail={"service": asdict(service), "version": version} if service else {},
    )


def leads(service: Service) -> Traffic:
    return tuple(Share(*each) for each in service.answers)


def at_rest(name: DeploymentName, cloud: Client, timeout_seconds: float) -> Service | None:
    """The service once the cloud is done with it."""
    waited = 0.0
    service: Service | None
    while (service := cloud.find("service", name)) is not None and service.due is not None:
        if waited >= timeout_seconds:
            raise TimedOut(f"{name} is still being changed", advice="run the same command again; --timeout waits longer")
        cloud.cloud.wait(POLL_SECONDS)
        waited += POLL_SECONDS
    return service


@dataclass(frozen=True, slots=True)
class Make(Step[Client]):
    """A thing that is named by its content: there, it is the right one. `size`: of a model, whose digest stands for its files here."""

    name: DeploymentName
    kind: str
    key: str
    body: Any = field(repr=False)
    size: int = 0
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(self.kind, self.key)

    def describe(self) -> str:
        return "model data" if self.kind == DATA else f"{self.kind} {self.key}"

    def run(self, cloud: Client, progress: Progress) -> bool:
        if cloud.find("get", self.name, self.kind, self.key) is not None:
            return False
        cloud.ask("put", self.name, self.kind, self.key, self.body)
        if self.size:
            progress.moved(self.size, self.size)
        return True


@dataclass(frozen=True, slots=True)
class Point(Step[Client]):
    """The switch, which the cloud compares and sets: elsewhere, a rival was faster. `back`: only where the last one expected has a share still."""

    name: DeploymentName
    to: Traffic
    expecting: tuple[str, ...]
    count: int
    back: bool = False
    effect = Effect.SWITCH

    def describe(self) -> str:
        return "service" if len(self.to) == 1 else f"service, {self.to[1].percent} % to {self.to[1].generation}"

    def run(self, cloud: Client, progress: Progress) -> bool:
        service: Service | None = cloud.find("service", self.name)
        to = (self.to[-1].generation, self.to[-1].percent if len(self.to) > 1 else None)
        if service is not None and (self.to == leads(service) or (service.incoming, service.share) == to):
            return False
        if self.back and (service is None or service.trial != self.expecting[-1]):
            return False
        cloud.change("point", self.name, to, self.expecting, self.count, {OWNER: self.name})
        progress.note("the container loads the model")
        return True


@dataclass(frozen=True, slots=True)
class AwaitServing(Step[Client]):
    name: DeploymentName
    to: Traffic  # to anything, where it is empty
    timeout_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return "service answers"

    def run(self, cloud: Client, progress: Progress) -> bool:
        service = at_rest(self.name, cloud, self.timeout_seconds)
        if not self.to or (service is not None and leads(service) == self.to):
            return False
        if service is None or not service.reason:
            raise Conflict(f"{self.name} was changed by somebody else meanwhile", advice="deploy get shows what is there")
        lines = tuple(line.text for line in cloud.ask("log", self.name) if line.source == self.to[-1].generation)
        raise RolloutFailed(f"{self.name} can't serve", why=service.reason, advice="correct the model or its requirements", lines=lines)


@dataclass(frozen=True, slots=True)
class ChangeLive(Step[Client]):
    """What changes in place. The record comes last: where the cloud refuses, it keeps saying what is."""

    record: Record
    count: int
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "instances"

    def run(self, cloud: Client, progress: Progress) -> bool:
        cloud.change("scale", self.record.deployment, self.count)
        return cloud.write(self.record)


@dataclass(frozen=True, slots=True)
class DeleteService(Step[Client]):
    """`failed`: only if it leads nowhere, as one does whose first version never came to serve."""

    name: DeploymentName
    failed: bool = False
    effect = Effect.DELETE

    def describe(self) -> str:
        return "service"

    def run(self, cloud: Client, progress: Progress) -> bool:
        service: Service | None = cloud.find("service", self.name)
        if service is None or (self.failed and service.leads_to):
            return False
        cloud.change("unpoint", self.name)
        return True


@dataclass(frozen=True, slots=True)
class Remove(Step[Client]):
    """What of these no generation needs, as things stand then: versions first, records and the claim last. `beyond`: all but these instead."""

    name: DeploymentName
    resources: frozenset[Resource] = frozenset()
    beyond: frozenset[Resource] | None = None
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed"

    def run(self, cloud: Client, progress: Progress) -> bool:
        observed = observe(self.name, cloud) or Observed(self.name, Status.FAILED)
        free = generations.removable(observed, Resource(SERVICE, self.name), self.resources, beyond=self.beyond)
        for each in sorted(free, key=lambda each: (ORDER.index(each.kind), each.name)):
            with suppress(Absent):
                cloud.change("remove", self.name, each.kind, each.name)
        return bool(free)


class Memory:
    """Each deployment is a service, each generation a version; the data of a model is kept once for all of its generations."""

    scheme = "memory"
    config = Options

    def name_for(self, candidate: str) -> DeploymentName:
        return DeploymentName(re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")[:63].strip("-") or "model")

    def check_name(self, name: str) -> DeploymentName:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
            raise ConfigInvalid(f"{name!r} is no name here: 1 to 63 small letters, digits and hyphens", advice=f"-n {self.name_for(name)} is one")
        return DeploymentName(name)

    def connect(self, uri: TargetUri, config: Options) -> Client:
        return Client(cloud_at(uri.path))

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        found = cloud_at(uri.path).defaults
        return found, dict.fromkeys(found, "the platform's defaults file")

    def settle(self, name: DeploymentName, cloud: Client, report: Report, timeout_seconds: float) -> None:
        at_rest(name, cloud, timeout_seconds)

    def claim(self, name: DeploymentName, cloud: Client, config: Options) -> Client:
        cloud.ask("put", name, CLAIM, name, cloud.run)
        return replace(cloud, held=name)

    def history(self, name: DeploymentName, cloud: Client) -> str:
        return cloud.find("get", name, HISTORY, name) or ""

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: Client) -> None:
        cloud.change("put", name, HISTORY, name, text)

    def adopt(self, name: DeploymentName, cloud: Client) -> Client:
        return replace(cloud, adopts=cloud.adopts | {name})

    def observe(self, name: DeploymentName, cloud: Client) -> Seen | None:
        return observe(name, cloud)

    def resolve(self, request: DeploymentRequest[Options], observed: Seen | None, cloud: Client) -> DeploymentSpec[Options]:
        image = Image(**cloud.ask("image", request.config.image_url or request.image))
        before = observed.view.environment if observed and observed.view else {}
        stays = request.intent is Intent.UPDATE and "env" not in request.named
        config = request.config.model_copy(update={"env": dict(before)}) if stays else request.config
        known = observed.record.secrets if observed and observed.record and before == config.env else secrets.token_hex(8)
        record = record_of(request, image, config, [], secrets=known if config.env else "")
        made = Resource(DATA, short(request.model.digest)), Resource(VERSION, record.generation)
        return DeploymentSpec(replace(record, resources=made), config, image, request.model.path)

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        held = frozenset({"pause", "checks"})
        return {Strategy.ALL_AT_ONCE: frozenset(), Strategy.BLUE_GREEN: held, Strategy.CANARY: held | {"steps"}}

    def measure(self, name: DeploymentName, generation: str, cloud: Client) -> Measured:
        cloud.check()
        return Measured.of(cloud.ask("meter", name, generation))

    def plan(self, spec: DeploymentSpec[Options], observed: Seen | None) -> Plan[Client]:
        name, config = spec.name, spec.config
        plan = generations.succession(spec.record, observed, generations.depth(config), Resource(SERVICE, name), _beside(name))
        count = (observed.view.count if observed and observed.view else None) or config.instance_count
        model, data, size = spec.model, short(spec.model.digest), (config.instance_type, config.resources.memory)
        version = {"data": data, "image": spec.image.reference, "environment": dict(config.env), "size": size}
        things = (Make(name, DATA, data, model.digest, model.facts.size), Make(name, VERSION, spec.generation, version))

        def shift(to: Traffic, now: Traffic, *, back: bool = False) -> tuple[Step[Client], ...]:
            point = Point(name, to, tuple(share.generation for share in now), count, back)
            return (point, AwaitServing(name, () if back else to, config.timeout_seconds)) if config.synchronous or back else (point,)

        return way(spec, observed, shift, self).plan(
            spec,
            plan,
            observed,
            make=(WriteRecord(plan.record), *(() if spec.made else things)),
            live=(ChangeLive(plan.record, count),) if plan.whole and plan.earlier and not plan.earlier.same(plan.record) else (),
            back=(DeleteService(name, failed=True), *((WriteRecord(plan.earlier),) if plan.earlier else ()), Remove(name, plan.undone)),
            sweep=Remove(name, beyond=plan.keep),
        )

    def plan_delete(self, name: DeploymentName, observed: Seen, config: Options) -> Plan[Client]:
        return Plan(forward=(DeleteService(name), Remove(name, beyond=frozenset())), removes=observed.resources)

    def plan_prune(self, name: DeploymentName, observed: Seen, config: Options) -> Plan[Client]:
        removes = generations.prunable(observed, generations.depth(config)) - _beside(name) - {Resource(SERVICE, name)}
        return Plan(forward=(Remove(name, removes),) if removes else (), keep=observed.resources - removes, removes=removes)

    def container(self, spec: DeploymentSpec[Options]) -> Container:
        return Container(image=spec.image.reference, command=("serve",), port=8080, environment=spec.config.env)

    def list(self, cloud: Client) -> Iterator[Summary]:
        for name in cloud.ask("services"):
            with suppress(NotOurs):
                if found := observe(name, cloud):
                    size = "{instance_count} {instance_type}".format(**found.record.options) if found.record else ""
                    yield Summary.of(found, {"INSTANCES": size})

    def predict(self, name: DeploymentName, payload: Payload, cloud: Client) -> Payload:
        return Payload(cloud.ask("invoke", name, payload), payload.content_type)

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: Client) -> Iterator[bytes]:
        yield from cloud.ask("stream", name, payload)

    def logs(self, name: DeploymentName, cloud: Client, *, follow: bool, tail: int) -> Iterator[LogLine]:
        for line in cloud.ask("log", name)[-tail:]:
            yield LogLine(line.text, line.source, line.time)
        if follow:
            cloud.ask("follow", name)

    def doctor(self, cloud: Client) -> Iterator[Diagnosis]:
        yield Diagnosis("memory", Verdict.OK, "is there")
        yield from cloud.cloud.findings


def _beside(name: DeploymentName) -> frozenset[Resource]:
    return frozenset({Resource(HISTORY, name), Resource(CLAIM, name)})
