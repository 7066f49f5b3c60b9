"""What serves an endpoint: one container per variant (for all of its instances), watched, restarted when it dies, drained before it goes."""

from __future__ import annotations

import logging
import random
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.core.container import Container, Mount
from deployer.errors import DeployerError, Interrupted, RolloutFailed, TimedOut
from deployer_images.runtimes import Running, wait_healthy
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.images import Images, ResolvedImage
from deployer_localstack.aws.log_streams import LogStream, LogStreams
from deployer_localstack.aws.model_data import ModelDataBroken, model_data, unpack
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.containers.proxy import ConnectionPool
from deployer_localstack.containers.runtimes import Runtimes

MODEL_DIRECTORY = "/opt/ml/model"
PORT = 8080
_WATCH_SECONDS = 0.5
_STOP_SECONDS = 30.0


class FleetFailed(Exception):
    """A variant can't serve; the text is the FailureReason."""


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """What to run for a variant: its part of the endpoint configuration, and its model as CreateModel got it."""

    endpoint: str
    variant: Mapping[str, Any]
    model: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.variant["VariantName"])

    @property
    def container(self) -> Mapping[str, Any]:
        containers = self.model.get("Containers") or [self.model["PrimaryContainer"]]
        if len(containers) > 1:
            raise FleetFailed(f"The local cloud runs one container per variant; variant {self.name} has {len(containers)}.")
        first: Mapping[str, Any] = containers[0]
        if first.get("Mode") == "MultiModel":
            raise FleetFailed("The local cloud has no multi-model endpoints.")
        return first


class Dataplane:
    """Starts fleets."""

    def __init__(self, directory: Path, settings: AwsSettings, images: Images, runtimes: Runtimes, logs: LogStreams) -> None:
        self._directory = directory
        self.settings = settings
        self._images = images
        self._runtimes = runtimes
        self._logs = logs

    def start(self, place: AccountRegion, config: str, plans: Sequence[VariantPlan], cancelled: threading.Event) -> Fleet:
        """A fleet of an endpoint configuration, of which every variant answers /ping.

        Raises:
            FleetFailed: one of them doesn't; none is left running then.
        """
        replicas: list[Replica] = []
        try:
            for plan in plans:
                replica = self._prepare(place, plan, cancelled)
                replicas.append(replica)
                replica.start()
        except BaseException:
            for replica in replicas:
                replica.stop(5.0)
            raise
        return Fleet(config, replicas)

    def _prepare(self, place: AccountRegion, plan: VariantPlan, cancelled: threading.Event) -> Replica:
        container = plan.container
        try:
            image = self._images.resolve(place, container["Image"])
        except AwsError as gone:
            raise FleetFailed(f"The image of production variant {plan.name} can't be had: {gone.message}") from gone
        workspace = self._directory / "endpoints" / f"{plan.endpoint}-{secrets.token_hex(6)}"
        model_directory = workspace / "model"
        data = model_data(container)
        try:
            if data:
                unpack(place, data, model_directory)
            else:
                model_directory.mkdir(parents=True)
        except (ModelDataBroken, OSError) as fault:
            shutil.rmtree(workspace, ignore_errors=True)
            raise FleetFailed(str(fault)) from fault
        stream = self._logs.open(place, f"/aws/sagemaker/Endpoints/{plan.endpoint}", f"{plan.name}/i-{secrets.token_hex(8)}0")
        spec = Container(
            image=image.resolved,
            command=("serve",),
            port=PORT,
            environment=dict(container.get("Environment") or {}),
            mounts=(Mount(model_directory, MODEL_DIRECTORY),),
            labels=image.labels,
            isolated_network=bool(plan.model.get("EnableNetworkIsolation")),
        )

        def run() -> Running:
            return self._runtimes.start(spec, image.repository, name=f"{plan.endpoint}/{plan.name}", log=stream)

        def clean() -> None:
            self._logs.close(stream)
            shutil.rmtree(workspace, ignore_errors=True)

        return Replica(plan, image, run=run, clean=clean, stream=stream, settings=self.settings, cancelled=cancelled)


