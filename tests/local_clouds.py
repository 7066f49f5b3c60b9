"""Local clouds with a scoring image in their registry, small models to deploy there, and the place that the contract tries them on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deployer_localstack as localstack
from deployer.artifacts import fetch
from deployer.conformance import Origin, Place, Sample
from deployer.core.state import DeploymentName, PackagedModel
from deployer.core.target import Payload, TargetUri
from deployer.events import silent
from deployer.oci import Image
from deployer.oci import labels as image_labels
from deployer_images import standin

SCORER = str(Path(__file__).with_name("scorer.py"))
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"

QUESTION = Payload(json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}).encode())


class CloudHere:
    """A running local cloud, and a target that reaches it.

    Attributes:
        uri: as after -t.
    """

    target: Any
    uri: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.control = localstack.control(directory)
        self.environment: Mapping[str, str] = localstack.environment(directory)

    def connect(self, uri: str = "", **options: Any) -> Any:
        return self.target.connect(TargetUri.parse(uri or self.uri), self.target.config.parse(options, target=self.target.scheme))

    def push(self, tag: str, *, platform: str = "linux/amd64", name: str = "deployer-scoring", **labels: str) -> Image:
        """An image that is `scorer.py`, and says of itself what a scoring image says."""
        repository = self.target.image_repository(self.connect(), name, create=True)
        known = {
            "io.deployer.command": json.dumps([sys.executable, SCORER]),
            image_labels.PYTHON: MINOR,
            image_labels.RUNTIME: "test",
            image_labels.PACKAGES: "[]",
        }
        standin.push(repository, {**known, **labels}, platform, tag)
        found: Image = repository.describe(tag)
        return found

    def everything_of(self, name: str) -> tuple[str, ...]:
        """All that is there because of a deployment, "kind/name"."""
        raise NotImplementedError

    @contextmanager
    def settings(self, **changes: Any) -> Iterator[None]:
        """While it lasts, the cloud is slower, smaller, ..."""
        before = self.control.settings()
        self.control.settings(**changes)
        try:
            yield
        finally:
            self.control.settings(**{key: before[key] for key in changes})


class ScorerPlace(Place):
    """A local cloud, for the contract."""

    question = QUESTION

    def __init__(self, here: CloudHere, models: Path) -> None:
        self.here = here
        self.target = here.target
        self.first = Sample(model_in(models / "doubler", 2), {"predictions": [2.0, 4.0]})
        self.second = Sample(model_in(models / "tripler", 3), {"predictions": [3.0, 6.0]})
        self.broken: PackagedModel = model_in(models / "broken", "broken")
        self.failing: PackagedModel = model_in(models / "failing", "failing")
        self.other_image = here.push("other", **{"io.deployer.inputs": "other"}).reference

    def connect(self) -> Any:
        return self.here.connect()

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        return self.here.everything_of(name)

    def origin(self) -> Origin:
        kind = type(self.target)
        return Origin(f"{kind.__module__}:{kind.__name__}", self.here.uri, environment=dict(self.here.environment))


def model_in(directory: Path, factor: float | str, **files: bytes) -> PackagedModel:
    """A model that multiplies x by `factor`; "broken" fails as it loads, "failing" at each request."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    loader_module: multiplier\n    code: code\n    data: factor.txt\n    python_version: {MINOR}.0\n"
    )
    (directory / "code").mkdir(exist_ok=True)
    (directory / "code" / "multiplier.py").write_text("def _load_pyfunc(path):\n    raise NotImplementedError\n")
    (directory / "factor.txt").write_text(str(factor))
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return fetch(str(directory), silent)
