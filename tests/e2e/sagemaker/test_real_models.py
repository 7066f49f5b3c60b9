"""Models saved by the real MLflow, behind SageMaker endpoints that run the real scoring runtime; and the same through MLflow's own door."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import deployer_localstack as localstack
from deployer.client import get_deploy_client
from deployer.events import silent
from deployer_images.builder import BuildOptions, build_and_push
from tests.e2e.sagemaker.cloud import REGION, ROLE, AwsHere, running
from tests.environments import MLFLOW, environment, mlflow_python
from tests.models import saved_model

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
ASK = """
import json, sys
import mlflow
model, request = mlflow.pyfunc.load_model(sys.argv[1]), json.loads(sys.stdin.read())
from mlflow.pyfunc.scoring_server import infer_and_parse_data
from mlflow.pyfunc.scoring_server import _get_jsonable_obj
print(json.dumps({"predictions": _get_jsonable_obj(model.predict(infer_and_parse_data(request, model.metadata.get_input_schema())))}))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsHere]:
    """A local AWS with the stand-in of the scoring image: the same entry point as a process, in the model's own environment."""
    with running(tmp_path_factory.mktemp("real")) as cloud:
        repository = cloud.target.image_repository(cloud.connect(), "deployer-scoring", create=True)
        build_and_push(BuildOptions(runtime="process", rebuild=True), repository, silent)
        yield cloud


def by_mlflow(model: Path, body: dict[str, object]) -> object:
    """What mlflow.pyfunc itself predicts."""
    done = subprocess.run([str(mlflow_python()), "-c", ASK, str(model)], input=json.dumps(body), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def request_for(name: str) -> dict[str, object]:
    """The model's own example; for the one with optional columns, a row without them."""
    if name == "optional":
        row = {"amount": 1.5, "count": 2, "name": "x", "active": True, "since": "2026-01-02T03:04:05", "small": 3, "single": 0.5}
        return {"dataframe_records": [row]}
    return dict(json.loads((saved_model(name) / "serving_input_example.json").read_text()))


@pytest.mark.parametrize("name", ["sklearn", "pythonmodel", "optional"])
def test_a_real_model_goes_through_create_predict_update_and_delete(name: str, real: AwsHere):
    """What the shared image lacks is made on the way, and found again."""
    model, request = saved_model(name), request_for(name)
    client = get_deploy_client(f"sagemaker:/{REGION}", {"execution_role_arn": ROLE, "timeout_seconds": 300})
    deployment = f"real-{name}"
    client.create_deployment(deployment, str(saved_model("doubler")))
    plan = client.plan(deployment, str(model), allow_schema_change=True)
    assert ("+ packages" in str(plan)) == (name == "sklearn")  # the others need what the shared image has
    client.update_deployment(deployment, str(model), allow_schema_change=True)
    assert "+ packages" not in str(client.plan(deployment, str(model), allow_schema_change=True))
    assert json.loads(client.predict(deployment, json.dumps(request).encode())) == by_mlflow(model, request)
    client.delete_deployment(deployment)
    assert real.everything_of(deployment) == ()


def test_mlflows_own_command_line_deploys_to_sagemaker(real: AwsHere, tmp_path: Path):
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    python = environment((*MLFLOW, *ours, "boto3", f"--editable={ROOT}"))
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    variables = {**clean, **localstack.environment(real.directory), "MLFLOW_DISABLE_TELEMETRY": "true"}
    target = ("-t", f"deployer-sagemaker:/{REGION}")

    def mlflow(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(python.parent / "mlflow"), "deployments", *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)

    created = mlflow("create", *target, "--name", "door", "-m", str(saved_model("doubler")), "-C", "instance_type=ml.m5.large")
    assert created.returncode == 0, created.stderr
    (tmp_path / "x.json").write_text(json.dumps({"x": {"0": 1.5, "1": 4.0}}))
    assert json.loads(mlflow("predict", *target, "--name", "door", "-I", str(tmp_path / "x.json")).stdout) == {"predictions": [3.0, 8.0]}
    assert mlflow("update", *target, "--name", "door", "-m", str(saved_model("tripler"))).returncode == 0
    assert "'name': 'door'" in mlflow("list", *target).stdout
    assert mlflow("delete", *target, "--name", "door").returncode == 0
    assert real.everything_of("door") == ()
