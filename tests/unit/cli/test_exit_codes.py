"""Every documented exit code, and what is said with it; never a trace."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from deployer import errors
from deployer.cli.failure import failure_text
from deployer.errors import DeployerError
from docs.examples.memory_cloud import CLOUDS, Cloud
from tests.unit.cli.conftest import Run, deployed


def every_error(base: type[DeployerError] = DeployerError) -> list[type[DeployerError]]:
    return [base, *(each for child in base.__subclasses__() if child.__module__ == errors.__name__ for each in every_error(child))]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_an_error_has_its_exit_code_and_is_told_in_order(kind: type[DeployerError], deploy: Run, churn: Path, cloud: Cloud) -> None:
    cloud.faults["list"] = kind("it is so", why="because", advice="do that", lines=("a line",))
    result = deploy("create", "-m", "churn")
    assert result.exit_code == kind.exit_code
    assert result.stderr.endswith(
        f"Error [{kind.code}]: it is so.\n  Why: because\n  The container's last lines:\n    | a line\n  What to do: do that\n"
    )
    assert "Traceback" not in result.output


def test_debug_shows_the_trace(deploy: Run, cloud: Cloud) -> None:
    cloud.faults["list"] = errors.Conflict("somebody else was faster")
    result = deploy("get", "-n", "churn", "--debug")
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert "_of_deployment" in result.stderr or "observe" in result.stderr


def test_what_nobody_foresaw_is_our_fault_and_says_so(deploy: Run, cloud: Cloud) -> None:
    cloud.faults["list"] = ZeroDivisionError("division by zero")
    result = deploy("get", "-n", "churn")
    assert result.exit_code == 1
    assert "Error [internal-error]: ZeroDivisionError: division by zero." in result.stderr
    assert "this is a fault of ours" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/model.tar"), 10, "the disk is full: /tmp/model.tar"),
        (OSError(errno.EADDRINUSE, "Address already in use"), 10, "the port is taken"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.json"), 10, "there is no such file: x.json"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 6, "a connection failed"),
        (TimeoutError("timed out"), 6, "a connection failed"),
    ],
)
def test_faults_of_the_machine_and_the_network_have_their_codes(deploy: Run, cloud: Cloud, error: OSError, code: int, said: str) -> None:
    cloud.faults["list"] = error
    result = deploy("get", "-n", "churn")
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "--no-such-option"),
        ("crate",),
        ("get",),
        ("create", "-m", "churn", "-C", "instance_type"),
        ("create", "-m", "churn", "-C", "instance_typ=large"),
        ("create", "-m", "churn", "-C", "instance_count=none"),
        ("create", "-m", "churn", "-n", "NOT A NAME"),
        ("create", "-m", "churn", "--flavor", "sklearn"),
        ("create", "-m", "churn", "--endpoint", "other"),
        ("create", "-m", "nothing:/here"),
        ("explain", "-n", "churn"),
        ("build-and-push-container",),
        ("list", "-o", "xml"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_in_one_sentence_with_what_to_do(deploy: Run, churn: Path, arguments: tuple[str, ...]) -> None:
    result = deploy(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[0].startswith("Error [config-invalid]: ")
    assert "  What to do: " in result.stderr


def test_a_mistyped_command_or_option_gets_the_nearest_one(deploy: Run, churn: Path) -> None:
    assert "did you mean create?" in deploy("crate").stderr
    assert "did you mean instance_type? (command line)" in deploy("create", "-m", "churn", "-C", "instance_typ=x").stderr
    assert "did you mean memory?" in deploy("list", "-t", "memry").stderr


def test_no_target_is_said_with_how_to_name_one(deploy: Run) -> None:
    result = deploy("list", target=False)
    assert result.exit_code == 2
    assert "-t TARGET, or DEPLOYER_TARGET" in result.stderr


def test_the_target_may_stand_in_the_environment(deploy: Run, churn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYER_TARGET", "memory:/here")
    assert deploy("create", "-m", "churn", target=False).exit_code == 0


def test_a_target_whose_package_is_missing_says_what_to_install(deploy: Run) -> None:
    result = deploy("list", "-t", "lacking")
    assert result.exit_code == 2
    assert "Error [extra-missing]: the target lacking needs a_cloud_sdk" in result.stderr
    assert "pip install --upgrade memory-target" in result.stderr


def test_a_model_that_is_not_there_is_3_and_one_that_is_none_is_2(deploy: Run, workspace: Path) -> None:
    assert deploy("create", "-m", "nowhere").exit_code == 3
    (workspace / "empty").mkdir()
    result = deploy("create", "-m", "empty")
    assert result.exit_code == 2
    assert "Error [model-invalid]" in result.stderr


def test_create_of_another_spec_is_3_and_names_update(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    result = deploy("create", "-m", "churn", "-C", "instance_type=large")
    assert result.exit_code == 3
    assert "deploy update -t memory:/here -n churn" in result.stderr


def test_changes_are_8_only_where_asked_for(deploy: Run, churn: Path) -> None:
    assert deploy("plan", "-m", "churn").exit_code == 0
    assert deploy("plan", "-m", "churn", "--exit-code").exit_code == 8
    assert deploy("diff", "-m", "churn", "--exit-code").exit_code == 8
    deploy("create", "-m", "churn")
    assert deploy("plan", "-m", "churn", "--exit-code").exit_code == 0
    assert deploy("diff", "-m", "churn", "--exit-code").exit_code == 0


def test_ctrl_c_before_the_switch_takes_back_what_was_made(deploy: Run, churn: Path, cloud: Cloud) -> None:
    cloud.faults["put data"] = KeyboardInterrupt()
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 130
    assert "Error [interrupted]: interrupted before the switch: what was made is removed" in result.stderr
    assert not deployed(cloud)


def test_ctrl_c_after_the_switch_says_that_the_cloud_goes_on(deploy: Run, churn: Path, cloud: Cloud) -> None:
    cloud.faults["wait"] = KeyboardInterrupt()
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 130
    assert "the cloud goes on" in result.stderr
    assert "run the same command again" in result.stderr


def test_ctrl_c_before_anything_says_that_nothing_was_changed(deploy: Run, churn: Path, cloud: Cloud) -> None:
    cloud.faults["service"] = KeyboardInterrupt()
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 130
    assert "interrupted before anything was changed" in result.stderr


def test_ctrl_c_while_cleaning_up_names_the_step(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    cloud.faults["scale"] = KeyboardInterrupt()
    result = deploy("update", "-n", "churn", "-C", "instance_count=2")
    assert result.exit_code == 130
    assert "interrupted at instances" in result.stderr


def test_ctrl_c_ends_a_followed_log_well(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    cloud.faults["follow"] = KeyboardInterrupt()
    assert deploy("logs", "churn", "-F").exit_code == 0


def test_a_failure_is_a_document_where_documents_are_asked_for(deploy: Run, cloud: Cloud) -> None:
    import json

    CLOUDS["here"].faults["list"] = errors.QuotaExceeded("no more endpoints", why="the limit is 2", advice="ask for more")
    result = deploy("get", "-n", "churn", "-o", "json")
    assert json.loads(result.stdout)["error"] == {
        "code": "quota-exceeded",
        "exit_code": 6,
        "message": "no more endpoints",
        "why": "the limit is 2",
        "advice": "ask for more",
    }
    assert "Error [quota-exceeded]" in result.stderr


def test_every_code_has_a_section_in_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs" / "errors.md"
    headings = {line.removeprefix("## ").strip("`") for line in page.read_text().splitlines() if line.startswith("## ")}
    assert {kind.code for kind in every_error()} <= headings


def test_a_sentence_that_ends_needs_no_second_end() -> None:
    assert failure_text(DeployerError("did you mean that?")).splitlines()[0] == "Error [internal-error]: did you mean that?"


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_an_error_that_brings_no_advice_has_that_of_its_kind(kind: type[DeployerError]) -> None:
    assert failure_text(kind("it is so")).splitlines()[1].startswith("  What to do: ")
