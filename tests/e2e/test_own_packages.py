"""A package that a model brings in its own directory is there wherever the model is loaded: MLflow's documented way to ship a private one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from deployer.artifacts import fetch
from deployer.oci import model_tag
from deployer_images import context, scoring
from deployer_images.locks import locked
from deployer_images.wanted import Wanted
from deployer_scoring.format.loading import load_model
from tests.index import Index, serving_index, wheel
from tests.models import copied_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
WHEEL = "code/tinypkg-1.0-py3-none-any.whl"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that answers what its package says, which is in a wheel in its code folder."""
    directory = copied_model("doubler", tmp_path)
    (loader,) = (directory / "code").glob("*.py")
    loader.write_text(re.sub(r"return \[.*", "import tinypkg; return [tinypkg.ANSWER] * len(model_input)", loader.read_text()))
    wheel(directory / "code", "tinypkg", "1.0", tinypkg="ANSWER = 42\n")
    return requiring(directory, WHEEL)


def requiring(model: Path, *lines: str, conda: bool = False) -> Path:
    """The model with these lines in its requirements.txt, or in its conda.yaml alone."""
    (model / "requirements.txt").write_text("\n".join(lines) + "\n")
    listed = "".join(f"  - {line}\n" for line in lines)
    (model / "conda.yaml").write_text(f"channels: [conda-forge]\ndependencies:\n- python=3.11.7\n- pip\n- pip:\n{listed}")
    if conda:
        (model / "requirements.txt").unlink()
        (model / "python_env.yaml").write_text("python: 3.11.7\n")
    return model


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A cache of ours for these tests alone, so that the runtime is installed once for all; uv keeps its own."""
    uv_cache = os.environ.get("UV_CACHE_DIR") or str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv")
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")), "UV_CACHE_DIR": uv_cache}


@pytest.fixture
def predict(tmp_path: Path, variables: Mapping[str, str]) -> Run:
    """`deploy models predict` of one row, run far from the model's directory."""

    def run(model: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [DEPLOY, "models", "predict", "-m", str(model), "-i", "-", *options]
        return subprocess.run(
            command, input='{"x": 1}\n', capture_output=True, text=True, cwd=tmp_path, env={**variables, **more}, timeout=300, check=False
        )

    return run


WAYS = {
    "relative": ([WHEEL], {}),
    "in another file": (["-r sub/other.txt"], {"sub/other.txt": f"../{WHEEL}\n"}),
    "as a constraint": (["tinypkg", "-c limits.txt"], {"limits.txt": f"{WHEEL}\n"}),
    "in a folder of links": (["tinypkg==1.0", "--find-links code/"], {}),
    "of Windows, with a byte order mark": (["\ufeff" + WHEEL.replace("/", "\\")], {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_name_it_is_understood(predict: Run, model: Path, way: str) -> None:
    lines, files = WAYS[way]
    for path, text in files.items():
        (model / path).parent.mkdir(exist_ok=True)
        (model / path).write_text(text)
    done = predict(requiring(model, *lines))
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    checked = subprocess.run([DEPLOY, "models", "check", str(model), "--index"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "requirement-path" not in checked.stdout


def test_conda_yaml_alone_names_it(predict: Run, model: Path) -> None:
    assert predict(requiring(model, WHEEL, conda=True)).stdout == "42\n"


def test_source_in_the_code_folder_is_built_and_stays_as_it_is(predict: Run, model: Path) -> None:
    source = model / "code" / "tiny"
    source.mkdir()
    (source / "pyproject.toml").write_text('[project]\nname = "tinypkg"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["tinypkg"]\n')
    (source / "tinypkg.py").write_text("ANSWER = 43\n")
    (model / WHEEL).unlink()
    before = fetch(str(requiring(model, "-e ./code/tiny"))).facts.digest
    assert predict(model).stdout == "43\n"
    assert fetch(str(model)).facts.digest == before


def test_virtualenv_finds_it(predict: Run, model: Path) -> None:
    wheel(model / "sub", "beside", "1.0")
    done = predict(requiring(model, WHEEL, "beside==1.0", "-f sub"), "--env-manager", "virtualenv")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


CONDA = """\
    #!{python}
    import subprocess, sys
    from pathlib import Path
    import yaml
    from uv import find_uv_bin
    arguments = sys.argv[1:]
    prefix, file = (arguments[arguments.index(flag) + 1] for flag in ("--prefix", "--file"))
    packages = yaml.safe_load(Path(file).read_text())["dependencies"][-1]["pip"]
    listed = Path(prefix + ".txt")  # conda writes one too, and gives it to pip
    listed.write_text("\\n".join(packages))
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--seed", "--python", {python!r}, prefix], check=True)
    subprocess.run([prefix + "/bin/python", "-m", "pip", "install", "--quiet", "-r", str(listed)], check=True, cwd=Path(file).parent)
"""


def test_conda_finds_it(predict: Run, model: Path, tmp_path: Path) -> None:
    wheel(model / "sub", "beside", "1.0")
    (model / "limits.txt").write_text(f"{WHEEL}\n")
    program = tmp_path / "micromamba"
    program.write_text(textwrap.dedent(CONDA).format(python=sys.executable))
    program.chmod(0o755)
    done = predict(
        requiring(model, "tinypkg", "sub/beside-1.0-py3-none-any.whl", "-c limits.txt"),
        "--env-manager",
        "conda",
        CONDA_EXE=str(program),
        MLFLOW_CONDA_HOME="",
    )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_an_image_has_it_and_another_wheel_of_its_name_makes_another_image(
    model: Path, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", variables["UV_CACHE_DIR"])
    monkeypatch.setenv("XDG_CACHE_HOME", variables["XDG_CACHE_HOME"])
    before = fetch(str(model))
    wanted = Wanted.of_model(model)
    lock = locked(wanted, "3.11", platform="linux/amd64")
    assert f"tinypkg @ file:{WHEEL}" in {line.partition("#")[0] for line in lock.packages}
    with context.context(lock, wanted) as archive, tarfile.open(fileobj=archive) as tar:
        found = tar.extractfile("packages/tinypkg.py")
        assert found is not None
        assert found.read() == b"ANSWER = 42\n"
    wheel(model / "code", "tinypkg", "1.0", tinypkg="ANSWER = 44\n")
    after = fetch(str(model))
    assert model_tag(after.facts) != model_tag(before.facts)
    assert locked(Wanted.of_model(model), "3.11", platform="linux/amd64") != lock


@pytest.mark.parametrize("lines", [[WHEEL], ["tinypkg==1.0", "--find-links=code"], ["tinypkg", "-c limits.txt"]])
def test_a_container_that_installs_at_start_finds_it(model: Path, lines: list[str], tmp_path: Path) -> None:
    (model / "limits.txt").write_text(f"{WHEEL}\n")
    assert installed_at_start(requiring(model, *lines), "import tinypkg; print(tinypkg.ANSWER)", tmp_path) == "42"


def test_a_container_that_installs_at_start_leaves_the_model_as_it_is(model: Path, tmp_path: Path) -> None:
    source = model / "code" / "tiny"
    source.mkdir()
    (source / "setup.py").write_text("from setuptools import setup\nsetup(name='tinypkg', version='1.0', py_modules=['tinypkg'])\n")
    (source / "tinypkg.py").write_text("ANSWER = 43\n")
    before = sorted(model.rglob("*"))
    assert installed_at_start(requiring(model, "./code/tiny"), "import tinypkg; print(tinypkg.ANSWER)", tmp_path) == "43"
    assert sorted(model.rglob("*")) == before


def test_what_is_built_before_all_else_is_installed_at_start_too(model: Path, tmp_path: Path) -> None:
    (model / "python_env.yaml").write_text("python: 3.11.7\nbuild_dependencies: [setuptools==69.2.0]\ndependencies: [-r requirements.txt]\n")
    code = "import pkg_resources, setuptools; print(setuptools.__version__)"
    assert installed_at_start(model, code, tmp_path) == "69.2.0"
    assert installed_at_start(requiring(model, WHEEL, "setuptools==70.0.0"), code, tmp_path) == "70.0.0"


def installed_at_start(model: Path, code: str, tmp_path: Path) -> str:
    """What code prints in a process that has installed the model's requirements, as a container does."""
    install = f"from deployer_scoring.model.environment import install_requirements\ninstall_requirements(Path({str(model)!r}))"
    runtime = tmp_path / "runtime"
    scoring.copy(runtime)
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path\n{install}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(runtime), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_deployment_on_this_machine_has_it(model: Path, tmp_path: Path, variables: Mapping[str, str]) -> None:
    own = {**variables, "DEPLOYER_LOCAL_DIR": str(tmp_path / "local")}

    def deploy(*arguments: str) -> str:
        done = subprocess.run([DEPLOY, *arguments, "-t", "local", "-n", "tiny"], capture_output=True, text=True, check=False, env=own, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "row.json").write_text('{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
    try:
        deploy("create", "-m", str(model), "-C", "runtime=process")
        assert "42" in deploy("predict", "-i", str(tmp_path / "row.json"))
        deploy("update", "-C", "drain_timeout=1")  # completed from the record, which knows no directory
    finally:
        deploy("delete")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serving_index(tmp_path / "index") as found:
        found.wheel("ours", "1.0")
        yield found


def test_a_file_that_is_not_the_one_of_the_lock_is_refused(predict: Run, model: Path, index: Index) -> None:
    good = predict(requiring(model, WHEEL, "ours==1.0"), UV_INDEX=index.url)
    assert good.stdout == "42\n", good.stderr
    digest = "0" * 64
    bad = predict(requiring(model, WHEEL, f"ours==1.0 --hash=sha256:{digest}"), UV_INDEX=index.url)
    assert bad.returncode == 2
    assert "is not the one that is asked for" in bad.stderr


def test_paths_of_an_mlmodel_that_windows_wrote_are_read(model: Path) -> None:
    (model / "artifacts" / "dir1").mkdir(parents=True)
    (model / "artifacts" / "dir1" / "w.txt").write_text("here")
    (model / "ours.py").write_text(
        "from deployer_scoring.python_model import PythonModel\nfrom deployer_scoring.model.code import set_model\nfrom pathlib import Path\n"
        "class M(PythonModel):\n    def predict(self, context, model_input, params=None):\n"
        "        return [(Path(context.artifacts['w']) / 'w.txt').read_text()]\nset_model(M())\n"
    )
    (model / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    code: code\n"
        "    model_code_path: ours.py\n    python_model: ours.py\n"
        "    artifacts:\n      w:\n        path: artifacts\\dir1\n        uri: C:\\Users\\ada\\dir1\n"
    )
    fetch(str(model))
    assert load_model(model).predict([1]) == ["here"]
