"""A plan means what follows it: the same verb, the same changes, the same end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deployer
from deployer.core.target import Intent
from deployer.errors import DeploymentExists, EnvironmentMisfit, SchemaChangeRefused
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import SIGNATURE, Run, deployed, saved

MORE = '"required": true}, {"type": "double", "name": "y", "required": true}]'
TWO_COLUMNS = SIGNATURE.replace('"required": true}]', MORE, 1)
NOT_THERE = "scikit-learn==0.1\n"


@pytest.fixture
def placed(deploy: Run, churn: Path, workspace: Path) -> None:
    """churn on a large instance; a model next to it, and a file that says nothing of the instance."""
    assert deploy("create", "churn", "-m", "churn", "-C", "instance_type=large").exit_code == 0
    saved(workspace / "next", "another pickle")
    (workspace / "churn.yaml").write_text("name: churn\nmodel: next\ntargets:\n  memory:/here: {}\n")


@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("given", [("-C", "instance_count=3"), ("-m", "next"), ("-m", "next", "-C", "instance_type=huge"), ()])
def test_of_what_is_there_it_is_an_update_which_completes_from_the_record(deploy: Run, given: tuple[str, ...]) -> None:
    planned = deploy("plan", "churn", *given)
    assert planned.exit_code == 0, planned.output
    assert planned.stdout == deploy("update", "churn", *given, "--dry-run").stdout
    assert "large -> small" not in planned.stdout
    assert json.loads(deploy("plan", "churn", *given, "-o", "json").stdout)["intent"] == "update"


@pytest.mark.usefixtures("placed")
def test_with_apply_or_a_file_what_is_given_is_the_whole(deploy: Run) -> None:
    given = ("churn", "-m", "next")
    planned = deploy("plan", *given, "--apply")
    assert planned.stdout == deploy("apply", *given, "--dry-run").stdout
    assert "large -> small" in planned.stdout
    assert "large -> small" in deploy("diff", *given, "--apply").stdout
    from_file = deploy("plan", "-f", "churn.yaml", target=False)
    assert from_file.stdout == planned.stdout == deploy("apply", "-f", "churn.yaml", "--dry-run", target=False).stdout


def test_of_what_is_not_there_it_is_a_create(deploy: Run, churn: Path) -> None:
    planned = deploy("plan", "churn", "-m", "churn")
    assert planned.stdout == deploy("create", "churn", "-m", "churn", "--dry-run").stdout
    assert json.loads(deploy("plan", "-m", "churn", "-o", "json").stdout)["intent"] == "create"
    without = deploy("plan", "churn")
    assert without.exit_code == 3
    assert "there is no deployment churn" in without.stderr
    assert "-m MODEL" in without.stderr


@pytest.mark.usefixtures("placed")
def test_what_a_dry_run_shows_the_verb_does(deploy: Run) -> None:
    assert deploy("create", "churn", "-m", "next", "--dry-run").exit_code == deploy("create", "churn", "-m", "next").exit_code == 3
    planned = json.loads(deploy("plan", "churn", "-m", "next", "-o", "json").stdout)
    assert json.loads(deploy("update", "churn", "-m", "next", "-o", "json").stdout)["generation"] == planned["after"]
    assert deploy("plan", "churn", "-m", "next", "--exit-code").exit_code == 0


def _refused(deploy: Run, verb: str, *given: str) -> tuple[int, str]:
    """The exit code, and the error alone."""
    result = deploy(verb, "churn", *given)
    return result.exit_code, result.stderr[result.stderr.index("Error [") :]


def test_a_model_that_the_image_lacks_packages_for_ends_it_as_a_create(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    saved(workspace / "other", requirements=NOT_THERE)
    planned = _refused(deploy, "plan", "-m", "other")
    assert planned == _refused(deploy, "create", "-m", "other")
    assert planned[0] == 2
    assert "environment-misfit" in planned[1]
    shown = deploy("create", "churn", "-m", "other", "--dry-run")
    assert (shown.exit_code, "✗ scikit-learn" in shown.stdout) == (2, True)
    assert not deployed(cloud)


def test_a_schema_that_breaks_callers_ends_it_as_an_update_unless_it_is_allowed(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "churn", "-m", "churn")
    saved(workspace / "wider", "another pickle", signature=TWO_COLUMNS)
    planned = _refused(deploy, "plan", "-m", "wider")
    assert planned == _refused(deploy, "update", "-m", "wider")
    assert "schema-change" in planned[1]
    assert deploy("plan", "churn", "-m", "wider", "--allow-schema-change").exit_code == 0
    assert deploy("diff", "churn", "-m", "wider").exit_code == 0


def test_a_model_that_cannot_work_ends_it_as_a_create(deploy: Run, workspace: Path) -> None:
    (saved(workspace / "script") / "model.pkl").write_bytes(b"c__main__\nThing\n.")  # of the script that saved it
    planned = _refused(deploy, "plan", "-m", "script")
    assert planned == _refused(deploy, "create", "-m", "script")
    assert "model-invalid" in planned[1]


def test_what_would_be_refused_is_part_of_the_one_document(deploy: Run, workspace: Path) -> None:
    saved(workspace / "other", requirements=NOT_THERE)
    for form in ("json", "jsonl"):
        result = deploy("plan", "churn", "-m", "other", "-o", form)
        document = json.loads(result.stdout)
        assert (result.exit_code, document["error"]["code"], document["error"]["exit_code"]) == (2, "environment-misfit", 2)
        assert document["image_fits"] is False
        assert "Error [environment-misfit]" in result.stderr


def test_the_python_api_plans_alike(placed: None, workspace: Path) -> None:
    client = deployer.get_deploy_client("memory:/here")
    update = client.plan("churn", "next")
    assert (update.intent, [each.subject for each in update.differences]) == (Intent.UPDATE, ["model"])
    apply = client.plan("churn", "next", intent="apply")
    assert [each.subject for each in apply.differences] == ["model", "instance_type"]
    by_file = deployer.client.DeployClient("memory:/here", config_file=workspace / "churn.yaml")
    assert by_file.plan(None).intent is Intent.APPLY
    assert client.plan("new", "next").intent is Intent.CREATE
    assert client.plan("churn").empty
    with pytest.raises(DeploymentExists):
        client.plan("churn", "next", intent="create")
    saved(workspace / "other", requirements=NOT_THERE)
    refused = client.plan("churn", "other")
    assert isinstance(refused.refusal, EnvironmentMisfit)
    assert "Error [environment-misfit]" in str(refused)
    saved(workspace / "wider", "a third", signature=TWO_COLUMNS)
    assert isinstance(client.plan("churn", "wider").refusal, SchemaChangeRefused)
    assert client.plan("churn", "wider", allow_schema_change=True).refusal is None
