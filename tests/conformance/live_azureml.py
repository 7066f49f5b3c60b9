"""Azure ML in a user's own workspace: what scripts/conformance_live_azureml runs. pytest doesn't collect it by itself, since it costs.

What it makes carries the run's prefix in its name, or, where that is too short, in a tag: the script finds all of it whatever happened to
this process.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from deployer.conformance import Origin, Place, Sample, TargetContract, TrafficContract
from deployer.core.state import DeploymentName
from deployer.core.target import Payload, TargetUri
from deployer_targets.azureml import blobs, names
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.target import AzureMl
from tests.azureml import WorkspaceSight
from tests.models import failing_model, saved_model

RUN: dict[str, Any] = json.loads(os.environ.get("DEPLOYER_CONFORMANCE_LIVE", "{}"))
"""What the script decided: prefix, target, image, other_image, instance_type, shortest."""


class LiveWorkspace(WorkspaceSight):
    """The user's, as whom the target signs in."""

    def __init__(self, cloud: AzureMlCloud) -> None:
        super().__init__(cloud.connection.cloud.resource_manager, cloud.workspace.id, requests.Session())
        self._cloud = cloud

    def token(self, audience: str) -> str:
        return self._cloud.connection.token(f"{audience}/.default")

    def groups(self, method: str, path: str = "", body: Any = None) -> Any:
        """The suite makes none, and needn't have the right to look."""
        return None

    def blobs(self, prefix: str) -> list[str]:
        return list(blobs.names(self._cloud, prefix))


class LivePlace(Place):
    target = AzureMl()
    question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
    generation_option: Mapping[str, Any] = {"request_settings": {"request_timeout_ms": 61_000}}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    options: ClassVar[Mapping[str, Any]] = {
        "instance_type": RUN.get("instance_type"),
        "image_url": RUN.get("image"),
        "timeout_seconds": 1800,
        "tags": {"conformance-live": RUN.get("prefix", "")},
    }

    def __init__(self) -> None:
        self.first = Sample(self.model_at(saved_model("doubler")), {"predictions": [3.0]})
        self.second = Sample(self.model_at(saved_model("tripler")), {"predictions": [4.5]})
        self.broken = self.model_at(saved_model("broken"))
        self.failing = self.model_at(failing_model(Path(tempfile.mkdtemp(prefix="failing-"))))
        self.other_image = RUN["other_image"]
        self.shortest, self.longest = RUN["shortest"], RUN["prefix"].ljust(32, "c")
        self.sight = LiveWorkspace(self.connect())
        self._numbers = itertools.count()

    def fresh_name(self) -> DeploymentName:
        return DeploymentName(f"{RUN['prefix']}-{next(self._numbers)}")

    def connect(self) -> AzureMlCloud:
        return self.target.connect(TargetUri.parse(RUN["target"]), self.target.config.parse(self.options, target="azureml"))

    def origin(self) -> Origin:
        return Origin("deployer_targets.azureml.target:AzureMl", RUN["target"])

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        return self.sight.everything_of(name)

    def slow_rollouts(self, seconds: float) -> AbstractContextManager[object]:
        """Real ones take minutes anyway."""
        return nullcontext()

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        """An endpoint without a deployment: it costs nothing."""
        path, location = f"onlineEndpoints/{name}", str(self.sight.arm("GET", "")["location"])
        body = {"location": location, "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
        self.sight.arm("PUT", path, body)
        self.sight.wait(path)
        yield lambda: names.TAG_DEPLOYMENT not in ((self.sight.arm("GET", path) or {}).get("tags") or {})
        self.sight.arm("DELETE", path)


@pytest.fixture(scope="module")
def place() -> LivePlace:
    return LivePlace()


class TestAzureMlLive(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_every_call_throttled_once": "never: Azure throttles when it likes",
    }
