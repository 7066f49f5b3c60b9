"""The main line with nothing faked on the way: models saved by the real MLflow, the command line, the local cloud, as processes and in docker.

The answers are held against `mlflow.pyfunc.load_model(...).predict`, the state of the cloud against plain boto3.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

import deployer_localstack as localstack
from tests.docker import base_image, docker_engine  # noqa: F401  fixtures
from tests.environments import mlflow_python
from tests.models import copied_model, saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
OPTIONAL = ["amount", "count", "name", "active", "since", "small", "single", "discount"]
QUESTIONS: dict[str, tuple[list[str], list[Any]]] = {
    "sklearn": (IRIS, [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]),
    "pythonmodel": (["a", "b"], [[1.0, "x"], [-2.5, "straße"]]),
    "optional": (OPTIONAL, [[1.5, 2, "ÿ", True, "2026-01-02T03:04:05", 7, 0.5, 0.25], [1.5, 2, "", False, "2026-01-02T03:04:05", 7, 0.5, None]]),
}

DOCKER = pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow])
"""One image is built there, for all tests."""


@dataclass
class Line:
    """A local cloud and the command line pointed at it."""

    runtime: str
    environment: Mapping[str, str]
    base: tuple[str, ...] = ()
    built: set[str] = field(default_factory=set)

    def deploy(self, *arguments: str, expecting: int = 0) -> str:
        done = subprocess.run([DEPLOY, *arguments], env=self.environment, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == expecting, f"deploy {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def model(self, name: str, directory: Path) -> Path:
        """A copy of what MLflow has saved; in docker it doesn't list mlflow, with which an image has 1.1 GB and takes minutes."""
        model = copied_model(name, directory)
        if self.runtime == "docker":
            listed = (model / "requirements.txt").read_text().splitlines()
            (model / "requirements.txt").write_text("\n".join(line for line in listed if not line.startswith("mlflow")))
        return model

    def build_for(self, model: Path) -> str:
        return self.deploy("build-and-push-container", "-t", "sagemaker", "--runtime", self.runtime, "--for", str(model), *self.base)

    def ask(self, name: str, body: Mapping[str, Any]) -> Any:
        return json.loads(self.deploy("predict", "-t", "sagemaker", "-n", name, "-d", json.dumps(body)))

    def client(self, service: str) -> Any:
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY", "endpoint_url": "AWS_ENDPOINT_URL"}
        given = {key: self.environment[name] for key, name in names.items()}
        return boto3.client(service, region_name=self.environment["AWS_REGION"], config=Config(retries={"total_max_attempts": 1}), **given)


@pytest.fixture(scope="module", params=["process", DOCKER])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("cloud")
    base = ("--base-image", request.getfixturevalue("base_image")) if request.param == "docker" else ()
    localstack.up(localstack.StartOptions(port=0, directory=directory))
    try:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "AWS_")) or name == "AWS_CA_BUNDLE"}
        yield Line(request.param, {**clean, **localstack.environment(directory)}, base)
    finally:
        localstack.down(directory)


IN_PROCESSES = pytest.mark.parametrize("line", ["process"], indirect=True)


@pytest.mark.mlflow
def test_a_model_of_mlflow_is_created_asked_updated_and_deleted(line: Line, tmp_path: Path) -> None:
    _from_create_to_delete(line, "sklearn", tmp_path)


@pytest.mark.mlflow
@IN_PROCESSES
@pytest.mark.parametrize("name", ["pythonmodel", "optional"])
def test_other_models_of_mlflow_are_created_asked_updated_and_deleted(line: Line, name: str, tmp_path: Path) -> None:
    _from_create_to_delete(line, name, tmp_path)


