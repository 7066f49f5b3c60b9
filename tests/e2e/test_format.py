"""Models saved by one side, loaded by the other: ours without mlflow, the real MLflow 3.17 and 2.22 without our package."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environments import flavors_python, format_python, older_mlflow_python

pytestmark = pytest.mark.mlflow

_ROOT = Path(__file__).parents[2]
_MODELS = Path(__file__).with_name("format_models.py")
NAMES = re.findall(r'^    "(\w+)": \(save_', _MODELS.read_text(), re.MULTILINE)
# MLflow finds out what a model needs by loading it in another process: 10 s a model. Ours is tested by itself (tests/unit/scoring/format).
_WITHOUT_REQUIREMENTS = """
import runpy, sys
import mlflow.models
mlflow.models.infer_pip_requirements = lambda *_, fallback=None, **__: list(fallback or [])
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

Said = dict[str, Any]


@dataclass(frozen=True)
class Sides:
    """The directory of each side's models, and what the sides say that models predict."""

    directories: dict[str, Path]
    said: dict[tuple[str, str], Said]
    """By who asks and whose models are asked."""


def run(python: Path, script: Path, steps: list[str], directory: Path, *before: str, **variables: str) -> list[Said]:
    """Save and ask, in one process; what it says at each step."""
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db", **variables}
    command = [str(python), "-W", "ignore", *before, str(script), *steps]
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False, cwd=directory)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    directory = tmp_path_factory.mktemp("format")
    where = {side: directory / side for side in ("ours", "3.17", "2.22")}
    ours, patched = directory / "ours.py", directory / "patched.py"
    ours.write_text(re.sub(r"\bmlflow\b", "deployer", _MODELS.read_text()))
    patched.write_text(_WITHOUT_REQUIREMENTS)
    here = {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'images'}", "DEPLOYER_CACHE": str(directory / "cache")}
    said: dict[tuple[str, str], Said] = {}

    (said["ours", "ours"],) = run(format_python(), ours, ["save", str(where["ours"])], directory, **here)
    for side, python in (("3.17", flavors_python()), ("2.22", older_mlflow_python())):
        steps = ["ask", str(where["ours"]), "save", str(where[side])]
        said[side, "ours"], said[side, side] = run(python, _MODELS, steps, directory, str(patched))
    steps = ["ask", str(where["3.17"]), "ask", str(where["2.22"])]
    said["ours", "3.17"], said["ours", "2.22"] = run(format_python(), ours, steps, directory, **here)
    return Sides(where, said)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["3.17", "2.22"])
def test_mlflow_loads_what_we_save_and_predicts_the_same_as_its_own(sides: Sides, side: str, name: str) -> None:
    assert sides.said[side, "ours"][name] == sides.said[side, side][name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["3.17", "2.22"])
def test_we_load_what_mlflow_saves_and_predict_the_same_as_our_own(sides: Sides, side: str, name: str) -> None:
    assert sides.said["ours", side][name] == sides.said["ours", "ours"][name]


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_predict_the_same_for_their_own_models(sides: Sides, name: str) -> None:
    assert sides.said["ours", "ours"][name] == sides.said["3.17", "3.17"][name]
    assert "Error" not in str(sides.said["ours", "ours"][name])


@pytest.mark.parametrize("name", NAMES)
def test_the_mlmodel_is_mlflow_s_key_by_key(sides: Sides, name: str) -> None:
    ours, theirs = (described(sides.directories[side] / name, sides.directories[side]) for side in ("ours", "3.17"))
    assert theirs.pop("mlflow_version") == "3.17.2"  # ours is saved where there is no mlflow
    assert ours == theirs


def described(model: Path, root: Path) -> Said:
    """The MLmodel without what differs between two saves on one side, and the files beside it."""
    document: Said = yaml.safe_load((model / "MLmodel").read_text().replace(str(root), "ROOT"))
    for key in ("model_uuid", "utc_time_created", "model_size_bytes"):
        assert document.pop(key)
    flavor = document["flavors"]["python_function"]
    if "model_code_path" in flavor:
        flavor["model_code_path"] = Path(flavor["model_code_path"]).name  # MLflow has the whole path on the machine that saved
    examples = {file.name: json.loads(file.read_text()) for file in model.glob("*example.json")}
    return {**document, "files": sorted(str(file.relative_to(model)) for file in model.rglob("*") if "__pycache__" not in str(file)), **examples}


def test_requirements_are_mlflow_s_but_for_mlflow(sides: Sides) -> None:
    for name in ("add_n", "xgboost", "described", "upper"):
        ours, theirs = ((sides.directories[side] / name / "requirements.txt").read_text().splitlines() for side in ("ours", "3.17"))
        assert theirs == ["mlflow==3.17.2", *ours]
        conda = [yaml.safe_load((sides.directories[side] / name / "conda.yaml").read_text()) for side in ("ours", "3.17")]
        assert [each["dependencies"].pop()["pip"] for each in conda] == [ours, theirs]
        assert conda[0] == conda[1]
        environments = [yaml.safe_load((sides.directories[side] / name / "python_env.yaml").read_text()) for side in ("ours", "3.17")]
        assert environments[0] == environments[1]


_IN_THE_CONTAINER = """
import importlib.util, sys
import pandas as pd
from deployer_scoring.format.loading import load_model
assert not [name for name in ("mlflow", "deployer") if importlib.util.find_spec(name)]
found = load_model(sys.argv[1], suppress_warnings=True).predict(pd.DataFrame({"a": [1.0]}) if "script" in sys.argv[1] else {"a": [1.0], "b": ["x"]})
print(found.to_numpy().ravel().tolist())
"""


def test_code_that_imports_this_package_runs_in_the_container_which_has_but_the_runtime(sides: Sides) -> None:
    variables = {**os.environ, "PYTHONPATH": str(_ROOT / "images")}
    for side in ("ours", "3.17", "2.22"):
        for name, predicted in (("by_reference", "[11.5]\n"), ("script", "[3.0]\n")):
            model = sides.directories[side] / name
            command = [str(format_python()), "-c", _IN_THE_CONTAINER, str(model)]
            done = subprocess.run(command, env=variables, cwd=model, capture_output=True, text=True, check=False)
            assert (done.stdout, done.stderr) == (predicted, ""), (side, name)
    source = (sides.directories["ours"] / "script" / "times.py").read_text()
    assert "    import deployer.pyfunc\nexcept ModuleNotFoundError:\n    import mlflow.pyfunc; import mlflow as deployer\n" in source
