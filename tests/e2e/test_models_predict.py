"""`deploy models predict` as users run it, its answers held against `mlflow models predict` on the same files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.models import predict
from tests.environments import mlflow_python
from tests.models import copied_model, saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def deploy(tmp_path: Path) -> Run:
    """Run `deploy models predict` with these arguments, in a directory of the test's own."""

    def run(*arguments: object, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [DEPLOY, "models", "predict", *map(str, arguments)]
        environment = {**os.environ, **variables}
        return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False)

    return run


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """The doubler, without mlflow among its requirements: it needs none of it, and pip takes a minute for it."""
    model = copied_model("doubler", tmp_path)
    for name in ("requirements.txt", "conda.yaml"):
        file = model / name
        file.write_text(re.sub(r"(?m)^\s*(- )?mlflow==.*\n", "", file.read_text()))
    return model


IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 2.9, 5.6, 1.8], [5.9, 3.0, 4.2, 1.5], [4.7, 3.2, 1.3, 0.2], [7.7, 2.6, 6.9, 2.3]]


CASES = {"sklearn": (IRIS, FLOWERS), "pythonmodel": (["a", "b"], [[1.0, "x"], [2.5, "ÿ"], [-3.25, "two words"]])}

OF_MLFLOW = """
    import json, logging, sys, warnings
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    import pandas as pd
    from mlflow.pyfunc.scoring_server import _predict  # what `mlflow models predict` runs in the model's environment
    place = sys.argv[1]
    for name, (model, columns, rows) in json.load(sys.stdin).items():
        for kind in ("csv", "json"):
            _predict(model, f"{place}/{name}.{kind}", f"{place}/{name}-{kind}-answers.json", kind)
        pd.DataFrame(rows, columns=columns).to_parquet(f"{place}/{name}.parquet", row_group_size=2)
"""


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of `CASES` as csv, json, jsonl and parquet, and what MLflow answers to them."""
    place = tmp_path_factory.mktemp("answered")
    for name, (columns, rows) in CASES.items():
        (place / f"{name}.csv").write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
        (place / f"{name}.json").write_text(json.dumps({"dataframe_split": {"columns": columns, "data": rows}}))
        (place / f"{name}.jsonl").write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    asked = json.dumps({name: (str(saved_model(name)), *case) for name, case in CASES.items()})
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [str(mlflow_python()), "-c", textwrap.dedent(OF_MLFLOW), str(place)]
    subprocess.run(command, input=asked, text=True, check=True, capture_output=True, env=quiet)
    return place


@pytest.mark.parametrize(
    ("name", "form", "target"),
    [
        ("sklearn", "csv", "out.json"),
        ("sklearn", "json", "out.json"),
        ("sklearn", "jsonl", "out.jsonl"),
        ("sklearn", "parquet", "out.parquet"),
        ("pythonmodel", "csv", "out.json"),
        ("pythonmodel", "parquet", "out.jsonl"),
    ],
)
def test_its_answers_are_those_of_mlflow(deploy: Run, tmp_path: Path, answered: Path, *, name: str, form: str, target: str) -> None:
    wanted = json.loads((answered / f"{name}-csv-answers.json").read_text())
    assert json.loads((answered / f"{name}-json-answers.json").read_text()) == wanted
    done = deploy("-m", saved_model(name), "-i", answered / f"{name}.{form}", "-o", target, "--chunk-rows", 2)
    assert done.returncode == 0, done.stderr
    if target == "out.json":
        assert json.loads((tmp_path / target).read_text()) == wanted
    elif target == "out.jsonl":
        assert [json.loads(line) for line in (tmp_path / target).read_text().splitlines()] == wanted["predictions"]
    else:
        program = f"import json, pandas as pd; print(json.dumps(pd.read_parquet({str(tmp_path / target)!r}).to_dict('list')))"
        read = subprocess.run([str(mlflow_python()), "-c", program], check=True, capture_output=True, text=True)
        assert json.loads(read.stdout) == wanted


def test_standard_input_and_output_hold_lines_of_json(deploy: Run, answered: Path) -> None:
    wanted = json.loads((answered / "sklearn-csv-answers.json").read_text())["predictions"]
    done = deploy("-m", saved_model("sklearn"), "-i", "-", stdin=(answered / "sklearn.jsonl").read_text())
    assert [json.loads(line) for line in done.stdout.splitlines()] == wanted
    assert done.stderr == ""  # no progress where nobody watches


def test_a_long_file_is_scored_in_bounded_memory(deploy: Run, tmp_path: Path) -> None:
    """Ten times the rows may not take more memory: read at once, 42 MB of text would take 60 MB more."""
    row = "5.123456789012345,3.523456789012345,1.423456789012345,0.223456789012345\n"
    used = {}
    for rows in (60_000, 600_000):
        with (tmp_path / "in.csv").open("w") as file:
            file.write(",".join(IRIS) + "\n")
            file.writelines([row * 1000] * (rows // 1000))
        program = (
            "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:])\n"
            "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [DEPLOY, "models", "predict", "-m", str(saved_model("sklearn")), "-i", "in.csv", "-o", "out.csv"]
        done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, cwd=tmp_path, check=True)
        code, used[rows] = map(int, done.stdout.split())
        assert code == 0, done.stderr
        with (tmp_path / "out.csv").open() as file:
            assert sum(1 for _ in file) == rows + 1
    assert used[600_000] < used[60_000] + 25_000, used  # kilobytes


def test_a_bad_row_names_its_line_and_leaves_the_output_as_it_was(deploy: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x\n" + "1.5\n" * 5000 + "oops\n" + "2.5\n" * 5000)
    (tmp_path / "out.csv").write_text("before")
    done = deploy("-m", saved_model("doubler"), "-i", "in.csv", "-o", "out.csv", "--chunk-rows", 1000)
    assert done.returncode == 2
    assert "the input doesn't fit the model: line 5002: in the column 'x', 'oops' is no number" in done.stderr
    assert (tmp_path / "out.csv").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path: Path, blow: signal.Signals) -> None:
    (tmp_path / "in.csv").write_text("x\n" + "0.2\n" * 1000)
    command = [DEPLOY, "models", "predict", "-m", str(saved_model("slow")), "-i", "in.csv", "-o", "out.csv", "--chunk-rows", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.csv.*")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, blow) if blow is signal.SIGINT else process.send_signal(blow)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Error [interrupted]: interrupted: nothing was written" in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_it_ends_when_who_asked_is_killed(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x\n" + "0.1\n" * 1000)
    command = [DEPLOY, "models", "predict", "-m", str(saved_model("slow")), "-i", "in.csv", "-o", "out.csv", "--chunk-rows", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path) as process:
        while not list(tmp_path.glob(".out.csv.*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 20
    while list(tmp_path.glob(".out.csv.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "out.csv").exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x\n" + "1.5\n" * 200_000)
    line = f"set -o pipefail; {DEPLOY} models predict -m {saved_model('doubler')} -i in.csv --chunk-rows 1000 | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120)
    assert done.stdout == "3.0\n"
    assert done.stderr == ""


def test_params_reach_the_model(deploy: Run, tmp_path: Path) -> None:
    row = {"amount": 1.5, "count": 2, "name": "n", "active": True, "since": "2026-01-01T00:00:00", "small": 1, "single": 0.5}
    body = json.dumps({"dataframe_records": [row], "params": {"top": 5, "threshold": 0.25}})
    done = deploy("-m", saved_model("optional"), "-t", "json", "--params", '{"top": 7}', "-o", "out.json", stdin=body)
    assert done.returncode == 0, done.stderr
    params = json.loads((tmp_path / "out.json").read_text())["predictions"]["params"]
    assert (params["top"], params["threshold"]) == ("7", "0.25")


def test_what_the_model_prints_is_not_among_the_predictions(deploy: Run, tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    (loader,) = (model / "code").glob("*.py")
    loader.write_text(loader.read_text().replace("        return [", "        print('a word'); import os; os.write(1, b'another'); return ["))
    done = deploy("-m", model, "-i", "-", stdin='{"x": 1}\n')
    assert done.stdout == "2.0\n"
    assert "a word" in done.stderr and "another" in done.stderr


def test_a_model_that_can_not_be_loaded_says_why(deploy: Run) -> None:
    done = deploy("-m", saved_model("broken"), "-i", "-", stdin='{"x": 1}\n')
    assert done.returncode == 2
    assert "Error [model-invalid]: the model can't be loaded" in done.stderr
    assert "No module named 'a_module_that_is_not_there'" in done.stderr


def test_a_model_that_may_look_at_several_rows_gets_them_all(deploy: Run, tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    (loader,) = (model / "code").glob("*.py")
    loader.write_text(re.sub(r"return \[.*", "return (model_input['x'] / model_input['x'].sum()).tolist()", loader.read_text()))
    (tmp_path / "in.csv").write_text("x\n" + "1\n" * 20_000)
    done = deploy("-m", model, "-i", "in.csv")
    assert set(done.stdout.split()) == {str(1 / 20_000)}
    assert set(deploy("-m", model, "-i", "in.csv", "--chunk-rows", 100).stdout.split()) == {"0.01"}


@pytest.mark.parametrize("manager", ["local", "virtualenv"])
def test_other_environments_answer_the_same(deploy: Run, manager: str, light: Path) -> None:
    done = deploy("-m", light, "-i", "-", "--env-manager", manager, stdin='{"x": 1}\n{"x": 2.5}\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2.0\n5.0\n"


def test_conda_makes_its_environment_of_the_models_own_file(deploy: Run, tmp_path: Path, light: Path) -> None:
    """A stand-in for micromamba: an environment as that would make it, by uv, and what it was asked for."""
    program = tmp_path / "bin" / "micromamba"
    program.parent.mkdir()
    program.write_text(
        textwrap.dedent(f"""\
        #!{sys.executable}
        import subprocess, sys
        from pathlib import Path
        import yaml
        from uv import find_uv_bin
        arguments = sys.argv[1:]
        prefix, file = (arguments[arguments.index(flag) + 1] for flag in ("--prefix", "--file"))
        python, pip, packages = yaml.safe_load(Path(file).read_text())["dependencies"]
        Path({str(tmp_path / "asked")!r}).write_text(" ".join([arguments[0], python]))
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--seed", "--python", {sys.executable!r}, prefix], check=True)
        subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", prefix + "/bin/python", *packages["pip"]], check=True)
        """)
    )
    program.chmod(0o755)
    own = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CONDA_EXE": "",
        "MAMBA_EXE": "",
        "MLFLOW_CONDA_HOME": "",
    }
    uv_cache = os.environ.get("UV_CACHE_DIR") or str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv")
    done = deploy("-m", light, "-i", "-", "--env-manager", "conda", stdin='{"x": 1}\n', UV_CACHE_DIR=uv_cache, **own)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2.0\n"
    assert (tmp_path / "asked").read_text() == "create python=3.11.7"


def test_requirements_can_be_replaced_and_variables_given(deploy: Run, tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    (loader,) = (model / "code").glob("*.py")
    loader.write_text(re.sub(r"return \[.*", "import os, pandas; return [pandas.__version__ + os.environ['MARK']]", loader.read_text()))
    (model / "requirements.txt").write_text("pandas\n")
    done = deploy("-m", model, "-i", "-", "-r", "pandas==2.2.3,numpy<2.3", "--env", "MARK=!", stdin='{"x": 1}\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout == '"2.2.3!"\n'


def test_the_python_api_scores_data_and_files(tmp_path: Path) -> None:
    model = str(saved_model("doubler"))
    (tmp_path / "in.csv").write_text("x\n1\n2.5\n")
    assert predict(model, input_path=tmp_path / "in.csv", output_path=tmp_path / "out.csv", env_manager="local") == 2
    assert (tmp_path / "out.csv").read_text() == "predictions\n2.0\n5.0\n"
    assert predict(model, [{"x": 1.0}, {"x": 4.0}], output_path=tmp_path / "out.json", env_manager="local") == 2
    assert json.loads((tmp_path / "out.json").read_text()) == {"predictions": [2.0, 8.0]}
