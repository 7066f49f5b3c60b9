"""What the check says of pickles that real old and new libraries wrote, held against what really happens when each loads the other's."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts import fetch
from deployer.checks import check_model, of_lock
from deployer.checks.dangers import SUSPICIONS
from deployer.models import check
from deployer_scoring.format.needs import imports_of_files
from tests.environments import mlflow_python, oldest_python
from tests.flavors.models import LIGHT, light_models
from tests.models import NAMES, saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))

SAVE = """
    import pickle, sys
    from pathlib import Path
    import numpy as np, pandas as pd
    frame = pd.DataFrame({"a": [1.0, 2.0], "t": ["x", "y"], "w": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    things = {
        "array": np.arange(3.0), "scalar": np.float64(1), "frame": frame, "numbers": frame[["a"]], "text": frame["t"], "index": frame.columns,
        "multi": pd.MultiIndex.from_tuples([(1, "a")]), "interval": pd.interval_range(0, 3), "nothing": pd.NaT, "generator": np.random.default_rng(0),
        "state": np.random.RandomState(0), "strings": pd.array(["a", None], dtype="string"), "time": pd.Timestamp("2020-01-01"),
    }
    for name, thing in things.items():
        with (Path(sys.argv[1]) / f"{name}.pkl").open("wb") as file:
            pickle.dump(thing, file, protocol=4)
"""
LOAD = """
    import json, pickle, sys, warnings
    from pathlib import Path
    warnings.simplefilter("ignore")
    failed = []
    for path in Path(sys.argv[1]).glob("*.pkl"):
        try:
            with path.open("rb") as file:
                repr(pickle.load(file))
        except Exception:
            failed.append(path.stem)
    print(json.dumps(failed))
"""
JOBLIB = """
    import sys, joblib, numpy as np
    from pathlib import Path
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    data = load_iris()
    forest = RandomForestClassifier(5).fit(data.data, data.target)
    things = [forest, np.array(["a", None, {"z": 1}], dtype=object), np.array(["abc"]), np.ones((0, 3))]
    for name, compress in {"plain": 0, "zlib": ("zlib", 3), "gzip": ("gzip", 3), "bz2": ("bz2", 3), "lzma": ("lzma", 3), "xz": ("xz", 3)}.items():
        joblib.dump(things, Path(sys.argv[1]) / f"{name}.joblib", compress=compress)
"""


def run(python: Path, program: str, *arguments: str) -> str:
    done = subprocess.run([str(python), "-c", textwrap.dedent(program), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@cache
def installed(python: Path) -> tuple[str, ...]:
    """What an environment has, as a lock."""
    listed = run(python, "from importlib.metadata import distributions as d; print('\\n'.join(x.metadata['Name'] + '==' + x.version for x in d()))")
    return tuple(listed.split())


def model_of(directory: Path) -> Path:
    """A model directory around the pickles that are in it."""
    flavor = {"loader_module": "pickles", "python_version": f"{sys.version_info.major}.{sys.version_info.minor}"}
    (directory / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    (directory / "requirements.txt").write_text("pandas\n")
    return directory


@pytest.mark.parametrize(("writer", "reader"), [("old", "new"), ("new", "old"), ("new", "new"), ("old", "old")])
def test_what_old_and_new_libraries_wrote_is_judged_as_it_really_goes(writer: str, reader: str, tmp_path: Path) -> None:
    pythons = {"old": oldest_python(), "new": mlflow_python()}
    run(pythons[writer], SAVE, str(tmp_path))
    really = set(json.loads(run(pythons[reader], LOAD, str(tmp_path))))
    checked = check_model(fetch(str(model_of(tmp_path))), there=of_lock(installed(pythons[reader]), "3.11"))
    said = {each.file.removesuffix(".pkl") for each in checked.errors if each.code in {"numpy-version", "pandas-version"}}
    assert said == really
    assert (really != set()) == (writer != reader)


def test_pickles_of_joblib_are_read_in_every_compression(tmp_path: Path) -> None:
    run(mlflow_python(), JOBLIB, str(tmp_path))
    checked = check_model(fetch(str(model_of(tmp_path))))
    assert not [each for each in checked.findings if each.code in {"unread-pickle", "broken-pickle"}]
    assert len(list(tmp_path.glob("*.joblib"))) == 6
    assert "sklearn.ensemble._forest" in {*imports_of_files(tmp_path)}
    stamped = check_model(fetch(str(tmp_path)), there=of_lock(["scikit-learn==1.1.0"], "3.11"))
    assert {each.file for each in stamped.errors if each.code == "scikit-learn-version"} == {path.name for path in tmp_path.glob("*.joblib")}


def test_no_model_of_the_flavors_is_suspected() -> None:
    found = {name: check_model(fetch(str(light_models() / name)), strict=True).findings for name in LIGHT}
    assert not {name: suspected for name, each in found.items() if (suspected := [one for one in each if one.code in SUSPICIONS])}


@pytest.mark.parametrize("name", NAMES)
def test_models_that_mlflow_saved_are_sound_and_looked_at_in_a_blink(name: str) -> None:
    model = fetch(str(saved_model(name)))
    begun = time.perf_counter()
    checked = check_model(model)
    assert time.perf_counter() - begun < 1
    assert not checked.errors
    if name == "broken":
        (finding,) = [each for each in checked.findings if each.severity == "warning"]
        assert finding.file.startswith("code/broken_loader.py:")
        assert "a_module_that_is_not_there" in finding.what
    else:
        assert not [each for each in checked.findings if each.severity == "warning"]


def test_what_a_model_needs_is_listed() -> None:
    assert check(str(saved_model("pythonmodel"))).imports == ("cloudpickle", "mlflow", "pandas")
    assert check(str(saved_model("sklearn"))).imports == ("numpy", "sklearn")


def test_a_python_model_does_not_go_with_another_python() -> None:
    found = check(str(saved_model("pythonmodel")), python_version="3.13").errors
    assert [(each.code, each.file) for each in found] == [("python-version", "python_model.pkl")]


def command(*arguments: str) -> tuple[int, Any]:
    done = subprocess.run([DEPLOY, "models", "check", *arguments, "-o", "json"], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout)


def test_the_index_says_whether_the_requirements_can_be_had(tmp_path: Path) -> None:
    code, document = command(str(saved_model("doubler")), "--index")
    assert (code, document["checked_against"]) == (0, "what the requirements resolve to")
    model = model_of(tmp_path)
    (model / "pickles.py").write_text("")
    (model / "requirements.txt").write_text("deployer-a-package-that-no-index-has==1.0\n")
    code, document = command(str(model), "--index")
    assert code == 2
    (finding,) = [each for each in document["findings"] if each["code"] == "requirements-unsatisfiable"]
    assert "deployer-a-package-that-no-index-has" in finding["what"]


def test_the_index_says_what_was_built_for_another_numpy(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    (model / "pickles.py").write_text("")
    (model / "requirements.txt").write_text("scikit-learn==1.2.1\n")
    code, document = command(str(model), "--index")
    assert code == 2
    (finding,) = [each for each in document["findings"] if each["code"] == "numpy-2-binary"]
    assert finding["what"].startswith("scikit-learn 1.2.1 is built for numpy 1")
    assert finding["advice"] == "add numpy<2 to the model's requirements"
    (model / "requirements.txt").write_text("scikit-learn==1.2.1\nnumpy<2\n")
    assert command(str(model), "--index")[0] == 0


def test_the_libraries_of_the_model_are_not_imported() -> None:
    script = (
        "import sys; from deployer.artifacts import fetch; from deployer.checks import check_model\n"
        f"check_model(fetch({str(saved_model('sklearn'))!r})); check_model(fetch({str(saved_model('pythonmodel'))!r}))\n"
        "print(sorted({'numpy', 'pandas', 'sklearn', 'skops', 'cloudpickle', 'mlflow', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "[]\n"
