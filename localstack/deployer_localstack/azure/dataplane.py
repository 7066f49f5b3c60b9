"""What serves a deployment: its container, with the model where Azure ML mounts it, one for all of its instances."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployer.core.container import Container, Mount
from deployer_images.runtimes import RunningContainer
from deployer_localstack.azure.account import BLOB_CONTAINER, BLOB_STORE, STORAGE_ACCOUNT
from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.images import ContainerRegistry
from deployer_localstack.azure.settings import AzureSettings
from deployer_localstack.azure.storage.store import BlobStore
from deployer_localstack.containers.supervised import InFlight, Supervised, Unhealthy, Unstartable

_MODELS = "/var/azureml-app/azureml-models"
_URI = re.compile(r"azureml://(?:subscriptions/[^/]+/resource[gG]roups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?datastores/([^/]+)/paths/(.+)")
_LINES = 10_000


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """What to run for a deployment.

    Attributes:
        model: name, version and URI; None where there is none.
        readiness, scoring: paths of the environment's inference configuration, whose port all share.
        mount_path: below which the model is; "" for Azure's own.
        startup_seconds: what the probes allow for the first answer.
    """

    endpoint: str
    deployment: str
    image: str
    model: tuple[str, str, str] | None
    variables: Mapping[str, str] = field(repr=False)
    port: int
    readiness: str
    scoring: str
    mount_path: str
    startup_seconds: float


class DeploymentLog:
    """The last lines of a deployment's containers."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)

    def __call__(self, line: bytes) -> None:
        self._lines.append(line.decode(errors="replace").rstrip("\r\n"))

    def tail(self, count: int) -> str:
        return "".join(f"{line}\n" for line in [*self._lines][-count:])


@dataclass(slots=True)
class DeploymentContainer:
    """A container that answers, and the requests that it is answering."""

    container: Supervised
    scoring: str
    in_flight: InFlight = field(default_factory=InFlight)

    def retire(self, drain_seconds: float) -> None:
        """Wait for the requests in flight, then stop it."""
        self.in_flight.drain(drain_seconds)
        self.container.stop(10.0)


class AzureDataplane:
    """Starts containers."""

    def __init__(self, directory: Path, settings: AzureSettings, registry: ContainerRegistry, blobs: BlobStore) -> None:
        self._directory, self._settings, self._registry, self._blobs = directory, settings, registry, blobs

    def start(self, plan: ContainerPlan, log: DeploymentLog, cancelled: threading.Event) -> DeploymentContainer:
        """A container that answers its readiness probe.

        Raises:
            AzureError: it doesn't. Codes and beginnings of words: documented, "Troubleshoot online endpoint deployment"; none runs then.
        """
        image = self._registry.resolve(plan.image)
        workspace = self._directory / "endpoints" / f"{plan.endpoint}-{plan.deployment}-{secrets.token_hex(6)}"
        mounts, variables = self._model(plan, workspace)
        spec = Container(
            image=image.reference,
            command=(),
            port=plan.port,
            environment={**plan.variables, **variables},
            mounts=mounts,
            labels=image.labels,
        )
        name = f"{plan.endpoint}/{plan.deployment}"

        def run() -> RunningContainer:
            return self._registry.runtimes.start(spec, image.repository, name=name, log=log)

        def clean() -> None:
            shutil.rmtree(workspace, ignore_errors=True)

        container = Supervised(name, run=run, clean=clean, log=log, cancelled=cancelled, health=plan.readiness)
        try:
            container.start(min(plan.startup_seconds, self._settings.azure_startup_timeout_seconds), self._settings.azure_container_exits)
        except Unstartable as fault:
            container.stop()
            raise AzureError("BadArgument", f"Unable to download user container image: {fault}") from fault
        except Unhealthy:
            container.stop()
            message = "User container has crashed or terminated. Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-resourcenotready"
            raise AzureError("ResourceNotReady", message) from None
        return DeploymentContainer(container, plan.scoring)

    def _model(self, plan: ContainerPlan, workspace: Path) -> tuple[tuple[Mount, ...], Mapping[str, str]]:
        if plan.model is None:
            return (), {}
        name, version, uri = plan.model
        inside, outside = f"{plan.mount_path or _MODELS}/{name}/{version}", workspace / name / version
        match = _URI.fullmatch(uri)
        outside.mkdir(parents=True)
        if match is None or match[1] != BLOB_STORE or not self._blobs.copy(STORAGE_ACCOUNT, BLOB_CONTAINER, match[2], outside):
            shutil.rmtree(workspace, ignore_errors=True)
            raise AzureError("BadArgument", f"Unable to download user model: there is nothing at {uri}.")
        return (Mount(outside, inside),), {"AZUREML_MODEL_DIR": inside}