class Replica:
    """The container of one variant."""

    def __init__(
        self,
        plan: VariantPlan,
        image: ResolvedImage,
        *,
        run: Callable[[], Running],
        clean: Callable[[], None],
        stream: LogStream,
        settings: AwsSettings,
        cancelled: threading.Event,
    ) -> None:
        self.variant = plan.name
        self.image = image
        self.serverless: Mapping[str, Any] | None = plan.variant.get("ServerlessConfig")
        self.weight = float(plan.variant.get("InitialVariantWeight", 1.0))
        self.instances = int(plan.variant.get("InitialInstanceCount", 1))
        self.pool: ConnectionPool | None = None
        self.stream = stream
        self._plan, self._run, self._clean = plan, run, clean
        self._settings, self._cancelled = settings, cancelled
        self._running: Running | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Return once /ping answers 200.

        Raises:
            FleetFailed: it exits again and again, or doesn't answer within the startup timeout.
        """
        allowed = self._plan.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 480)
        deadline = time.monotonic() + min(float(allowed), self._settings.startup_timeout_seconds)
        for _ in range(max(1, self._settings.container_exits)):
            if self._cancelled.is_set():
                break
            if self._come_up(deadline):
                threading.Thread(target=self._watch, name=f"watch {self.variant}", daemon=True).start()
                return
            if time.monotonic() >= deadline:
                break
        raise FleetFailed(
            f"The primary container for production variant {self.variant} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )

    def stop(self, grace_seconds: float = _STOP_SECONDS) -> None:
        """Stop the container and remove what belongs to it; safe to call twice."""
        self._stopped.set()
        with self._lock:
            running, self._running = self._running, None
        if self.pool:
            self.pool.close()
        if running:
            with suppress(DeployerError, OSError):
                running.stop(grace_seconds)
        self._clean()

    def _come_up(self, deadline: float) -> bool:
        try:
            running = self._run()
        except DeployerError as fault:
            raise FleetFailed(" ".join(part for part in (f"{fault.message}.", fault.why) if part)) from fault
        except OSError as fault:
            raise FleetFailed(f"The container of production variant {self.variant} can't be started: {fault}") from fault
        try:
            wait_healthy(running, timeout_seconds=max(0.0, deadline - time.monotonic()), stop=self._cancelled)
        except (RolloutFailed, TimedOut, Interrupted):
            with suppress(DeployerError, OSError):
                running.stop(1.0)
            return False
        with self._lock:
            if self._stopped.is_set():
                running.stop(1.0)
                return False
            self._running, self.pool = running, ConnectionPool(running.address)
        return True

    def _watch(self) -> None:
        """SageMaker starts a container again that dies in service."""
        while not self._stopped.wait(_WATCH_SECONDS):
            running = self._running
            if running is None or running.alive():
                continue
            self.stream(f"the container exited with code {running.exit_code}; it is started again".encode())
            self.pool = None
            with suppress(DeployerError, OSError):
                running.stop(1.0)
            try:
                self._come_up(time.monotonic() + self._settings.startup_timeout_seconds)
            except FleetFailed as failed:
                logging.getLogger(__name__).warning("%s: %s", self.variant, failed)


class Fleet:
    """The containers of one endpoint configuration. Requests hold it while they are answered, so that it goes only when they are done."""

    def __init__(self, config: str, replicas: Sequence[Replica]) -> None:
        self.config = config
        self.replicas = tuple(replicas)
        self._in_flight = 0
        self._idle = threading.Condition()

    def choose(self, variant: str | None) -> Replica | None:
        """The replica of the variant that is asked for, else one by weight."""
        if variant:
            return next((each for each in self.replicas if each.variant == variant), None)
        if len(self.replicas) == 1:
            return self.replicas[0]
        weights = [each.weight for each in self.replicas]
        return random.choices(self.replicas, weights)[0] if sum(weights) > 0 else None

    def enter(self) -> None:
        """A request is on its way; call it under the lock under which fleets are exchanged."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """The request is answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def retire(self, drain_seconds: float) -> None:
        """Wait for the requests in flight, then stop the containers."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, drain_seconds)
        for replica in self.replicas:
            replica.stop()
