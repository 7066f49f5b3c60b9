"""A whole target over the simulated cloud, with the SageMaker target's planner in small: the first to keep the contract, and the rules' subject."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from deployer import generations
from deployer.container import Container
from deployer.errors import ConfigInvalid, DeploymentNotFound, TargetUnavailable
from deployer.events import Report
from deployer.options import GENERATION, LIVE, Takes, TargetConfig
from deployer.plan import Plan, Step
from deployer.state import DeploymentName, Image, ModelFacts, Observed, Record, Resource, Status, digest_of, short
from deployer.target import DeploymentSpec, Finding, LogLine, Payload, Request, Summary, TargetUri, Verdict, record_of
from tests.simulation.client import Client, claim_key
from tests.simulation.observe import observe
from tests.simulation.steps import (
    AwaitServing,
    CreateConfig,
    CreateModel,
    DeleteEndpoint,
    DiscardFailed,
    PointEndpoint,
    ReleaseClaim,
    Remove,
    SetCount,
    Sweep,
    UploadModel,
    WriteRecord,
    at_rest,
)
from tests.simulation.wire import Wire

IMAGE = "scoring:1"
FOREVER = 1_000_000


class Options(TargetConfig):
    """The options of the in-memory target."""

    role: Annotated[str, GENERATION] = Field("role", description="Whose rights the model runs with.")
    instance_type: Annotated[str, GENERATION] = Field("small", description="What it runs on.")
    tags: Annotated[Mapping[str, str], GENERATION] = Field(default_factory=dict, description="Tags of the user's own.")
    instance_count: Annotated[int, LIVE] = Field(1, gt=0, description="On how many it runs.")


class Memory:
    """The target. `connect` takes the wire to a simulated cloud."""

    scheme = "memory"
    config = Options

    def name_for(self, candidate: str) -> DeploymentName:
        return DeploymentName(re.sub(r"[^a-zA-Z0-9]+", "-", candidate).strip("-")[:63] or "model")

    def check_name(self, name: str) -> DeploymentName:
        if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name):
            raise ConfigInvalid(f"{name!r} is no name here: 1 to 63 letters, digits and single hyphens inside")
        return DeploymentName(name)

    def connect(self, uri: TargetUri, config: Options) -> Client:
        raise TargetUnavailable("a simulated cloud has no address", advice="Memory.over(wire, run)")

    @staticmethod
    def over(wire: Wire, run: str) -> Client:
        """A client of the cloud at the other end of this wire."""
        return Client(wire, run)

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        return {}, {}

    def settle(self, name: DeploymentName, cloud: Client, report: Report, timeout_seconds: float) -> None:
        at_rest(name, cloud, timeout_seconds)

    def claim(self, name: DeploymentName, cloud: Client, config: Options) -> Client:
        return cloud.hold(name)

    def adopt(self, name: DeploymentName, cloud: Client) -> Client:
        return replace(cloud, adopts=cloud.adopts | {name})

    def observe(self, name: DeploymentName, cloud: Client) -> Observed | None:
        return observe(name, cloud)

    def resolve(self, request: Request[Options], observed: Observed | None, cloud: Client) -> DeploymentSpec[Options]:
        reference = request.config.image_url or request.image or IMAGE
        image = Image(reference, digest_of(reference))
        names = names_of(request.name, request.model.facts, image, request.config)
        record = record_of(request, image, request.config, names)
        return DeploymentSpec(record, request.config, image, request.model.path)

    def plan(self, spec: DeploymentSpec[Options], observed: Observed | None) -> Plan[Client]:
        """The steps from what is there to what is wanted; empty where they are the same."""
        record = generations.successor(spec.record, observed)
        wanted = generations.own(record)
        keep = generations.stays(generations.succeeded(record, observed), generations.depth(spec.config)) | always(spec.name)
        before = generations.as_before(record, observed, Options.taken(Takes.LIVE))
        counts = observed is not None and observed.view.count != spec.config.instance_count
        whole = observed is not None and in_service(observed, wanted) and observed.records[record.generation].same(record)
        sweep = () if whole and not counts and observed and observed.resources <= keep else (Sweep(spec.name, keep),)
        return Plan(
            forward=() if whole and not counts else forward(spec, record, observed),
            live=(SetCount(spec.name, spec.config.instance_count, before, FOREVER),) if counts or not whole else (),
            back=back(spec, record, wanted, observed),
            sweep=sweep,
            keep=keep,
            removes=observed.resources - keep if observed else frozenset(),
        )

    def plan_delete(self, name: DeploymentName, observed: Observed, config: Options) -> Plan[Client]:
        return Plan(
            forward=(
                DeleteEndpoint(name, config.timeout_seconds),
                Remove(name, observed.resources - always(name)),
                Sweep(name, always(name)),
                ReleaseClaim(name),
            ),
            removes=observed.resources,
        )

    def plan_prune(self, name: DeploymentName, observed: Observed, config: Options) -> Plan[Client]:
        removes = generations.prunable(observed, generations.depth(config)) - always(name)
        return Plan(forward=(Remove(name, removes),) if removes else (), keep=observed.resources - removes, removes=removes)

    def container(self, spec: DeploymentSpec[Options]) -> Container:
        return Container(image=spec.image.reference, command=("serve",), port=8080)

    def list(self, cloud: Client) -> Iterator[Summary]:
        for each in cloud.ask("list_endpoints")["Endpoints"]:
            name = DeploymentName(each["EndpointName"])
            observed = observe(name, cloud)
            if observed is not None:
                yield Summary(name, observed.status, generation=observed.serving or "")

    def predict(self, name: DeploymentName, payload: Payload, cloud: Client) -> Payload:
        """The answer names the model that serves, whatever the question."""
        observed = observe(name, cloud)
        if observed is None or observed.record is None:
            raise DeploymentNotFound(f"nothing serves as {name}")
        return Payload(json.dumps({"predictions": observed.record.model.digest}).encode())

    def logs(self, name: DeploymentName, cloud: Client, *, follow: bool, tail: int) -> Iterator[LogLine]:
        yield LogLine(f"{name} says nothing")

    def doctor(self, cloud: Client) -> Iterator[Finding]:
        cloud.ask("list_endpoints")
        yield Finding("cloud", Verdict.OK)


def names_of(name: DeploymentName, model: ModelFacts, image: Image, config: Options) -> tuple[Resource, ...]:
    """Data, model and config: each named by the digest of its own inputs, the deployment's name before it, counts left out."""
    data = f"deployer/{name}/data/{short(model.digest)}"
    made = f"{name}-{short(digest_of([data, image.reference, config.role]))}"
    return (
        Resource("object", data),
        Resource("model", made),
        Resource("endpoint-config", f"{name}-{short(digest_of([made, config.instance_type, config.revision()]))}"),
    )


