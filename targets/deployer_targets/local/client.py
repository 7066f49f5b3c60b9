"""The local cloud as one run sees it: the supervisors of this user, asked over their sockets. Errors of all sorts become ours here."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import deployer
import deployer_images
import deployer_scoring
import deployer_targets
from deployer.core.container import Container
from deployer.core.seam import AT_ONCE, Seam, poll
from deployer.core.state import DeploymentName, Digest, PackagedModel, Record
from deployer.core.traffic import Measured
from deployer.errors import Conflict, DeployerError, DeploymentNotFound, MachineFault, ModelInvalid, TargetUnavailable
from deployer_targets.local import home, wire
from deployer_targets.local.copying import copied
from deployer_targets.local.lines import Line
from deployer_targets.local.names import StateDirectories

_ANSWER_SECONDS = 30.0
_ENDING_SECONDS = 120.0
_LONG_SECONDS = 3600.0
"""For verbs that wait for requests in progress and for containers to end; the supervisor bounds these itself."""


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """Where the supervisors are, and the run that changes things there; None only looks."""

    place: StateDirectories = field(default_factory=StateDirectories.of)
    run: str | None = None

    # Looking

    def names(self) -> list[str]:
        """The deployments that have a supervisor. What killed ones left is cleared."""
        return [name for name in home.names(self.place) if not home.tidy(self.place, name)]

    def describe(self, name: str) -> wire.Description | None:
        """What the supervisor of a name knows; None where there is none.

        Raises:
            TargetUnavailable: there is one, but it doesn't answer.
        """
        home.tidy(self.place, name)
        try:
            return wire.Description.from_document(self._ask(name, "describe"))
        except DeploymentNotFound:
            return None

    def environments(self, name: str) -> Mapping[str, Mapping[str, str]]:
        """The environment of each recorded generation, secrets and all."""
        found: dict[str, dict[str, str]] = {}
        with suppress(DeploymentNotFound):
            found = self._ask(name, "environments")
        return found

    def history(self, name: str) -> str:
        """Who changed a deployment, as runs have written it down."""
        return str(self._ask(name, "history"))

    def logs(self, name: str, *, follow: bool, tail: int) -> Iterator[Line]:
        """Lines until the supervisor ends or the iterator is closed."""
        connection = self._seam(name).call(lambda: wire.connect(self.place.socket(name), None), "local logs")
        with connection, connection.makefile("rwb") as stream:
            stream.write(wire.line({"verb": "logs", "follow": follow, "tail": tail}))
            stream.flush()
            for many in stream:
                yield from (Line(*each) for each in json.loads(many))

    # Changing

    def claim(self, name: DeploymentName, leash: int | None = None) -> LocalCloud:
        """This cloud held by a new run. Starts the supervisor where there is none: one that nothing follows for 30 s ends by itself.

        Args:
            leash: the reading end of a pipe: a supervisor that is started ends, with all that it has, when nobody holds the writing end any more.

        Raises:
            MachineFault: it can't be started here.
        """
        held = replace(self, run=secrets.token_hex(8))

        def taken() -> bool:
            with suppress(DeploymentNotFound):
                held._ask(name, "take", claimant=held.run)
                return True
            self.start(name, leash)  # at once done while one that is being deleted answers its last requests
            return False

        if not any(poll(taken, seconds=_ENDING_SECONDS, pauses=AT_ONCE)):
            raise TargetUnavailable(f"the supervisor of {name} doesn't come to its end", advice=f"see {self.place.log(name)}")
        return held

    def start(self, name: str, leash: int | None = None) -> None:
        """Start a supervisor unless there is one."""
        home.prepare(self.place)
        command = [sys.executable, "-P", "-m", "deployer_targets.local.supervisor", name, str(self.place.sockets), str(self.place.models)]
        held = () if leash is None else (leash,)
        started = subprocess.run(
            [*command, *map(str, held)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(),
            pass_fds=held,
        )
        if started.returncode:
            said = started.stderr.strip().splitlines()
            raise MachineFault(f"the supervisor of {name} could not be started", why=said[-1] if said else f"exit code {started.returncode}")

    def write_record(self, name: str, record: Record, environment: Mapping[str, str]) -> bool:
        """Whether it changed anything."""
        return bool(self._order(name, "write_record", record=record.to_json(), environment=dict(environment))["changed"])

    def keep_history(self, name: str, text: str, before: str) -> None:
        self._order(name, "keep_history", text=text, before=before)

    def listen(self, name: str, host: str, port: int) -> tuple[int, bool]:
        """The port that is listened on, and whether that changed."""
        answer = self._order(name, "listen", host=host, port=port)
        return int(answer["port"]), bool(answer["changed"])

    def copy_model(self, name: str, model: PackagedModel, progress: Callable[[int, int], None]) -> bool:
        """Copy a model's files into the deployment's own directory, unless they are there. Whether it changed anything.

        Args:
            progress: told bytes done, bytes in all.

        Raises:
            ModelInvalid: the files aren't on this machine any more, or changed since they were digested.
            MachineFault: the disk is full.
        """
        whole = self.place.model(name, model.digest)
        if whole.is_dir():
            return False
        if model.path is None:
            raise ModelInvalid(f"the files of {model.facts.uri} are not on this machine any more", advice=f"name the model: -m {model.facts.uri}")
        unfinished = whole.with_name(f"{whole.name}.{self.run}")
        try:
            copied(model.path, unfinished, expecting=model.digest, progress=progress)
            self._order(name, "adopt_model", unfinished=unfinished.name, model=whole.name)
        except OSError as error:
            raise MachineFault(f"the model can't be copied to {whole.parent}: {error.strerror or error}", advice="free some space") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return True

    def load(
        self,
        name: str,
        generation: str,
        container: Container,
        runtime: str,
        limits: Mapping[str, float],
        *,
        model: Digest | None,
        publish: bool = False,
    ) -> bool:
        """Start a generation's container beside what serves; its mounts of the model's files lead to the copy. Whether it changed anything."""
        if model is not None:
            source = self.place.model(name, model)
            container = replace(container, mounts=tuple(replace(mount, source=source) for mount in container.mounts))
        document = wire.container_document(container)
        how = {"container": document, "runtime": runtime, "limits": dict(limits), "publish": publish}
        return bool(self._order(name, "load", generation=generation, **how)["changed"])

    def wait(self, name: str, generation: str, seconds: float) -> wire.ContainerState:
        """The state of a generation's container once it is ready or failed, or after so many seconds."""
        state = self._order(name, "wait", generation=generation, seconds=seconds)
        return wire.ContainerState(**{**state, "lines": tuple(state["lines"])})

    def shift(self, name: str, shares: Mapping[str, int], expecting: Mapping[str, int]) -> bool:
        """Divide the traffic among generations that are ready: percent by generation, the oldest first. Whether it changed anything.

        Raises:
            Conflict: it is divided otherwise than `expecting` by now.
        """
        return bool(self._order(name, "shift", shares=dict(shares), expecting=dict(expecting))["changed"])

    def switch_when_ready(self, name: str, shares: Mapping[str, int]) -> None:
        """Let the supervisor do the same as soon as the last of the generations is ready."""
        self._order(name, "switch_when_ready", shares=dict(shares))

    def measure(self, name: str, generation: str) -> Measured:
        """What a generation has answered since the traffic is divided as it is; only through the proxy it is counted."""
        found = self._order(name, "measure", generation=generation)
        return Measured(found["requests"], found["errors"], {int(percentile): took for percentile, took in found["latencies"].items()})

    def change(self, name: str, record: Record, limits: Mapping[str, float]) -> None:
        """New values of the live options, and the record that says so."""
        self._order(name, "change", record=record.to_json(), limits=dict(limits))

    def sweep(self, name: str, *, records: tuple[str, ...], containers: tuple[str, ...], models: tuple[str, ...]) -> bool:
        """Remove what isn't in these; returns when containers that go have answered their requests and ended. Whether it changed anything."""
        return bool(self._order(name, "sweep", records=records, containers=containers, models=models)["changed"])

    def stop(self, name: str) -> bool:
        """End the supervisor, its containers and files; returns when the process has ended. False where there is none."""
        if self.describe(name) is None:
            return False
        with home.watched(self.place, name) as ended:
            self._order(name, "stop")
            ended(_ANSWER_SECONDS)
        return True

    def end(self, name: str, supervisor: int, seconds: float) -> None:
        """The same within so many seconds, whatever hangs: past them the supervisor's processes are killed, and its containers die with it."""
        deadline = time.monotonic() + seconds
        with home.watched(self.place, name) as ended:
            with suppress(DeployerError):
                self._ask(name, "stop", patience=seconds)
            if not ended(max(0.0, deadline - time.monotonic())):
                with suppress(ProcessLookupError):
                    os.killpg(supervisor, signal.SIGKILL)
                ended(_ANSWER_SECONDS)
        home.tidy(self.place, name)

    def unleash(self, name: str) -> None:
        """Let the supervisor live on without who held the leash."""
        self._order(name, "unleash")

    def _order(self, name: str, verb: str, **arguments: Any) -> Any:
        """A changing verb. Who finds nobody there was overtaken: it claimed what was there."""
        try:
            return self._ask(name, verb, patience=_LONG_SECONDS, **arguments)
        except DeploymentNotFound as error:
            raise Conflict(
                f"{name} was deleted meanwhile, or its supervisor was killed", advice="deploy list shows what is there; the same command starts anew"
            ) from error

    def _ask(self, name: str, verb: str, patience: float = _ANSWER_SECONDS, **arguments: Any) -> Any:
        def asked() -> bytes:
            with wire.connect(self.place.socket(name), patience) as connection, connection.makefile("rwb") as stream:
                stream.write(wire.line({"verb": verb, "run": self.run, **arguments}))
                stream.flush()
                return stream.readline() or _nobody()

        document = json.loads(self._seam(name).call(asked, f"local {verb}"))
        wire.raise_error(document)
        return document["ok"]

    def _seam(self, name: str) -> Seam:
        return Seam(SupervisorFaults(name, self.place.log(name)))


@dataclass(frozen=True, slots=True)
class SupervisorFaults:
    """The seam's table of what a supervisor's socket may say. Nothing passes by itself: who is there answers."""

    name: str
    log: Path

    def transient(self, error: BaseException) -> bool:
        return False

    def unreached(self, error: BaseException) -> bool:
        return isinstance(error, OSError)

    def expired(self, error: BaseException) -> bool:
        return False

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        if isinstance(error, TimeoutError):
            return TargetUnavailable(f"the supervisor of {self.name} doesn't answer", advice=f"see {self.log}")
        if isinstance(error, OSError):
            return DeploymentNotFound(f"there is no local deployment {self.name}", advice="deploy list -t local shows what is there")
        return None


def _nobody() -> bytes:
    raise ConnectionResetError("the supervisor ended before it answered")


def _environment() -> dict[str, str]:
    """The caller's, with the places that our packages come from, where Python wouldn't look by itself (a checkout, a caller's own path)."""
    places = {str(Path(str(module.__file__)).parents[1]) for module in (deployer, deployer_scoring, deployer_images, deployer_targets)}
    ours = sorted(place for place in places if not place.endswith("-packages"))
    before = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([*before, *ours]))}
