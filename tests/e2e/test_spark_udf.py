"""Models as functions of Spark: case by case beside MLflow's own, and on an executor of several cores."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.environments import cache_directory, made_once, spark_python

_HERE = Path(__file__).parent
_CASES = _HERE / "spark_cases.py"
_RECORDED = _HERE / "spark_outcomes.json"
_PACKAGES = _HERE.parents[1] / "images"
_BY = ("mlflow", "pyspark", "pandas", "numpy", "pyarrow")

# What MLflow fails at, while ours gives what the result type says: its signatures take no numpy arrays within objects, its lists of lists may
# not be ragged, its structs not hold structs or maps where they come in several batches, and tensors of two dimensions and more have no
# result type that its predictions fit.
BETTER = {
    "a nested signature",
    "nested as array<array<int>>",
    "inferred from a nested array",
    "inferred from an object among columns",
    "inferred from a map among columns",
    "inferred from a tensor of rows",
    "inferred from a tensor of cubes",
}


def _run(work: Path, script: str, *arguments: str) -> str:
    """What a script in Spark's environment printed."""
    python = spark_python()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SPARK_"))}
    settings = {
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_DRIVER_PYTHON": str(python),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": str(_HERE),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TMPDIR": str(work),
    }
    command = [str(python), str(_HERE / script), str(_PACKAGES), str(work), *arguments]
    done = subprocess.run(command, env={**clean, **settings}, cwd=work, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of each case what MLflow makes of it and what ours does. MLflow's are recorded, and asked anew where the cases or a version have changed."""
    recorded = json.loads(_RECORDED.read_text())
    mlflow = recorded["outcomes"] if recorded["of"] == (asked := _asked()) else _of_mlflow(asked)
    work = tmp_path_factory.mktemp("spark")
    _run(work, _CASES.name, "ours")
    ours = json.loads((work / "outcomes.json").read_text())
    return {name: {"mlflow": mlflow[name], "ours": found} for name, found in ours.items()}


def _asked() -> dict[str, str]:
    """What MLflow's outcomes are of: the cases, and the versions that they go by."""
    script = f"import importlib.metadata as m, json; print(json.dumps({{each: m.version(each) for each in {_BY}}}))"
    versions = subprocess.run([str(spark_python()), "-c", script], capture_output=True, text=True, check=True).stdout
    return {"cases": hashlib.sha256(_CASES.read_bytes()).hexdigest(), **json.loads(versions)}


def _of_mlflow(asked: dict[str, str]) -> Any:
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    kept = made_once(cache_directory() / f"spark-cases-{key}", lambda directory: _run(directory, _CASES.name, "mlflow"))
    return json.loads((kept / "outcomes.json").read_text())


def _record() -> None:
    """Write the outcomes of the versions that are here, one case a line: python -m tests.e2e.test_spark_udf."""
    asked = _asked()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in _of_mlflow(asked).items())
    _RECORDED.write_text(f'{{"of": {json.dumps(asked)},\n"outcomes": {{\n{lines}\n}}}}\n')


@pytest.mark.mlflow
@pytest.mark.slow
def test_every_case_has_mlflow_s_verdict_type_and_values(outcomes: dict[str, Any]) -> None:
    different = {
        name: found
        for name, found in outcomes.items()
        if name not in BETTER and found["ours"] != found["mlflow"] and not {"refused"} <= found["ours"].keys() & found["mlflow"].keys()
    }
    assert not different
    assert len(outcomes) > 130


@pytest.mark.mlflow
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BETTER))
def test_where_mlflow_fails_ours_gives_the_result_type(outcomes: dict[str, Any], name: str) -> None:
    assert "refused" in outcomes[name]["mlflow"], "MLflow can do it now: compare the values"
    assert len(outcomes[name]["ours"]["values"]) == 5


@pytest.mark.mlflow
@pytest.mark.slow
def test_a_refusal_says_what_is_missing(outcomes: dict[str, Any]) -> None:
    assert "y is missing" in outcomes["a column missing"]["ours"]["refused"]
    assert "'y'" in outcomes["a struct with a column missing"]["ours"]["refused"]
    assert "ZeroDivisionError: division by zero" in outcomes["raises as double"]["ours"]["refused"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@cache
def _executor(place: Path, cores: int) -> dict[str, Any]:
    """What was seen of an executor with so many cores."""
    line = _run(place, "spark_cluster.py", str(cores), *(["memory"] if cores == 1 else [])).splitlines()[-1]
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.slow
def test_the_workers_of_an_executor_share_one_loaded_model(place: Path) -> None:
    four = _executor(place, 4)
    assert four["answerers"] == 4
    assert four["loaders"] == four["totals"] == 1
    assert four["memory"] < 1.3 * _executor(place, 1)["memory"]


@pytest.mark.slow
def test_what_executors_lack_is_sent_once(place: Path) -> None:
    shipped = _executor(place, 4)["shipped"]
    assert len(shipped) == len(set(shipped)) == 2 + 4, "the package and what daemons import ahead; the models"


@pytest.mark.slow
def test_nothing_runs_on_after_spark_has_stopped(place: Path) -> None:
    four = _executor(place, 4)
    assert four["ran"] > 5
    assert four["left"] == []


@pytest.mark.slow
def test_a_model_that_dies_once_is_asked_again_and_one_that_always_dies_is_named(place: Path) -> None:
    four = _executor(place, 4)
    assert "lived with 2" in four["dies once"]
    assert "the model's process was killed by SIGSEGV while it predicted, 2 times with the same batch" in four["dies always"]
    assert "ModelFailure: ValueError: three is too much" in four["raises"]
    assert "lived with 0" in four["lives on"]


@pytest.mark.slow
def test_a_model_that_cant_be_loaded_says_why(place: Path) -> None:
    assert "the weights are elsewhere" in _executor(place, 4)["can't load"]


@pytest.mark.slow
def test_a_model_gets_an_environment_of_its_own_from_uv(place: Path) -> None:
    said = _executor(place, 4)["isolated"]
    assert "deployer-environments-" in said
    assert "False" in said, "no pyspark there"


if __name__ == "__main__":
    _record()