def content(model: ModelFacts) -> bytes:
    """What is uploaded: a stand-in of a few parts."""
    return model.digest.encode()[:20]


def always(name: DeploymentName) -> frozenset[Resource]:
    return frozenset({Resource("endpoint", name), Resource("claim", claim_key(name))})


def in_service(observed: Observed, wanted: frozenset[Resource]) -> bool:
    config = next(resource.name for resource in wanted if resource.kind == "endpoint-config")
    return observed.status is Status.READY and observed.view.config == config and wanted <= observed.resources


def forward(spec: DeploymentSpec[Options], record: Record, observed: Observed | None) -> tuple[Step[Client], ...]:
    (data, model, config), options = (resource.name for resource in record.resources), spec.config
    whole = (
        WriteRecord(record),
        UploadModel(data, content(spec.model.facts)),
        CreateModel(spec.name, model, spec.image.reference, data, options.role),
        CreateConfig(spec.name, config, model, options.instance_type, options.instance_count),
    )
    return (
        DiscardFailed(spec.name, FOREVER),
        *whole,
        PointEndpoint(spec.name, config, expecting=observed.view.config if observed else None),
        AwaitServing(spec.name, config, options.timeout_seconds),
        *whole,
    )


def back(spec: DeploymentSpec[Options], record: Record, wanted: frozenset[Resource], observed: Observed | None) -> tuple[Step[Client], ...]:
    """The cloud gives the traffic back itself; what goes is what only the new generation uses. A record that was there gets its old text again."""
    earlier = observed.records.get(record.generation) if observed else None
    config = next(resource.name for resource in wanted if resource.kind == "endpoint-config")
    others = {each for each in observed.resources if each.kind != "upload"} - wanted - always(spec.name) if observed else set()
    nothing = observed is None or not (observed.traffic or others)
    return (
        DiscardFailed(spec.name, FOREVER, carrying=config),
        *((WriteRecord(earlier),) if earlier else ()),
        Remove(spec.name, generations.undone(record, observed)),
        *((ReleaseClaim(spec.name),) if nothing else ()),
    )
