"""The command line over the in-memory target, found by its entry point as a third party's would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployer.cli.program import program
from deployer.core.state import DeploymentName, Observed
from docs.examples.memory_cloud import CLOUDS, Cloud
from docs.examples.memory_target import Client, Memory

MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.7
    env: {virtualenv: python_env.yaml}
  sklearn:
    sklearn_version: 1.9.1
    pickled_model: model.pkl
model_uuid: 5d41402abc
"""
SIGNATURE = """\
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""

Run = Callable[..., Result]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The in-memory target, installed: a distribution's metadata on the path."""
    metadata = tmp_path / "site" / "memory_target-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-target\nVersion: 1.0\n")
    places = {"memory": "docs.examples.memory_target:Memory", "shared": "tests.unit.cli.shared:Shared", "lacking": "tests.unit.cli.lacking:Lacking"}
    (metadata / "entry_points.txt").write_text("\n".join(["[deployer.targets]", *(f"{name} = {place}" for name, place in places.items())]))
    monkeypatch.syspath_prepend(str(metadata.parent))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to run in, with a home of its own and no variables of the machine's."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("DEPLOYER_TARGET", "DEPLOYER_DEBUG", "GITHUB_RUN_ID", "COLUMNS", "NO_COLOR", "GITLAB_CI", "BUILD_TAG", "JENKINS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("LOGNAME", "ada")
    return place


@pytest.fixture
def cloud(installed: None) -> Cloud:
    """What is deployed at `memory:/here`: nothing yet."""
    CLOUDS.clear()
    return CLOUDS.setdefault("here", Cloud())


@pytest.fixture
def churn(workspace: Path) -> Path:
    """A model in the directory `churn`."""
    return saved(workspace / "churn")


@pytest.fixture
def deploy(cloud: Cloud, workspace: Path) -> Run:
    """Run the command line: `deploy("get", "-n", "churn")`; -t memory:/here where no target is named, unless `target` is false."""

    def run(*arguments: str, target: bool = True, stdin: str | bytes | None = None) -> Result:
        named = ("-t", "memory:/here") if target and not {"-t", "--target"} & set(arguments) else ()
        return CliRunner().invoke(program, [*arguments, *named], prog_name="deploy", input=stdin)

    return run


def saved(
    directory: Path, content: str = "a pickle", requirements: str = "mlflow==3.17.2\nscikit-learn==1.9.1\n", signature: str = SIGNATURE
) -> Path:
    """A model directory as MLflow saves it; another content gives another digest."""
    directory.mkdir()
    (directory / "MLmodel").write_text(MLMODEL + signature)
    (directory / "model.pkl").write_text(f"V{content}\n.")  # a string, pickled
    (directory / "requirements.txt").write_text(requirements)
    (directory / "python_env.yaml").write_text("python: 3.11.7\ndependencies:\n- -r requirements.txt\n")
    return directory


def environment(cloud: Cloud, name: str) -> dict[str, str]:
    """What the container that serves is given."""
    found: dict[str, str] = cloud.things[name, "version", str(cloud.services[name].version)]["environment"]
    return found


def deployed(cloud: Cloud) -> dict[str, Observed]:
    """What is deployed there, by name."""
    names = {name for name, _, _ in cloud.things} | cloud.services.keys()
    return {name: found for name in sorted(names) if (found := Memory().observe(DeploymentName(name), Client(cloud)))}