def _from_create_to_delete(line: Line, name: str, tmp_path: Path) -> None:
    columns, rows = QUESTIONS[name]
    body = {"dataframe_split": {"columns": columns, "data": rows}}
    first = line.model(name, tmp_path)
    second = _another(first, tmp_path)
    line.build_for(first)

    line.deploy("create", "-t", "sagemaker", "-n", name, "-m", str(first))
    assert line.ask(name, body) == _predicted(first, columns, rows)

    with _Stream(line, name, body) as stream:
        line.deploy("update", "-t", "sagemaker", "-n", name, "-m", str(second))
    assert (stream.failures, stream.answers > 0) == ([], True)
    assert line.ask(name, body) == _predicted(second, columns, rows)

    seen = json.loads(line.deploy("get", "-t", "sagemaker", "-n", name, "-o", "json"))
    described = line.client("sagemaker").describe_endpoint(EndpointName=name)
    assert (seen["status"], described["EndpointStatus"]) == ("ready", "InService")

    line.deploy("delete", "-t", "sagemaker", "-n", name)
    line.deploy("delete", "-t", "sagemaker", "-n", name)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        line.client("sagemaker").describe_endpoint(EndpointName=name)
    assert line.client("s3").list_objects_v2(Bucket="sagemaker-us-east-1-123456789012", Prefix=f"deployer/{name}/").get("KeyCount") == 0


def test_a_model_that_does_not_load_leaves_the_old_one_answering(line: Line, tmp_path: Path) -> None:
    columns, rows = QUESTIONS["sklearn"]
    body = {"dataframe_split": {"columns": columns, "data": rows}}
    line.build_for(first := line.model("sklearn", tmp_path))
    line.deploy("create", "-t", "sagemaker", "-n", "steady", "-m", str(first))
    answer = line.ask("steady", body)
    with _Stream(line, "steady", body) as stream:
        line.deploy(
            "update", "-t", "sagemaker", "-n", "steady", "-m", str(saved_model("broken")), "--packages", "image", "--allow-schema-change", expecting=5
        )
    assert (stream.failures, line.ask("steady", body)) == ([], answer)
    line.deploy("delete", "-t", "sagemaker", "-n", "steady")


def test_an_image_is_built_once(line: Line, tmp_path: Path) -> None:
    first = line.model("sklearn", tmp_path)
    assert line.build_for(_another(first, tmp_path)) == line.build_for(first), "models with the same lock share an image"


@IN_PROCESSES
def test_several_models_get_images_that_fit_each(line: Line) -> None:
    wanted = [argument for name in ("doubler", "tripler", "sklearn") for argument in ("--for", str(saved_model(name)))]
    built = line.deploy("build-and-push-container", "-t", "sagemaker", "--runtime", line.runtime, *wanted, *line.base, "-q").split()
    assert len(built) == len(set(built)) == 2, "doubler and tripler share one"
    assert line.deploy("build-and-push-container", "-t", "sagemaker", "--runtime", line.runtime, *wanted, *line.base, "-q").split() == built
    for name in ("doubler", "sklearn"):
        line.deploy("plan", f"planned-{name}", "-t", "sagemaker", "-m", str(saved_model(name)))


class _Stream:
    """Requests by plain boto3, one after another, for as long as the block runs."""

    def __init__(self, line: Line, name: str, body: Mapping[str, Any]) -> None:
        self._client, self._name, self._body = line.client("sagemaker-runtime"), name, json.dumps(body)
        self.answers, self.failures = 0, list[str]()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> _Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _send(self) -> None:
        while not self._end.wait(0.02):
            try:
                answer = self._client.invoke_endpoint(EndpointName=self._name, ContentType="application/json", Body=self._body)
                answer["Body"].read()
                self.answers += 1
            except Exception as error:  # whatever it is, a caller would have seen it
                self.failures.append(str(error))


def _another(model: Path, directory: Path) -> Path:
    """The same model under another run: another digest, so that an update has something to roll out."""
    other = Path(shutil.copytree(model, directory / "another"))
    document = yaml.safe_load((other / "MLmodel").read_text())
    (other / "MLmodel").write_text(yaml.safe_dump({**document, "run_id": "0" * 32}))
    return other


def _predicted(model: Path, columns: list[str], rows: list[Any]) -> Any:
    """What MLflow itself predicts."""
    script = Path(__file__).with_name("scoring_predict.py")
    asked = json.dumps([[str(model), columns, rows, None]])
    done = subprocess.run([str(mlflow_python()), str(script)], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(json.loads(done.stdout)[0])
