"""Documents for programs: one form on every verb, and nothing secret in any."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
import yaml

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import QuotaExceeded
from docs.examples.memory_cloud import CLOUDS, Cloud
from tests.unit.cli.conftest import Run, deployed, environment, saved

SECRET = "hunter2-is-the-password"


def test_create_gives_one_document_at_the_end(deploy: Run, churn: Path) -> None:
    result = deploy("create", "-m", "churn", "-o", "json")
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert (document["name"], document["status"], document["target"], document["generation"]) == ("churn", "ready", "memory:/here", "5d53276b93")
    assert document["history"][0]["user"] == "ada"
    assert yaml.safe_load(deploy("get", "-n", "churn", "-o", "yaml").stdout) == document


def test_jsonl_gives_the_events_as_they_happen_then_the_deployment(deploy: Run, churn: Path) -> None:
    events = [json.loads(line) for line in deploy("create", "-m", "churn", "-o", "jsonl").stdout.splitlines()]
    assert [each["event"] for each in events[:4]] == ["resolved", "step_started", "step_finished", "step_started"]
    assert events[-1]["event"] == "deployed"
    assert events[-1]["status"] == "ready"
    for each in events[:-1]:
        assert (each["deployment"], each["generation"], each["time"][-1]) == ("churn", "5d53276b93", "Z")
    assert {"event": "step_progressed", "done": 466, "total": 466, "unit": "bytes"}.items() <= events[4].items()


def test_jsonl_ends_with_the_failure(deploy: Run, churn: Path, cloud: Cloud) -> None:
    cloud.faults["put data"] = ValueError("a fault")
    events = [json.loads(line) for line in deploy("create", "-m", "churn", "-o", "jsonl").stdout.splitlines()]
    assert events[-1]["event"] == "failed"
    assert events[-1]["error"]["exit_code"] == 1


def test_quiet_and_name_print_the_name_alone(deploy: Run, churn: Path) -> None:
    assert deploy("create", "-m", "churn", "-q").output == "churn\n"
    assert deploy("apply", "-m", "churn", "-o", "name").output == "churn\n"
    assert deploy("list", "-o", "name").output == "churn\n"
    assert deploy("get", "-n", "churn", "-o", "name").output == "churn\n"
    assert deploy("delete", "-n", "churn", "-q").output == "churn\n"


def test_a_list_is_one_array_or_one_line_each(deploy: Run, churn: Path) -> None:
    for name in ("b", "a"):
        deploy("create", "-m", "churn", "-n", name)
    assert [each["name"] for each in json.loads(deploy("list", "-o", "json").stdout)] == ["a", "b"]
    assert [json.loads(line)["name"] for line in deploy("list", "-o", "jsonl").stdout.splitlines()] == ["a", "b"]


def test_a_plan_is_a_document_too(deploy: Run, churn: Path) -> None:
    document = json.loads(deploy("create", "-m", "churn", "--dry-run", "-o", "json").stdout)
    assert document["changes"] is True
    assert document["after"] == "5d53276b93"
    assert {"sign": "+", "subject": "model data", "text": ""} in document["steps"]
    assert document["image_fits"] is True


def test_a_dry_run_changes_nothing(deploy: Run, churn: Path, cloud: Cloud) -> None:
    for verb in ("create", "apply"):
        assert deploy(verb, "-m", "churn", "--dry-run").exit_code == 0
    assert not deployed(cloud)
    assert deploy("update", "-m", "churn", "--dry-run").exit_code == 3


def test_no_control_characters_where_there_is_no_terminal(deploy: Run, churn: Path) -> None:
    output = deploy("create", "-m", "churn").output
    assert not [character for character in output if ord(character) < 32 and character != "\n"]


@pytest.mark.parametrize("form", ["json", "yaml", "jsonl", "name", "table"])
def test_what_is_done_on_one_target_is_told_though_the_next_one_fails(deploy: Run, churn: Path, workspace: Path, form: str) -> None:
    (workspace / "churn.yaml").write_text("model: churn\ntargets:\n  memory:/here: {}\n  memory:/there: {}\n")
    CLOUDS["there"] = Cloud(faults={"put claim": QuotaExceeded("no more endpoints")})
    result = deploy("apply", "-f", "churn.yaml", "-o", form, target=False)
    assert result.exit_code == 6
    if form in ("json", "yaml"):
        done, failed = yaml.safe_load(result.stdout)
        assert (done["name"], done["target"], failed["error"]["code"]) == ("churn", "memory:/here", "quota-exceeded")
    elif form == "jsonl":
        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert [each["event"] for each in events if each["event"] in ("deployed", "failed")] == ["deployed", "failed"]
    else:
        assert result.stdout.splitlines()[0 if form == "name" else 1].startswith("churn" if form == "name" else "churn   memory:/here    created")


def test_several_targets_are_one_document(deploy: Run, churn: Path, workspace: Path) -> None:
    (workspace / "churn.yaml").write_text("model: churn\ntargets:\n  memory:/here: {}\n  memory:/there: {}\n")
    done = json.loads(deploy("apply", "-f", "churn.yaml", "-o", "json", target=False).stdout)
    assert [each["target"] for each in done] == ["memory:/here", "memory:/there"]


@pytest.mark.parametrize(
    ("verb", "form"),
    list(product(("create", "update", "apply", "plan", "diff", "get", "explain", "list", "delete"), ("table", "json", "yaml", "jsonl"))),
)
@pytest.mark.usefixtures("churn")
def test_values_of_env_are_never_printed(deploy: Run, workspace: Path, cloud: Cloud, verb: str, form: str) -> None:
    (workspace / "churn.yaml").write_text(f"model: churn\ntargets:\n  memory:/here:\n    env: {{TOKEN: {SECRET}}}\n")
    if verb != "create":
        deploy("create", "-f", "churn.yaml")
        assert environment(cloud, "churn") == {"TOKEN": SECRET}
        version = cloud.things["churn", "version", str(cloud.services["churn"].version)]  # shown in the deployment's detail
        version["Container"] = {"Environment": {"TOKEN": SECRET}, "env": [{"name": "T", "value": SECRET}]}
    command = ("get", "--explain-config") if verb == "explain" else (verb,)
    named = ("-n", "churn") if verb in ("get", "explain", "delete") else ()
    result = deploy(*command, *named, "-f", "churn.yaml", *(() if form == "jsonl" and verb == "explain" else ("-o", form)))
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output


def test_a_wrong_env_is_refused_without_its_values(deploy: Run, churn: Path) -> None:
    result = deploy("create", "-m", "churn", "-C", f"env=[{SECRET}]", "--debug")
    assert result.exit_code == 2
    assert SECRET not in result.stderr


def test_explain_config_names_variables_without_their_values(deploy: Run, churn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("create", "-m", "churn")
    monkeypatch.setenv("DEPLOYER_ENV", f"TOKEN: {SECRET}")
    line = next(line for line in deploy("get", "-n", "churn", "--explain-config").stdout.splitlines() if line.startswith("env "))
    assert line.split() == ["env", "TOKEN=(hidden)", "DEPLOYER_ENV"]


def test_explain_config_says_where_each_value_came_from(
    deploy: Run, churn: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, cloud: Cloud
) -> None:
    (workspace / "churn.yaml").write_text("model: churn\ntargets:\n  memory:/here:\n    instance_type: medium\n    tags: {a: b}\n")
    cloud.defaults["resources"] = {"memory": "4Gi"}
    monkeypatch.setenv("DEPLOYER_KEEP", "3")
    deploy("create", "-f", "churn.yaml", "-C", "instance_count=2")
    rows = json.loads(deploy("get", "-n", "churn", "-f", "churn.yaml", "--explain-config", "-o", "json").stdout)
    origins = {row["option"]: (row["value"], row["origin"]) for row in rows}
    assert origins["instance_type"] == ("medium", "churn.yaml:4")
    assert origins["tags"] == ('{"a": "b"}', "churn.yaml:5")
    assert origins["resources"] == ('{"memory": "4Gi"}', "the platform's defaults file")
    assert origins["keep"] == ("3", "DEPLOYER_KEEP")
    assert origins["timeout_seconds"] == ("1200", "default")
    generation = deployed(cloud)["churn"].serving
    assert origins["instance_count"] == ("2", f"generation {generation}")
    rows = json.loads(deploy("get", "-n", "churn", "-f", "churn.yaml", "-C", "instance_type=large", "--explain-config", "-o", "json").stdout)
    [row] = [row for row in rows if row["option"] == "instance_type"]
    assert row == {"option": "instance_type", "value": "medium", "origin": f"generation {generation}; command line has large"}


def test_a_file_names_model_name_and_options_for_each_target(deploy: Run, churn: Path, workspace: Path) -> None:
    (workspace / "churn.yaml").write_text(
        "name: prod-churn\nmodel: churn\ntargets:\n  memory:/here: {instance_count: 2}\n  memory:/there:\n  memory: {instance_type: large}\n"
    )
    result = deploy("apply", "-f", "churn.yaml", "-o", "json", target=False)
    assert result.exit_code == 0, result.output
    assert [
        (each["name"], each["target"], each["options"]["instance_count"], each["options"]["instance_type"]) for each in json.loads(result.stdout)
    ] == [
        ("prod-churn", "memory:/here", 2, "large"),
        ("prod-churn", "memory:/there", 1, "large"),
    ]
    assert list(deployed(CLOUDS["there"])) == ["prod-churn"]
    several = deploy("get", "-n", "prod-churn", "-f", "churn.yaml", target=False)
    assert several.exit_code == 2
    assert "-t with one of memory:/here, memory:/there" in several.stderr
    assert deploy("get", "-n", "prod-churn", "-f", "churn.yaml", "-t", "memory:/there").exit_code == 0


def test_doctor_gives_its_findings_as_documents(deploy: Run, cloud: Cloud) -> None:
    cloud.findings.append(Diagnosis("quota", Verdict.WARNING, "one endpoint left", "ask for more"))
    found = json.loads(deploy("doctor", "-o", "json").stdout)
    assert found[-1] == {"subject": "quota", "verdict": "warning", "detail": "one endpoint left", "advice": "ask for more"}


def test_update_of_options_alone_needs_no_model(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn", "-C", "instance_type=large")
    assert deploy("update", "-n", "churn", "-C", "instance_count=4").exit_code == 0
    record = deployed(cloud)["churn"].record
    assert record is not None
    assert (record.options["instance_type"], record.options["instance_count"]) == ("large", 4)


def test_standing_defaults_do_not_undo_what_a_deployment_was_given(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn", "-C", "instance_type=large")
    cloud.defaults["instance_type"] = "small"
    deploy("update", "-n", "churn", "-C", "instance_count=4")
    record = deployed(cloud)["churn"].record
    assert record is not None
    assert record.options["instance_type"] == "large"
    saved(churn.parent / "next", "another pickle")
    deploy("apply", "-n", "churn", "-m", "next")
    record = deployed(cloud)["churn"].record
    assert record is not None
    assert record.options["instance_type"] == "small"
