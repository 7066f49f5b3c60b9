"""Models saved by the real MLflow, served by the runtime: the same answers as `mlflow.pyfunc.load_model(...).predict`, and as MLflow's server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.scoring_process import serving
from tests.environments import mlflow_python
from tests.models import copied_model, saved_model

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [1.5, 2, "ÿ", True, "2026-01-02T03:04:05", 7, 0.5]
NAMES = ["amount", "count", "name", "active", "since", "small", "single"]

# Model, columns (or none), rows, params.
REQUESTS: list[tuple[str, list[str] | None, Any, dict[str, Any] | None]] = [
    ("sklearn", IRIS, [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], None),
    ("pythonmodel", ["a", "b"], [[1.0, "x"], [-2.5, "straße"]], None),
    ("optional", NAMES, [ROW], None),
    ("optional", [*NAMES, "discount", "note"], [[*ROW, 0.25, "n"], [*ROW, None, None]], {"top": 5, "labels": ["z"], "threshold": 1}),
    ("optional", ["extra", *reversed(NAMES)], [[0, *reversed(ROW)]], {"unknown": 1}),
    ("nested", ["numbers", "point"], [[[1.0, 2.0], {"x": 1.0}], [[3.0], {"x": 2.0, "label": "l"}]], None),
    ("typed", None, ["a", "ß"], None),
    ("doubler", ["x"], [[1.0], [2.5]], None),
]


@cache
def expected() -> list[str]:
    """What MLflow predicts for each of the requests."""
    asked = json.dumps([[str(saved_model(name)), *rest] for name, *rest in REQUESTS])
    script = Path(__file__).with_name("scoring_predict.py")
    done = subprocess.run([str(mlflow_python()), str(script)], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.mlflow
@pytest.mark.parametrize("name", ["sklearn", "pythonmodel", "optional", "nested", "typed", "doubler"])
def test_a_model_saved_by_mlflow_answers_as_mlflow_predicts(name: str) -> None:
    with serving(saved_model(name), python=mlflow_python()) as served:
        for (model, columns, rows, params), wanted in zip(REQUESTS, expected(), strict=True):
            if model == name:
                body = {"dataframe_split": {"columns": columns, "data": rows}} if columns else {"inputs": rows}
                response = served.ask({**body, **({"params": params} if params else {})})
                assert response.status_code == 200, response.text
                assert response.json() == json.loads(wanted)


@pytest.mark.mlflow
def test_a_chat_model_takes_and_gives_its_messages_without_a_wrapper() -> None:
    with serving(saved_model("chat"), python=mlflow_python()) as served:
        answer = served.ask({"messages": [{"role": "user", "content": "abc"}], "temperature": 0.5}).json()
    assert answer == {"choices": [{"message": {"role": "assistant", "content": "cba"}}], "params": {"temperature": 0.5}}


@contextmanager
def mlflow_server(model: Path) -> Iterator[httpx.Client]:
    """MLflow's own scoring server for a model, as `mlflow models serve` starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(mlflow_python()), "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "mlflow.pyfunc.scoring_server.app:app"]
    variables = {**os.environ, "__pyfunc_model_path__": model.as_uri(), "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "60"}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            for _ in range(1200):
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                try:
                    if client.get("/ping").status_code == 200:
                        break
                except httpx.ConnectError:
                    time.sleep(0.05)
            yield client
    finally:
        process.kill()
        process.communicate()


@pytest.mark.mlflow
def test_the_server_answers_as_mlflow_s_server_does() -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    requests = [
        ((saved_model("sklearn") / "serving_input_example.json").read_text(), "application/json"),
        (json.dumps({"dataframe_split": {"columns": IRIS, "data": rows}}), "application/json"),
        (json.dumps({"dataframe_records": [dict(zip(IRIS, row, strict=True)) for row in rows]}), "application/json"),
        (json.dumps({"inputs": [dict(zip(IRIS, row, strict=True)) for row in rows]}), "application/json"),
        (json.dumps({"instances": [dict(zip(IRIS, row, strict=True)) for row in rows]}), "application/json; charset=utf-8"),
        (",".join(IRIS) + "\n5.1,3.5,1.4,0.2\n", "text/csv"),
        (json.dumps({"dataframe_split": {"columns": IRIS[:3], "data": [row[:3] for row in rows]}}), "application/json"),
        (json.dumps({"inputs": rows}), "application/json"),
        ("{", "application/json"),
        ("x", "text/plain"),
    ]
    with mlflow_server(saved_model("sklearn")) as theirs, serving(saved_model("sklearn"), python=mlflow_python()) as ours:
        for body, content_type in requests:
            wanted, found = (each.post("/invocations", content=body, headers={"content-type": content_type}) for each in (theirs, ours.client))
            assert found.status_code == wanted.status_code, (body, found.text, wanted.text)
            if wanted.status_code == 200:
                assert found.json() == wanted.json()
            elif wanted.status_code == 400:
                assert found.json()["error_code"] == wanted.json()["error_code"]


def wheel(directory: Path) -> Path:
    """A package with one module, which no index has."""
    file = directory / "a_package_of_our_own-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a_module_that_is_not_there.py", "")
        archive.writestr("a_package_of_our_own-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-package-of-our-own\nVersion: 1.0\n")
        archive.writestr("a_package_of_our_own-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("a_package_of_our_own-1.0.dist-info/RECORD", "")
    return file


def test_at_start_the_model_s_packages_are_installed_before_it_is_loaded(tmp_path: Path) -> None:
    model = copied_model("broken", tmp_path)
    (model / "requirements.txt").write_text(f"a-package-of-our-own @ {wheel(tmp_path).as_uri()}\n")
    with serving(model, DEPLOYER_PACKAGES="at-start", TMPDIR=str(tmp_path)) as served:
        assert served.client.get("/ping").status_code == 200
        assert any("installing the packages" in line for line in served.errors)


def test_at_start_without_a_network_is_refused_with_the_way_out(tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    (model / "requirements.txt").write_text("a-package-that-no-index-has==1.0\n")
    with serving(model, ready=False, DEPLOYER_PACKAGES="at-start", UV_OFFLINE="1", TMPDIR=str(tmp_path)) as served:
        assert served.ended() == 1
        assert served.errors[-1].startswith("the model could not be loaded: the model's packages could not be installed: the package index")
        assert "build-and-push-container --for MODEL" in served.errors[-1]


def test_the_entry_point_prints_its_version_and_refuses_wrong_use() -> None:
    root = Path(__file__).parents[2]
    run = [sys.executable, "-m", "deployer_scoring"]
    variables = {**os.environ, "PYTHONPATH": str(root / "images")}
    assert subprocess.run([*run, "--version"], env=variables, capture_output=True, text=True, check=True).stdout == "0.1.0\n"
    wrong = subprocess.run([*run, "serve"], env={**variables, "DEPLOYER_PORT": "many"}, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "DEPLOYER_PORT must be a whole number, not 'many'\n")
