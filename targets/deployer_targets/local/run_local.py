"""`deploy run-local`: what a target would run, on this machine, behind a port of one's choice.

It is a local deployment without a name of the user's and without a copy of the model: a supervisor owns the port and the container. In the
foreground it's held on a leash, a pipe that is there before the supervisor is: it ends with this process however that ends, and everything with it.
"""

from __future__ import annotations

import math
import os
import secrets
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from deployer.artifacts import input_example
from deployer.core import engine
from deployer.core.compatibility import fit
from deployer.core.container import Container
from deployer.core.options import TargetConfig
from deployer.core.plan import Step
from deployer.core.requirements import refuse_old_python
from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName, Image, PackagedModel, Share, digest_of
from deployer.core.target import ConfigT, DeploymentRequest, DeploymentSpec, Intent, Target, record_of
from deployer.errors import DeployerError, EnvironmentMisfit, Interrupted, MachineFault, RolloutFailed
from deployer.events import Report, silent
from deployer.oci import labels
from deployer_images import engine as docker_engine
from deployer_scoring.errors import ScoringError
from deployer_targets.local import images, names
from deployer_targets.local.backend import Limits
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.steps import AwaitReady, OpenPort, StartContainer, Switch, reason

HOST = "127.0.0.1"
_GENERATION = "run-local"
_STARTUP_SECONDS = 1800.0
_ENDING_SECONDS = 60.0
_LOOKS = Pauses(shortest=0.5, longest=0.5)
_EXAMPLE_ROWS = 2


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A container that answers.

    Attributes:
        name: of the local deployment that it is: `deploy logs -t local -n NAME`, `deploy delete -t local -n NAME`.
        runtime: "docker" or "process".
        curl: a command to paste that sends the model's own example, or asks for its health where it has none.
    """

    name: str
    url: str
    runtime: str
    curl: str

    @property
    def text(self) -> str:
        how = "processes that stand in for the image" if self.runtime == images.PROCESS else f"the image, by {self.runtime}"
        return f"ready on {self.url} ({how}), a page to try it at {self.url}/docs\n  {self.curl}"


def run(
    container: Container,
    *,
    model_path: Path,
    runtime: str | None = None,
    port: int = 0,
    host: str = HOST,
    detach: bool = False,
    report: Report = silent,
    log: Callable[[str], None] = lambda _: None,
    ready: Callable[[LocalRun], None] | None = None,
    startup_seconds: float = _STARTUP_SECONDS,
    ending_seconds: float = _ENDING_SECONDS,
) -> LocalRun:
    """Start a container and wait until it is healthy; then return (`detach`), or stay until Ctrl-C or SIGTERM and remove everything.

    Args:
        runtime: "docker", "process", or None: docker where an engine answers and the image is one.
        port: where to listen; 0 picks one.
        host: the address to listen on.
        log: gets each line of the container, in the foreground; from a thread.
        ready: told once it answers; by default the text goes to `log`.
        ending_seconds: how long all of the cleaning up may take; past them, what hangs is killed.

    Raises:
        MachineFault: the port is taken, or the runtime isn't there.
        RolloutFailed: the container can't serve, or exited later.
        Interrupted: before it was ready.
    """
    chosen = _runtime(runtime, container)
    name = DeploymentName(f"{names.name_for(f'run-local-{model_path.name}')[:54].rstrip('-')}-{secrets.token_hex(4)}")
    log = _one_at_a_time(log)
    with _terminated_like_interrupted(), _held(name, ending_seconds, detach=detach) as cloud:
        if not detach:
            _follow(name, cloud, log)
        try:
            for step in _steps(name, container, chosen, (host, port), startup_seconds):
                engine.run(step, cloud, report)
        except RolloutFailed as error:
            raise RolloutFailed(
                "the container can't serve", why=error.why, advice="correct the model or its requirements", lines=error.lines
            ) from error
        except KeyboardInterrupt:
            raise Interrupted("interrupted before the container was ready; nothing of it is left") from None
        found = cloud.describe(name)
        started = LocalRun(name, found.url if found else "", chosen, curl(found.url if found else "", model_path))
        tell = ready or (lambda each: log(each.text))
        if detach:
            tell(started)
            return started
        with suppress(KeyboardInterrupt):  # who is told that it's ready may press Ctrl-C at once
            tell(started)
            _stay(name, cloud)
    return started


def local_spec(
    target: Target[ConfigT, Any],
    model: PackagedModel,
    config: ConfigT,
    runtime: str | None = None,
    packages: str = "auto",
    *,
    report: Report = silent,
) -> DeploymentSpec[ConfigT]:
    """A spec for `target.container`, made without asking its cloud.

    Its image is the one that `config` names, else the scoring image that docker has on this machine and that fits, by "auto" one that is made there
    now, else, unless docker is what `runtime` says, a stand-in for the process runtime.

    Raises:
        MachineFault: docker is wanted and has no image. EnvironmentMisfit, NoWheel: it has none that fits, and none can be made.
        ModelInvalid: the server doesn't run on the model's Python; not where `packages` is "image".
    """
    name = target.name_for(model.path.name if model.path else model.facts.uri)
    image = _image(config, model, runtime, packages)
    if image.planned:
        image = images.make(model, packages, report)
    request = DeploymentRequest(name=name, intent=Intent.APPLY, model=model, config=config)
    return DeploymentSpec(record_of(request, image, config, ()), config, image, model.path)


def curl(url: str, model_path: Path) -> str:
    """A command that sends the model's own example, or one made up from its signature; a health check where it has neither."""
    try:
        example = input_example(model_path, rows=_EXAMPLE_ROWS)
    except ScoringError:
        example = None
    if example is None:
        return f"curl -sS {url}/ping"
    return f"curl -sS {url}/invocations -H 'Content-Type: {example.content_type}' --data-binary {shlex.quote(example.body.decode())}"


