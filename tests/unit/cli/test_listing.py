"""One list of several targets: whose each deployment is, and what became of a target that could not be asked."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from deployer import errors
from docs.examples.memory_cloud import CLOUDS, Cloud
from docs.examples.memory_target import Memory
from tests.unit.cli.conftest import Run

BOTH = ("-t", "memory:/here", "-t", "memory:/there")


@pytest.fixture
def there(deploy: Run, cloud: Cloud, churn: Path) -> Cloud:
    """Another cloud; both have a deployment."""
    assert deploy("create", "churn", "-m", "churn").exit_code == 0
    assert deploy("create", "fraud", "-m", "churn", "-t", "memory:/there").exit_code == 0
    return CLOUDS["there"]


@pytest.mark.usefixtures("there")
def test_one_table_says_whose_each_is(deploy: Run) -> None:
    done = deploy("list", *BOTH)
    assert done.exit_code == 0, done.output
    heading, *rows = (line.split() for line in done.stdout.splitlines())
    assert heading[:3] == ["NAME", "TARGET", "STATUS"]
    assert [row[:3] for row in rows] == [["churn", "memory:/here", "ready"], ["fraud", "memory:/there", "ready"]]
    documents = json.loads(deploy("list", *BOTH, "-o", "json").stdout)
    assert [(each["name"], each["target"]) for each in documents] == [("churn", "memory:/here"), ("fraud", "memory:/there")]


def test_a_target_that_can_not_be_asked_hides_no_other(deploy: Run, there: Cloud) -> None:
    there.faults["list"] = errors.PermissionDenied("no list for you", advice="ask for more")
    done = deploy("list", *BOTH)
    assert done.exit_code == errors.PermissionDenied.exit_code
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "churn"]
    assert done.stderr.splitlines() == ["Error [permission-denied]: memory:/there: no list for you.", "  What to do: ask for more"]


@pytest.mark.usefixtures("there")
def test_the_targets_of_files_are_those_that_are_meant(deploy: Run, workspace: Path) -> None:
    (workspace / "both.yaml").write_text("model: churn\ntargets:\n  memory:/here: {}\n  memory:/there: {}\n")
    assert deploy("list", "-f", "both.yaml", "-o", "name", target=False).stdout == "churn\nfraud\n"


@pytest.mark.usefixtures("workspace")
def test_nothing_on_any_is_said(deploy: Run) -> None:
    done = deploy("list", *BOTH)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "There are no deployments on memory:/here, memory:/there.\n"


@pytest.mark.usefixtures("workspace")
def test_the_same_twice_is_one(deploy: Run) -> None:
    assert deploy("list", "-t", "memory:/here", "-t", "memory:/here").stderr == "There are no deployments on memory:/here.\n"


@pytest.mark.usefixtures("there")
def test_a_library_s_word_about_itself_is_no_word_to_users(deploy: Run, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    def warned(*_: object) -> list[object]:
        warnings.warn_explicit("SOCKS support requires more", UserWarning, "socks.py", 50, module="urllib3.contrib.socks")
        return []

    monkeypatch.setattr(Memory, "list", warned)
    assert deploy("list", *BOTH).exit_code == 0
    assert not recwarn.list


@pytest.mark.usefixtures("churn")
def test_a_selector_goes_by_tags(deploy: Run) -> None:
    assert deploy("create", "churn", "-m", "churn", "-C", 'tags={"team": "ml"}').exit_code == 0
    assert deploy("create", "fraud", "-m", "churn", "-C", 'tags={"team": "web"}').exit_code == 0
    assert deploy("list", "-l", "team=ml", "-o", "name").stdout == "churn\n"
    assert deploy("list", "--selector", "team notin (ml)", "-o", "name").stdout == "fraud\n"
    assert deploy("list", "-l", "team=none").stderr == "There are no deployments with team=none on memory:/here.\n"
    wrong = deploy("list", "-l", "team ml")
    assert (wrong.exit_code, wrong.stdout) == (errors.ConfigInvalid.exit_code, "")
    assert "'team ml' is no selector" in wrong.stderr


@pytest.mark.usefixtures("churn")
def test_a_target_without_namespaces_says_so(deploy: Run) -> None:
    refused = deploy("list", "-A")
    assert refused.exit_code == errors.ConfigInvalid.exit_code
    assert refused.stderr.splitlines()[0] == "Error [config-invalid]: memory can't list all namespaces."
