"""What a shell completes: names and models, from what is kept, without a word where nothing can be had."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.shell_completion import ShellComplete

from deployer.cli import completion
from deployer.cli.program import program
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import Run, saved

ASKED: list[tuple[str, ...]] = []


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, where nobody asks anew by himself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DEPLOYER_LOCAL_DIR", str(tmp_path / "local"))
    ASKED.clear()
    asking = SimpleNamespace(Popen=lambda command, **_: ASKED.append(tuple(command[-2:])), DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(completion, "subprocess", asking)  # for this module alone: mlflow is imported below it, and has its own use of Popen
    return tmp_path / "cache" / "deployer" / "completion"


def completed(*words: str, incomplete: str = "") -> list[str]:
    return [item.value for item in ShellComplete(program, {}, "deploy", "_DEPLOY_COMPLETE").get_completions(list(words), incomplete)]


@pytest.mark.parametrize("before", [("get",), ("get", "-n"), ("delete",), ("plan", "-n"), ("predict",), ("logs",)])
def test_names_are_those_on_the_target(before: tuple[str, ...], deploy: Run, churn: Path, kept: Path) -> None:
    for name in ("churn", "churn-eu", "fraud"):
        deploy("create", name, "-m", "churn")
    verb, *flag = before
    assert completed(verb, "-t", "memory:/here", *flag, incomplete="churn") == []
    assert ASKED == [("deployments", "memory:/here")]
    completion.keep("deployments", "memory:/here")
    assert completed(verb, "-t", "memory:/here", *flag, incomplete="churn") == ["churn", "churn-eu"]
    assert len(ASKED) == 1
    assert {oct(file.stat().st_mode)[-2:] for file in kept.iterdir()} == {"00"}


def test_what_is_old_is_given_and_asked_anew_once(deploy: Run, churn: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYER_TARGET", "memory:/here")
    deploy("create", "churn", "-m", "churn")
    kept.mkdir(parents=True)
    completion.keep("deployments", "memory:/here")
    [file] = kept.glob("*.json")
    os.utime(file, (time.time() - 3600,) * 2)
    assert completed("get") == completed("get") == ["churn"]
    assert ASKED == [("deployments", "memory:/here")]


@pytest.mark.parametrize("target", ["lacking", "nowhere:/x", "sagemaker:/nowhere", "local:/x", ":", ""])
def test_what_fails_says_nothing(
    target: str, cloud: Cloud, workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert completed("get", "-t", target) == []
    (workspace / "cache").write_text("a file where a directory belongs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(workspace / "cache"))
    assert completed("get", "-t", target) == []
    assert completed("get") == []
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_asked_is_kept_as_nothing(cloud: Cloud, kept: Path) -> None:
    kept.mkdir(parents=True)
    completion.keep("deployments", "lacking")
    assert completed("get", "-t", "lacking") == []
    assert ASKED == []


def test_models_are_registered_ones_and_directories(workspace: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(workspace / "churn")
    (workspace / "models").mkdir()
    saved(workspace / "models" / "fraud")
    (workspace / ".hidden").mkdir()
    kept.mkdir(parents=True)
    monkeypatch.setitem(completion._ASK, "models", lambda _: ["models:/churn@champion", "models:/churn/3"])
    completion.keep("models", "")
    assert completed("create", "-m") == ["models:/churn@champion", "models:/churn/3", "churn", "models/"]
    assert completed("create", "-m", incomplete="models:/churn/") == ["models:/churn/3"]
    assert completed("create", "-m", incomplete="models/") == ["models/fraud"]
    assert completed("create", "-m", incomplete="./ch") == ["./churn"]
    assert completed("create", "-m", incomplete="s3://") == []


def test_no_database_is_made_by_looking_for_models(workspace: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    kept.mkdir(parents=True)
    completion.keep("models", "")
    assert completed("create", "-m") == []
    assert list(workspace.iterdir()) == []