def _steps(name: DeploymentName, container: Container, runtime: str, at: tuple[str, int], startup_seconds: float) -> tuple[Step[LocalCloud], ...]:
    limits = asdict(Limits(startup_timeout=startup_seconds, drain_timeout=5, max_restarts=0))
    return (
        OpenPort(name, *at),
        StartContainer(name, _GENERATION, container, None, runtime, limits, publish=runtime == images.DOCKER and at[0] == HOST),
        AwaitReady(name, (Share(_GENERATION),), startup_seconds),
        Switch(name, (Share(_GENERATION),), ()),
    )


def _runtime(named: str | None, container: Container) -> str:
    stand_in = container.image.startswith(images.STAND_IN_PREFIX) or labels.STAND_IN in container.labels
    if named == images.DOCKER and stand_in:
        raise MachineFault(
            "docker has no image for this model", advice="deploy build-and-push-container --no-push builds it; --runtime process does without"
        )
    if named:
        return named
    return images.DOCKER if not stand_in and docker_engine.answers() else images.PROCESS


def _image(config: TargetConfig, model: PackagedModel, runtime: str | None, packages: str) -> Image:
    if packages != "image":
        refuse_old_python(model.facts.python_version)
    if runtime == images.PROCESS:
        return images.stand_in(model, packages)
    if config.image_url:
        with suppress(DeployerError):  # not there yet, or no docker to ask: whoever starts it pulls it
            return images.docker_image(config.image_url)
        return Image(config.image_url, digest_of(config.image_url), tag=config.image_url)
    if runtime != images.DOCKER:
        return images.own_image(model, packages)
    image = images.built_image(model, packages)
    verdict = fit(model.facts, image, packages)
    if not verdict.fits:
        raise EnvironmentMisfit(verdict.summary, why="; ".join(verdict.reasons), advice=verdict.advice)
    return image


@contextmanager
def _held(name: DeploymentName, ending_seconds: float, *, detach: bool) -> Iterator[LocalCloud]:
    """A supervisor of that name, for as long as the block runs; if `detach`, longer, unless the block fails."""
    with _leash() as leash:
        cloud = LocalCloud().claim(name, leash)
        found = cloud.describe(name)
        with ExitStack() as ending:
            if found:
                ending.callback(cloud.end, name, found.pid, ending_seconds)
            yield cloud
            if detach and cloud.describe(name):
                cloud.unleash(name)
                ending.pop_all()


@contextmanager
def _leash() -> Iterator[int]:
    """The reading end of a pipe. Its writing end is this process's alone, for as long as the block runs."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _one_at_a_time(log: Callable[[str], None]) -> Callable[[str], None]:
    """The container's lines and our own words come from two threads: neither is to stand in the middle of the other."""
    lock = threading.Lock()

    def say(text: str) -> None:
        with lock:
            log(text)

    return say


def _follow(name: DeploymentName, cloud: LocalCloud, log: Callable[[str], None]) -> None:
    """Hand the container's lines on as they come, until its supervisor ends."""

    def follow() -> None:
        with suppress(DeployerError, OSError):
            for line in cloud.logs(name, follow=True, tail=0):
                log(line.text)

    threading.Thread(target=follow, name=f"log of {name}", daemon=True).start()


def _stay(name: DeploymentName, cloud: LocalCloud) -> None:
    """Until interrupted.

    Raises:
        RolloutFailed: the container exited.
    """
    for found in poll(lambda: cloud.describe(name), seconds=math.inf, pauses=_LOOKS):
        if found is None:
            return
        state = found.containers.get(_GENERATION)
        if state is None or not state.alive:
            lines = state.lines if state else ()
            raise RolloutFailed("the container ended", why=reason(state.reason if state else "it was stopped", lines), lines=lines)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
