"""The document at /openapi.json against the running server: what it promises is what is answered, whatever is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.scoring_process import Served, serving
from tests.environments import mlflow_python
from tests.models import saved_model

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"


@pytest.fixture(scope="module")
def doubler() -> Iterator[Served]:
    with serving(saved_model("doubler")) as served:
        yield served


def schemathesis(served: Served, work: Path, *arguments: str) -> str:
    """What schemathesis says of a running server that it found nothing wrong with."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json"]
    # A machine that is busy with other tests is no fault of the server's.
    command += ["--suppress-health-check", "too_slow", "--request-timeout", "60"]
    command += ["--checks", CHECKS, "--generation-deterministic", "--no-color", *arguments]
    clean = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work, env={**clean, "NO_PROXY": "*"}, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_document_of_a_running_server_is_valid(doubler: Served) -> None:
    response = doubler.client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    OpenAPIV31SpecValidator(response.json()).validate()


def test_schemathesis_finds_no_fault_in_any_path(doubler: Served, tmp_path: Path) -> None:
    said = schemathesis(doubler, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "20")
    assert "POST /invocations" not in said  # it names what fails
    assert doubler.process.poll() is None
    assert doubler.ask({"inputs": [1]}).json() == {"predictions": [2.0]}


def test_schemathesis_finds_no_fault_with_params_and_every_type_of_column(tmp_path: Path) -> None:
    with serving(saved_model("optional"), python=mlflow_python()) as served:
        schemathesis(served, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--include-path", "/invocations")
