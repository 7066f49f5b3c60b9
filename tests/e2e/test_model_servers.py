"""Which server is asked for a model: the one that its URI names and no other; MLflow's own database where nothing is named."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deployer.artifacts import content_digest, fetch, files
from deployer.errors import ConfigInvalid, CredentialsInvalid, ModelNotFound
from deployer.pyfunc import load_model
from tests.environments import mlflow_python
from tests.models import saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
NAME = "cat.schema.churn"
_REGISTER = """
import sys, mlflow
client = mlflow.MlflowClient()
client.create_registered_model(sys.argv[2])
with mlflow.start_run() as run:
    client.log_artifacts(run.info.run_id, sys.argv[1], "model")
    client.create_model_version(sys.argv[2], f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(sys.argv[2], "champion", "1")
print(run.info.run_id)
"""


class Store(NamedTuple):
    """A directory with the database that MLflow 3 makes where no server is named; the run there, and the digest of the model, the doubler."""

    directory: Path
    run_id: str
    digest: str


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    directory = tmp_path_factory.mktemp("store")
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [str(mlflow_python()), "-c", _REGISTER, str(saved_model("doubler")), NAME]
    done = subprocess.run(command, check=True, cwd=directory, env={**quiet, "MLFLOW_DISABLE_TELEMETRY": "true"}, stdout=subprocess.PIPE, text=True)
    assert (directory / "mlflow.db").exists()
    return Store(directory, done.stdout.split()[-1], content_digest(files(saved_model("doubler"))))


@pytest.fixture(autouse=True)
def in_store(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that directory, with an empty cache of models, and no word of MLflow's or Databricks' in the environment."""
    for name in [each for each in os.environ if each.startswith(("MLFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(store.directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


class Workspace:
    """A server that has no model, and the paths and tokens that it was asked with."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append((self.path.partition("?")[0], self.headers.get("Authorization", "")))
                body = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not here"}).encode()
                self.send_response(404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The workspace of the profile `prof`."""
    found = Workspace()
    profiles = tmp_path / "databrickscfg"
    profiles.write_text(f"[prof]\nhost = http://127.0.0.1:{found.server.server_address[1]}\ntoken = of-prof\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


FORMS = [
    f"models://prof@databricks/{NAME}/1",
    f"models://prof@databricks/{NAME}/latest",
    f"models://prof@databricks-uc/{NAME}/1",
    f"models://prof@databricks-uc/{NAME}@champion",
    "models://prof@databricks/m-0123",
    "runs://prof@databricks/RUN/model",
    "dbfs://prof@databricks/models/churn",
]


@pytest.mark.parametrize("uri", FORMS)
@pytest.mark.parametrize("settings", [{}, {"MLFLOW_REGISTRY_URI": "databricks-uc", "MLFLOW_TRACKING_URI": "databricks"}], ids=["local", "other"])
def test_the_workspace_of_the_profile_is_asked_and_no_other(
    workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch, uri: str, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
    with pytest.raises(ModelNotFound, match="databricks"):
        fetch(uri.replace("RUN", store.run_id))
    assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")} == before
    assert [path for path, token in workspace.asked if "/api/2.0/" in path and token == "Bearer of-prof"]
    assert {token for path, token in workspace.asked if "/api/" in path} == {"Bearer of-prof"}


@pytest.mark.parametrize(
    "uri", [*(form.replace("prof", "unknown") for form in FORMS), f"models://SCOPE:PREFIX@databricks/{NAME}/1", "dbfs:/models/churn"]
)
def test_a_profile_that_is_not_there_is_an_error_of_credentials(store: Store, uri: str) -> None:
    for ask in (fetch, load_model):
        with pytest.raises(CredentialsInvalid, match="databricks"):
            ask(uri.replace("RUN", store.run_id))


@pytest.mark.parametrize("command", ["create -t local -n churn -m", "models predict -i in.csv -m"])
def test_no_verb_takes_the_model_of_another_registry(store: Store, tmp_path: Path, command: str) -> None:
    (store.directory / "in.csv").write_text("x\n1\n")
    asked = [DEPLOY, *command.split(), f"models://unknown@databricks/{NAME}/1"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=store.directory)
    assert (done.returncode, done.stdout) == (4, "")
    assert "Error [credentials-invalid]: the credentials of databricks://unknown can't be read" in done.stderr


@pytest.mark.parametrize("uri", [f"models:/{NAME}/1", f"models:/{NAME}@champion", f"models:/{NAME}/latest", "runs:/RUN/model"])
def test_the_database_of_this_directory_is_read_with_what_the_extra_brings(store: Store, uri: str) -> None:
    found = fetch(uri.replace("RUN", store.run_id))
    assert found.digest == store.digest
    assert found.facts.run_id == store.run_id


def test_no_database_is_made_where_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid, match=r"there is no MLflow database mlflow\.db in") as caught:
        fetch(f"models:/{NAME}/1")
    assert "MLFLOW_TRACKING_URI" in caught.value.advice
    assert not list(tmp_path.glob("*.db"))
