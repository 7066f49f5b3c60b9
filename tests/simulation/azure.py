"""The real Azure ML target over the simulated Azure: planner, steps, ledger and client as they are; the pipeline alone is simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from azure.core.exceptions import ServiceResponseError

from deployer.core.state import Image, digest_of
from deployer.core.target import Target
from deployer_targets.azureml import blobs, images, ledger, upload
from deployer_targets.azureml.address import AzureWorkspace
from deployer_targets.azureml.client import AzureAnswer, AzureMlCloud, WorkspaceConnection
from deployer_targets.azureml.clouds import CloudAddresses
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.faults import ApiError
from deployer_targets.azureml.target import AzureMl
from tests.simulation.azure_cloud import ARM, STORE
from tests.simulation.histories import Command
from tests.simulation.inline import Inline
from tests.simulation.service import LostAnswer, ServiceError
from tests.simulation.wire import Wire

IMAGE = f"registry.azurecr.io/deployer-scoring@{digest_of('image')}"
WORKSPACE = AzureWorkspace("s", "g", "w")


class SimulatedPipeline(WorkspaceConnection):
    """The real connection with a wire at its end.

    Attributes:
        reaches_store: whether the store answers the call of a number.
    """

    cloud = CloudAddresses(ARM, "login.simulated", "azurecr.io")
    credential = None

    def __init__(self, wire: Wire, reaches_store: Callable[[int], bool]) -> None:
        super().__init__(WORKSPACE, deadline_seconds=10, sleep=wire.wait)
        self._wire, self._reaches_store = wire, reaches_store

    def once(
        self, method: str, url: str, scope: str, *, body: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AzureAnswer:
        if url.startswith(STORE) and not self._reaches_store(self._wire.calls):
            self._wire.wait(1)
            raise ServiceResponseError("no answer")
        try:
            told = self._wire.call(f"{method} {_what(url)}", url=url, body=content if body is None else body, headers=headers or {})
        except ServiceError as no:
            status = {"ThrottlingException": 429, "AccessDeniedException": 403}.get(no.code) or int(no.code)
            raise ApiError(status, no.message.encode(), {}) from no
        except LostAnswer as lost:
            raise ServiceResponseError("no answer") from lost
        return AzureAnswer(told["status"], told["headers"], told["body"])


def _what(url: str) -> str:
    """What a request is about, in a word."""
    parts = url.partition("?")[0].split("/")
    kinds = ("claim", "generations", "history.json") if url.startswith(STORE) else ("deployments", "onlineEndpoints", "models", "environments")
    return next((kind for kind in kinds if kind in parts), "blob" if url.startswith(STORE) else "other")


class OverSimulatedAzure:
    """The Azure ML target. An image is given, where the real one asks a registry.

    Attributes:
        outages: by client, the number of its call from which on the store doesn't answer it.
    """

    def __init__(self, outages: Mapping[str, int] | None = None) -> None:
        self.target: Target[Any, Any] = AzureMl()
        self._outages = dict(outages or {})

    def over(self, wire: Wire, run: str) -> AzureMlCloud:
        last = self._outages.get(run)
        pipeline = SimulatedPipeline(wire, lambda number: last is None or number < last)
        return AzureMlCloud(pipeline, AzureMlConfig.parse({}, target="azureml"))

    def options(self, command: Command) -> Mapping[str, Any]:
        return dict(command.options)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """No threads, no registry."""
        image = Image(IMAGE, digest_of("image"))
        with (
            patch.object(blobs, "ThreadPoolExecutor", Inline),
            patch.object(ledger, "ThreadPoolExecutor", Inline),
            patch.object(upload, "ThreadPoolExecutor", Inline),
            patch.object(images, "image_for", lambda *_: image),
        ):
            yield
