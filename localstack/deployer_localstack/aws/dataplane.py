"""What serves an endpoint: one container per variant (for all of its instances), watched, restarted when it dies, drained before it goes."""

from __future__ import annotations

import random
import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.core.container import Container, Mount
from deployer_images.runtimes import RunningContainer
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.images import Images, ResolvedImage
from deployer_localstack.aws.log_streams import LogStream, LogStreams
from deployer_localstack.aws.model_data import ModelDataBroken, model_data, unpack
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.containers.proxy import ConnectionPool
from deployer_localstack.containers.runtimes import Runtimes
from deployer_localstack.containers.supervised import InFlight, Supervised, Unhealthy, Unstartable

MODEL_DIRECTORY = "/opt/ml/model"
PORT = 8080
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

        def run() -> RunningContainer:
            return self._runtimes.start(spec, image.repository, name=f"{plan.endpoint}/{plan.name}", log=stream)

        def clean() -> None:
            self._logs.close(stream)
            shutil.rmtree(workspace, ignore_errors=True)

        container_of = f"production variant {plan.name}"
        return Replica(plan, image, Supervised(container_of, run=run, clean=clean, log=stream, cancelled=cancelled), stream, self.settings)


class Replica:
    """The container of one variant."""

    def __init__(self, plan: VariantPlan, image: ResolvedImage, container: Supervised, stream: LogStream, settings: AwsSettings) -> None:
        self.variant = plan.name
        self.image = image
        self.serverless: Mapping[str, Any] | None = plan.variant.get("ServerlessConfig")
        self.weight = float(plan.variant.get("InitialVariantWeight", 1.0))
        self.instances = int(plan.variant.get("InitialInstanceCount", 1))
        self.stream = stream
        self._plan, self._container, self._settings = plan, container, settings

    @property
    def pool(self) -> ConnectionPool | None:
        return self._container.pool

    def start(self) -> None:
        """Return once /ping answers 200.

        Raises:
            FleetFailed: it exits again and again, or doesn't answer within the startup timeout.
        """
        allowed = float(self._plan.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 480))
        try:
            self._container.start(min(allowed, self._settings.startup_timeout_seconds), self._settings.container_exits)
        except Unstartable as fault:
            raise FleetFailed(str(fault)) from fault
        except Unhealthy:
            raise FleetFailed(
                f"The primary container for production variant {self.variant} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            ) from None

    def stop(self, grace_seconds: float = _STOP_SECONDS) -> None:
        """Stop the container and remove what belongs to it; safe to call twice."""
        self._container.stop(grace_seconds)


class Fleet:
    """The containers of one endpoint configuration. Requests hold it while they are answered, so that it goes only when they are done."""

    def __init__(self, config: str, replicas: Sequence[Replica]) -> None:
        self.config = config
        self.replicas = tuple(replicas)
        self.in_flight = InFlight()

    def choose(self, variant: str | None) -> Replica | None:
        """The replica of the variant that is asked for, else one by weight."""
        if variant:
            return next((each for each in self.replicas if each.variant == variant), None)
        if len(self.replicas) == 1:
            return self.replicas[0]
        weights = [each.weight for each in self.replicas]
        return random.choices(self.replicas, weights)[0] if sum(weights) > 0 else None

    def retire(self, drain_seconds: float) -> None:
        """Wait for the requests in flight, then stop the containers."""
        self.in_flight.drain(drain_seconds)
        for replica in self.replicas:
            replica.stop()
