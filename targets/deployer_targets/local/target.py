"""The `local` target: deployments on this machine, each under a supervisor process that owns its port."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from deployer.core.accelerators import Accelerator
from deployer.core.container import Container
from deployer.core.plan import Plan, Progress
from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName, Observed, PackagedModel
from deployer.core.target import (
    ConfigT,
    DeploymentRequest,
    DeploymentSpec,
    Diagnosis,
    Intent,
    LogLine,
    Payload,
    Summary,
    Target,
    TargetUri,
    Verdict,
    generation_of,
    record_of,
)
from deployer.core.traffic import Measured, Strategy
from deployer.errors import ConfigInvalid, DeployerError, DeploymentNotFound, TargetUnavailable, TimedOut
from deployer.events import Report
from deployer_targets.local import accelerators, home, images, names, observe, plan
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig

if TYPE_CHECKING:
    from deployer_targets.local.run_local import LocalRun

_PREDICT_SECONDS = 600.0
_LOOKS = Pauses(shortest=0.1, longest=1.0)


class Local:
    """Each deployment is a supervisor process; what it watches and remembers is the cloud. A reboot ends them all."""

    scheme = "local"

    @property
    def config(self) -> type[LocalConfig]:
        return LocalConfig

    def name_for(self, candidate: str) -> DeploymentName:
        return names.name_for(candidate)

    def check_name(self, name: str) -> DeploymentName:
        return names.check_name(name)

    def connect(self, uri: TargetUri, config: LocalConfig) -> LocalCloud:
        if uri.path:
            raise ConfigInvalid(f"{uri} is not a local target: there is one on each machine", advice="-t local")
        return LocalCloud()

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        return {}, {}

    def settle(self, name: DeploymentName, cloud: LocalCloud, report: Report, timeout_seconds: float) -> None:
        """A supervisor is busy where an earlier run, which didn't wait, told it to take over by itself, and while it ends."""
        progress = Progress("settle", f"what {name} does", report)

        def doing() -> str:
            found = cloud.describe(name)
            if found is None or not (found.incoming or found.ending):
                return ""
            return "it is being deleted" if found.ending else f"generation {found.incoming} is starting, by an earlier run"

        def late(note: str) -> TimedOut:
            return TimedOut(f"{name} is busy: {note}", advice="wait longer: --timeout")

        for note in poll(doing, seconds=timeout_seconds, late=late, pauses=_LOOKS):
            if not note:
                return
            progress.note(note)

    def claim(self, name: DeploymentName, cloud: LocalCloud, config: LocalConfig) -> LocalCloud:
        return cloud.claim(name)

    def history(self, name: DeploymentName, cloud: LocalCloud) -> str:
        return cloud.history(name)

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: LocalCloud) -> None:
        cloud.keep_history(name, text, before)

    def observe(self, name: DeploymentName, cloud: LocalCloud) -> Observed | None:
        found = cloud.describe(name)
        return observe.observed(found, cloud.environments(name)) if found else None

    def accelerator(self, config: LocalConfig) -> Accelerator | None:
        return accelerators.accelerator(config)

    def resolve(self, request: DeploymentRequest[LocalConfig], observed: Observed | None, cloud: LocalCloud) -> DeploymentSpec[LocalConfig]:
        environments = cloud.environments(request.name) if observed else {}
        config = request.config
        if request.intent is Intent.UPDATE and observed and observed.serving and "env" not in request.named:
            config = config.model_copy(update={"env": dict(environments.get(observed.serving, {}))})
        config = config.model_copy(
            update={"runtime": images.runtime_for(config, request.model, observed, request.packages, build=request.allow_build)}
        )
        secret_id = _secret_id(config, observed, environments)
        image_for = partial(images.image_for, config, request.model, packages=request.packages, build=request.allow_build)
        image = image_for(kept=request.image)
        generation = generation_of(request, image, config, secret_id)
        if images.outdated(image) and not (observed and observed.serving == generation):
            image = image_for(kept=None)
            generation = generation_of(request, image, config, secret_id)
        record = record_of(request, image, config, [names.model(request.model.digest)], secrets=secret_id)
        return DeploymentSpec(record, config, image, request.model.path)

    def make_packages(self, spec: DeploymentSpec[LocalConfig], cloud: LocalCloud, report: Report) -> None:
        images.make(spec.model, spec.record.packages, report)

    def plan(self, spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> Plan[LocalCloud]:
        return plan.plan(spec, observed, self)

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        """One container serves a generation here: there is nothing to roll, and room for two."""
        held = frozenset({"pause", "checks"})
        return {Strategy.ALL_AT_ONCE: frozenset(), Strategy.BLUE_GREEN: held, Strategy.CANARY: held | {"steps"}}

    def measure(self, name: DeploymentName, generation: str, cloud: LocalCloud) -> Measured:
        return cloud.measure(name, generation)

    def plan_delete(self, name: DeploymentName, observed: Observed, config: LocalConfig) -> Plan[LocalCloud]:
        return plan.plan_delete(name, observed)

    def plan_prune(self, name: DeploymentName, observed: Observed, config: LocalConfig) -> Plan[LocalCloud]:
        return plan.plan_prune(name, observed, config)

    def container(self, spec: DeploymentSpec[LocalConfig]) -> Container:
        return plan.container(spec)

    def list(self, cloud: LocalCloud) -> Iterator[Summary]:
        for name in cloud.names():
            found = cloud.describe(name)
            if found is not None:
                yield observe.summary(found)

    def predict(self, name: DeploymentName, payload: Payload, cloud: LocalCloud) -> Payload:
        with httpx.Client(timeout=_PREDICT_SECONDS, trust_env=False) as client:
            try:
                answer = client.post(_invocations(name, cloud), content=payload.body, headers=_headers(payload))
            except httpx.HTTPError as error:
                raise _broken_off(name, error) from error
        _raise_refusal(name, answer)
        return Payload(answer.content, answer.headers.get("content-type", "application/json"), payload.accept)

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: LocalCloud) -> Iterator[bytes]:
        """The answer's pieces as the model makes them."""
        with httpx.Client(timeout=_PREDICT_SECONDS, trust_env=False) as client:
            try:
                with client.stream("POST", _invocations(name, cloud), content=payload.body, headers=_headers(payload)) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                    _raise_refusal(name, answer)
                    yield from answer.iter_bytes()
            except httpx.HTTPError as error:
                raise _broken_off(name, error) from error

    def logs(self, name: DeploymentName, cloud: LocalCloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
        for line in cloud.logs(name, follow=follow, tail=tail):
            yield LogLine(line.text, line.source, datetime.fromisoformat(line.time))

    def run_here(
        self, target: Target[ConfigT, Any], model: PackagedModel, config: ConfigT, *, runtime: str | None, packages: str, **how: Any
    ) -> LocalRun:
        """Run here what another target would run; see `deployer_targets.local.run_local`."""
        from deployer.checks import with_mlflow_said
        from deployer_targets.local import run_local

        model = with_mlflow_said(model)
        assert model.path is not None  # it was fetched for this
        container = target.container(run_local.local_spec(target, model, config, runtime, packages, report=how["report"]))
        container = replace(container, labels={**container.labels, **plan.without(model.facts, packages)})
        return run_local.run(container, model_path=model.path, runtime=runtime, **how)

    def score_here(self, model: PackagedModel, *, report: Report, **job: Any) -> int:
        """Score a file; see `deployer_images.batch`."""
        from deployer_images.batch import Job, score

        assert model.path is not None  # it was fetched for this
        return score(Job(model.path, **job), report)

    def doctor(self, cloud: LocalCloud) -> Iterator[Diagnosis]:
        yield _directories(cloud)
        yield from images.doctor()
        yield _disk(cloud)
        for name in cloud.names():
            yield _supervisor(name, cloud)


def _secret_id(config: LocalConfig, observed: Observed | None, environments: Mapping[str, Mapping[str, str]]) -> str:
    """The id of the secrets that a recorded generation has and are equal to these; a new one where none is, and "" where there are no secrets."""
    if not config.env:
        return ""
    known = observed.records if observed else {}
    equal = (known[each].secrets for each, found in environments.items() if each in known and found == dict(config.env))
    return next(equal, "") or secrets.token_hex(8)


def _invocations(name: DeploymentName, cloud: LocalCloud) -> str:
    found = cloud.describe(name)
    if found is None:
        raise DeploymentNotFound(f"there is no local deployment {name}", advice="deploy list -t local shows what is there")
    if not found.url:
        raise TargetUnavailable(f"{name} doesn't listen yet", advice=f"deploy get -t local -n {name} says how far it is")
    return f"{found.url}/invocations"


def _headers(payload: Payload) -> dict[str, str]:
    return {"content-type": payload.content_type, "accept": payload.accept}


def _raise_refusal(name: DeploymentName, answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    said = _message(answer)
    if answer.status_code in (502, 503, 504):
        raise TargetUnavailable(f"{name} can't answer now", why=said, advice=f"deploy logs -t local -n {name}")
    who = "the model failed on the input" if answer.status_code >= 500 else "the input is refused"
    raise ConfigInvalid(f"{name}: {who} (HTTP {answer.status_code})", why=said, advice=f"deploy logs -t local -n {name} shows what it wrote")


def _message(answer: httpx.Response) -> str:
    """The container's own words."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]


def _broken_off(name: DeploymentName, error: httpx.HTTPError) -> TargetUnavailable:
    return TargetUnavailable(f"{name} broke off", why=str(error) or type(error).__name__, advice=f"deploy get -t local -n {name}")


def _directories(cloud: LocalCloud) -> Diagnosis:
    try:
        home.prepare(cloud.place)
    except DeployerError as error:
        return Diagnosis("directories", Verdict.WRONG, error.message, error.advice)
    return Diagnosis("directories", Verdict.OK, f"sockets in {cloud.place.sockets}, models in {cloud.place.models}")


def _disk(cloud: LocalCloud) -> Diagnosis:
    existing = next(path for path in (cloud.place.models, *cloud.place.models.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    verdict = Verdict.OK if free > 2 << 30 else Verdict.WARNING
    writable = os.access(existing, os.W_OK)
    detail = f"{free / (1 << 30):.1f} GiB free for copies of models"
    return Diagnosis("disk", verdict if writable else Verdict.WRONG, detail, "" if verdict is Verdict.OK else f"free some space below {existing}")


def _supervisor(name: str, cloud: LocalCloud) -> Diagnosis:
    subject = f"deployment {name}"
    try:
        found = cloud.describe(name)
    except DeployerError as error:
        return Diagnosis(subject, Verdict.WRONG, error.message, error.advice)
    if found is None:
        return Diagnosis(subject, Verdict.OK, "is gone")
    status, why = observe.condition(found)
    good = status in ("ready", "progressing")
    return Diagnosis(subject, Verdict.OK if good else Verdict.WARNING, f"{status} {why}".strip(), "" if good else f"deploy logs -t local -n {name}")
