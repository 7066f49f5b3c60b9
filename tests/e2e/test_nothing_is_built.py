"""Looking at a model runs nothing of its packages: none is built, and nothing is fetched from a repository, unless that is allowed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer_images import uv
from deployer_images.faults import NeedsBuild
from tests.index import Index, serving_index, wheel
from tests.models import copied_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
Run = Callable[..., subprocess.CompletedProcess[str]]

# A build backend in the package's own tree needs nothing that an index could lack.
OWN_BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import base64, hashlib, zipfile
{canary}
def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = "{name}-1.0.dist-info"
    with zipfile.ZipFile(directory + "/{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("{name}.py", "BUILT = True")
        archive.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "/RECORD", "")
    return "{name}-1.0-py3-none-any.whl"
"""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there once any code of a package has run."""
    return tmp_path / "canary"


@pytest.fixture
def index(tmp_path: Path, canary: Path) -> Iterator[Index]:
    """An index of packages that say so when they are built."""
    sings = f"open({str(canary)!r}, 'a').write('built')"
    with serving_index(tmp_path / "index") as found:
        found.sdist("legacy", "1.0", f"{sings}\nfrom setuptools import setup\nsetup(name='legacy', version='1.0')\n")
        backend = BACKEND.format(canary=sings, name="modern")
        found.sdist("modern", "1.0", "", {"pyproject.toml": OWN_BACKEND, "backend.py": backend})
        found.wheel("needs_legacy", "1.0", ["legacy"])
        found.wheel("needs_modern", "1.0", ["modern"])
        found.wheel("harmless", "1.0")
        found.sdist("failing", "1.0", "import sys\nprint('looking for libfoo')\nsys.exit('fatal: libfoo.h, connection refused')\n")
        yield found


@pytest.fixture
def model(tmp_path: Path, canary: Path) -> Path:
    """A model with packages' sources in its code folder, which say so when they are built."""
    directory = copied_model("doubler", tmp_path)
    sings = f"open({str(canary)!r}, 'a').write('built')"
    for name, files in {
        "setuppy": {"setup.py": f"{sings}\nfrom setuptools import setup\nsetup(name='setuppy', version='1.0')\n"},
        "project": {"pyproject.toml": OWN_BACKEND, "backend.py": BACKEND.format(canary=sings, name="project")},
    }.items():
        for file, text in files.items():
            (directory / "code" / name).mkdir(exist_ok=True)
            (directory / "code" / name / file).write_text(text)
    (directory / "setup.py").write_text(f"{sings}\nfrom setuptools import setup\nsetup(name='whole', version='1.0')\n")
    return directory


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of uv's in which nothing is built yet."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def deploy(tmp_path: Path, index: Index, uv_cache: Path) -> Run:
    """The command with this index beside the usual ones."""
    own = {
        "UV_INDEX": index.url,
        "UV_CACHE_DIR": str(uv_cache),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DEPLOYER_LOCAL_DIR": str(tmp_path / "local"),
    }
    dropped = {"UV_DEFAULT_INDEX", "UV_NO_INDEX"}
    variables = {name: value for name, value in os.environ.items() if name not in dropped}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [DEPLOY, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**variables, **own}, timeout=300, check=False)

    return run


def requiring(model: Path, *lines: str) -> Path:
    (model / "requirements.txt").write_text("\n".join(lines) + "\n")
    (model / "conda.yaml").unlink(missing_ok=True)
    document = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(re.sub(r"(?m)^    env:\n(      .*\n)+|^    env: .*\n", "", document))
    return model


SOURCES = [
    pytest.param(["legacy==1.0"], "legacy", id="a source distribution"),
    pytest.param(["modern"], "modern", id="one with its own build backend"),
    pytest.param(["needs-legacy"], "legacy", id="one that a wheel requires"),
    pytest.param(["needs-modern", "harmless"], "modern", id="one with its own backend that a wheel requires"),
    pytest.param(["legacy @ {index}/files/legacy-1.0.tar.gz"], "legacy", id="one by its address"),
    pytest.param(["gx @ git+https://127.0.0.1:9/x.git"], "gx", id="a repository"),
    pytest.param(["git+file://{model}#egg=gx"], "gx", id="a repository on this machine"),
    pytest.param(["-e git+https://127.0.0.1:9/x.git#egg=gx"], "gx", id="an editable repository"),
    pytest.param(["setuppy @ file:code/setuppy"], "setuppy", id="a directory with setup.py"),
    pytest.param(["./code/project"], "project", id="a directory with a build backend"),
    pytest.param(["-e ./code/setuppy"], "setuppy", id="an editable directory"),
    pytest.param(["-e ."], ".", id="the model's own directory"),
    pytest.param(["code/carrier-1.0-py3-none-any.whl"], "legacy", id="one that a wheel in the code folder requires"),
    pytest.param(["-r more.txt"], "legacy", id="one that another file lists"),
]


@pytest.mark.parametrize(("lines", "named"), SOURCES)
def test_the_check_builds_nothing_and_says_what_needs_it(deploy: Run, index: Index, model: Path, lines: list[str], named: str) -> None:
    wheel(model / "code", "carrier", "1.0", ["legacy"])
    (model / "more.txt").write_text("legacy\n")
    root, canary = index.url.removesuffix("/simple"), model.parent / "canary"
    requiring(model, *(line.format(index=root, model=model) for line in lines))
    done = deploy("models", "check", model, "--index", "-o", "json")
    assert not canary.exists()
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, document["findings"]
    (finding,) = [each for each in document["findings"] if each["code"] == "requirements-build"]
    assert (finding["severity"], named in finding["what"], "--allow-build" in finding["advice"]) == ("warning", True, True)


@pytest.mark.parametrize("lines", [["./code/project"], ["code/carrier-1.0-py3-none-any.whl"]])
def test_a_plan_builds_nothing(deploy: Run, model: Path, canary: Path, lines: list[str]) -> None:
    wheel(model / "code", "carrier", "1.0", ["modern"])
    requiring(model, *lines)
    for command in (["plan"], ["create", "--dry-run"]):
        done = deploy(*command, "-t", "local", "-n", "built", "-m", model)
        assert not canary.exists()
        assert done.returncode == 0, done.stderr
        assert "nothing is built to look at a model" in done.stdout


def test_a_build_is_made_where_it_is_allowed(deploy: Run, model: Path, canary: Path) -> None:
    requiring(model, "needs-modern")
    done = deploy("models", "check", model, "--index", "--allow-build", "-o", "json")
    assert json.loads(done.stdout)["checked_against"] == "what the requirements resolve to"
    assert canary.exists()
    canary.unlink()
    assert deploy("models", "check", model, "--index").returncode == 0  # it is known by now


def test_a_plan_may_be_allowed_to_build(deploy: Run, model: Path, canary: Path) -> None:
    requiring(model, "needs-modern")
    done = deploy("plan", "-t", "local", "-n", "built", "-m", model, "--allow-build")
    assert canary.exists()
    assert "nothing is built" not in done.stdout


def test_git_may_fetch_nothing_where_repositories_are_not_allowed() -> None:
    with pytest.raises(NeedsBuild):
        uv.uv("pip", "compile", "-", "--no-build", stdin="gx @ git+https://127.0.0.1:9/x.git", doing="resolving", repositories=False)


def test_a_build_that_fails_shows_the_builder_s_own_last_lines(deploy: Run, model: Path, tmp_path: Path) -> None:
    requiring(model, "failing==1.0")
    (tmp_path / "in.csv").write_text("x\n1\n")
    done = deploy("models", "predict", "-m", model, "-i", "in.csv")
    assert done.returncode == 2
    assert "[model-invalid]: failing==1.0 could not be built" in done.stderr
    assert "no way to satisfy" not in done.stderr and "no package index" not in done.stderr
    assert done.stderr.index("looking for libfoo") < done.stderr.rindex("fatal: libfoo.h")
    checked = deploy("models", "check", model, "--index", "--allow-build", "-o", "json")
    assert checked.returncode == 2
    (finding,) = [each for each in json.loads(checked.stdout)["findings"] if each["code"] == "requirements-build"]
    assert "could not be built" in finding["what"] and "fatal: libfoo.h" in finding["what"]
