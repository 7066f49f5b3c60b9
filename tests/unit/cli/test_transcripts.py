"""What a user sees, word for word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import deployer
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import SIGNATURE, Run, deployed, saved

GOES = "  - data/6cf75871f6\n  - record/5d53276b93\n  - version/5d53276b93\n"


def test_create_says_what_where_each_step_and_what_to_do_next(deploy: Run, churn: Path) -> None:
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "Model   churn  sklearn 1.9.1, Python 3.11.7, 466 B, sha256:6cf75871f6\n"
        "Target  memory:/here\n"
        "Image   deployer-scoring:0.1.0-py311\n"
        "\n"
        "  ✓ record\n"
        "  ✓ model data        466 B\n"
        "  ✓ version 5d53276b93\n"
        "  … service           the container loads the model\n"
        "  ✓ service\n"
        "  ✓ service answers\n"
        "  ✓ what is not needed  as it was\n"
    )
    assert result.stdout == (
        "churn is ready on memory:/here, generation 5d53276b93.\n"
        "  deploy predict -t memory:/here -n churn -i example.json\n"
        "  deploy logs    -t memory:/here -n churn -F\n"
    )


def test_create_of_what_serves_already_does_nothing(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 0
    assert result.stdout == "churn is as asked for on memory:/here, generation 5d53276b93: nothing to do.\n"
    assert "✓" not in result.stderr


def test_a_plan_shows_what_differs_the_steps_and_whether_the_image_fits(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    result = deploy("plan", "-n", "churn", "-m", "churn4", "-C", "resources.memory=2Gi")
    assert result.exit_code == 2
    result = deploy("plan", "-n", "churn", "-m", "churn4", "-C", 'resources={"memory": "2Gi"}')
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("churn on memory:/here: 5d53276b93 -> ")
    assert lines[1:8] == [
        "  ~ model             churn -> churn4",
        "  ~ resources.memory  1Gi -> 2Gi",
        "  + record",
        "  + model data",
        "  + version " + lines[0].rpartition(" ")[2],
        "  ~ service",
        "  - nothing is deleted",
    ]
    assert lines[8].startswith("Image: ")
    assert "  ✓ scikit-learn  model 1.9.1, image 1.9.1" in lines


def test_a_plan_of_what_serves_has_nothing_to_do(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    result = deploy("plan", "-m", "churn")
    assert result.stdout.splitlines()[0] == "churn on memory:/here: 5d53276b93, nothing to do"


def test_a_plan_tells_two_models_of_one_uri_apart_by_digest(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    (churn / "model.pkl").write_text("I2\n.")
    result = deploy("diff", "-m", "churn")
    assert "  ~ model  churn (sha256:6cf75871f6) -> churn (sha256:" in result.stdout


def test_a_plan_shows_what_somebody_else_took_over(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn", "-C", "instance_count=2")
    cloud.services["churn"] = replace(cloud.services["churn"], count=3, autoscaled=True)
    result = deploy("diff", "-n", "churn")
    assert result.stdout.splitlines()[-1] == "Changed by somebody else since the last deploy: instance_count 2 -> 3 (kept)"
    assert deploy("diff", "-n", "churn", "--exit-code").exit_code == 8


def test_a_failed_update_says_what_serves_why_and_what_to_do(deploy: Run, churn: Path, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "broken", "no pickle")
    planned = deploy("plan", "-n", "churn", "-m", "broken", "-o", "json")
    generation = planned.stdout.split('"after": "')[1][:10]
    cloud.broken.add(digest_of_model(planned_model=workspace / "broken"))
    result = deploy("update", "-n", "churn", "-m", "broken")
    assert result.exit_code == 5
    assert result.stdout == ""
    assert result.stderr.splitlines()[4:] == [
        "  ✓ record",
        "  ✓ model data        467 B",
        f"  ✓ version {generation}",
        "  … service           the container loads the model",
        "  ✓ service",
        "  ✗ service answers   churn can't serve",
        "  ! going back: churn can't serve",
        "  ✓ what is not needed",
        f"Error [rollout-failed]: churn was not updated; generation 5d53276b93 still serves, and everything made for {generation} is removed.",
        "  Why: the model could not be loaded: ModuleNotFoundError: No module named 'lightgbm'",
        "  The container's last lines:",
        "    | loading model from /opt/ml/model",
        "    | ModuleNotFoundError: No module named 'lightgbm'",
        "  What to do: correct the model or its requirements",
    ]
    assert deploy("get", "-n", "churn", "-o", "json").stdout.count('"generation": "5d53276b93"') == 2


def test_a_breaking_signature_is_shown_and_refused(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "other", signature=SIGNATURE.replace('"name": "x"', '"name": "y"'))
    assert "  ! breaks callers: " in deploy("plan", "-n", "churn", "-m", "other").stdout
    refused = deploy("update", "-n", "churn", "-m", "other")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1] == "  What to do: --allow-schema-change deploys it all the same"
    assert deploy("update", "-n", "churn", "-m", "other", "--allow-schema-change").exit_code == 0


def test_an_image_that_lacks_what_the_model_needs_is_refused_with_the_way_out(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    saved(workspace / "boosted", requirements="mlflow==3.17.2\nlightgbm==4.5.0\n")
    planned = deploy("plan", "-m", "boosted")
    assert "  ✗ lightgbm" in planned.stdout
    refused = deploy("create", "-m", "boosted")
    assert refused.exit_code == 2
    assert "Error [environment-misfit]" in refused.stderr
    assert "build-and-push-container --for boosted" in refused.stderr
    assert not deployed(cloud)
    assert deploy("create", "-m", "boosted", "--packages", "image").exit_code == 0


def test_list_is_a_table_with_the_targets_own_columns_and_reasons(deploy: Run, churn: Path, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    deploy("create", "-n", "fraud", "-m", "churn", "-C", "instance_type=ml.m5.xlarge")
    cloud.services["fraud"] = replace(cloud.services["fraud"], down=True, reason="no module named\n 'lightgbm'")
    lines = deploy("list").stdout.splitlines()
    fraud = deployed(cloud)["fraud"].serving
    assert lines[0] == "NAME    STATUS   MODEL   GENERATION   INSTANCES        AGE"
    assert lines[1].startswith("churn   ready    churn   5d53276b93   1 small          ")
    assert lines[2].startswith(f"fraud   failed   churn   {fraud}   1 ml.m5.xlarge   ")
    assert lines[2].endswith("no module named 'lightgbm'")


def test_an_empty_list_says_so_and_prints_nothing_to_parse(deploy: Run) -> None:
    result = deploy("list")
    assert (result.stdout, result.stderr) == ("", "There are no deployments on memory:/here.\n")
    assert deploy("list", "-o", "json").stdout == "[]\n"


def test_get_shows_the_model_the_options_and_the_history(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4")
    lines = deploy("get", "-n", "churn").stdout.splitlines()
    assert lines[0] == "churn on memory:/here"
    assert lines[1] == "Status      ready"
    assert lines[2].startswith("Model       churn4  sklearn 1.9.1, Python 3.11.7, 472 B, sha256:")
    assert "  instance_type    small               default" in lines
    history = lines[lines.index("History") + 1 :]
    assert "   churn4   100 %   " in history[0]
    assert history[0].endswith("   ada")
    assert history[1].startswith("  5d53276b93   churn ")


def test_prune_names_what_it_removed(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4")
    assert deploy("prune", "-n", "churn").stdout == "churn on memory:/here: 0 removed\n"
    assert deploy("prune", "-n", "churn", "--keep", "0").stdout == "churn on memory:/here: 3 removed\n" + GOES


def test_a_dry_run_of_delete_and_prune_says_what_would_go_and_changes_nothing(deploy: Run, churn: Path, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4")
    before = dict(deployed(cloud))
    pruned = deploy("prune", "-n", "churn", "--keep", "0", "--dry-run")
    assert (pruned.exit_code, pruned.stdout) == (0, "churn on memory:/here: 3 would be removed\n" + GOES)
    assert deploy("prune", "-n", "churn", "--dry-run").stdout == "churn on memory:/here: nothing to remove\n"
    lines = deploy("delete", "churn", "nobody", "--dry-run").stdout.splitlines()
    assert lines[0] == "churn on memory:/here: 9 would be removed"
    assert set(GOES.splitlines()) < set(lines[1:10])
    assert lines[10] == "nobody on memory:/here: nothing to remove"
    document = json.loads(deploy("delete", "-n", "churn", "--dry-run", "-o", "json").stdout)
    assert document == {"name": "churn", "target": "memory:/here", "removes": [line.removeprefix("  - ") for line in lines[1:10]]}
    assert deploy("prune", "-n", "nobody", "--dry-run").exit_code == 3
    assert deployed(cloud) == before


def test_delete_says_whether_there_was_anything(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    assert deploy("delete", "-n", "churn").stdout == "churn is deleted from memory:/here.\n"
    again = deploy("delete", "-n", "churn")
    assert (again.exit_code, again.stdout) == (0, "There is no churn on memory:/here: nothing to do.\n")


def test_doctor_prints_each_finding_and_fails_where_one_is_wrong(deploy: Run, cloud: Cloud) -> None:
    from deployer.core.target import Diagnosis, Verdict

    good = deploy("doctor")
    assert good.exit_code == 0
    assert "  ✓ memory            is there" in good.stdout.splitlines()
    cloud.findings.append(Diagnosis("role", Verdict.WRONG, "can't be assumed", "let sagemaker.amazonaws.com assume it"))
    bad = deploy("doctor")
    assert bad.exit_code == 2
    assert bad.stdout.splitlines()[-2:] == ["  ✗ role              can't be assumed", "      let sagemaker.amazonaws.com assume it"]


def digest_of_model(planned_model: Path) -> str:
    from deployer.artifacts import fetch

    return fetch(str(planned_model)).digest


def test_a_canary_says_how_it_stands_and_what_goes_on_or_back(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    result = deploy("update", "-n", "churn", "-m", "churn4", "-C", "strategy=canary", "-C", "steps=10,50", "-C", "pause=manual")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    candidate = lines[0].split(", ")[1].split()[0]
    assert lines == [
        f"churn is paused on memory:/here: 5d53276b93 90 %, {candidate} 10 %.",
        "  deploy update -t memory:/here -n churn --promote   goes on",
        "  deploy update -t memory:/here -n churn --abort     goes back",
    ]
    assert f"  ✓ service, 10 % to {candidate}\n" in result.stderr
    shown = deploy("get", "-n", "churn").stdout
    assert "Status      paused\n" in shown
    assert f"Traffic     5d53276b93 90 %, {candidate} 10 %\n" in shown
    assert json.loads(deploy("get", "-n", "churn", "-o", "json").stdout)["traffic"] == {"5d53276b93": 90, candidate: 10}
    planned = deploy("update", "-n", "churn", "--promote", "--dry-run").stdout
    assert f"  ~ service, 50 % to {candidate}\n" in planned
    assert deploy("update", "-n", "churn", "--promote").stdout.startswith(f"churn is paused on memory:/here: 5d53276b93 50 %, {candidate} 50 %.")
    assert deploy("update", "-n", "churn", "--promote").stdout.startswith(f"churn is ready on memory:/here, generation {candidate}.")
    assert deploy("update", "-n", "churn", "--promote").stdout.endswith("nothing to do.\n")
    back = deploy("rollback", "-n", "churn", "-o", "json")
    assert json.loads(back.stdout)["generation"] == "5d53276b93"


def test_a_rollout_promoted_to_its_end_at_once(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    canary = ("-C", "strategy=canary", "-C", "steps=10,50", "-C", "pause=manual", "-C", "checks={error_rate: 0%, min_requests: 1}")
    deploy("update", "-n", "churn", "-m", "churn4", *canary)
    assert deploy("update", "-n", "churn", "--full").exit_code == 2
    planned = deploy("update", "-n", "churn", "--promote", "--full", "--dry-run").stdout
    assert "% to" not in planned
    assert deploy("update", "-n", "churn", "--promote", "--full").stdout.startswith("churn is ready on memory:/here, generation ")
    kept = json.loads(deploy("get", "-n", "churn", "-o", "json").stdout)["options"]
    assert (kept["strategy"], kept["pause"]) == ("canary", "manual")  # the next rollout goes by them again


def test_a_rollout_that_nobody_waits_for_is_under_way_in_its_history(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")

    def newest() -> str:
        outcome: str = json.loads(deploy("history", "-n", "churn", "-o", "json").stdout)[0]["outcome"]
        return outcome

    deploy("update", "-n", "churn", "-m", "churn4", "--no-wait", "-C", "strategy=canary", "-C", "steps=10", "-C", "pause=10m")
    assert newest() == "under-way"
    deploy("update", "-n", "churn", "--promote", "--full", "--no-wait")
    deploy("get", "-n", "churn")  # time passes by calls
    assert newest() == "done"


def test_a_rollout_given_up(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4", "-C", "strategy=blue_green")
    result = deploy("rollback", "-n", "churn")
    assert result.exit_code == 3
    assert "deploy update -t memory:/here -n churn --abort goes back to 5d53276b93, --promote goes on" in result.stderr
    assert deploy("update", "-n", "churn", "--abort").stdout.startswith("churn is ready on memory:/here, generation 5d53276b93.")
    result = deploy("rollback", "-n", "churn")
    assert result.exit_code == 3
    assert "none was there before 5d53276b93" in result.stderr


def test_promote_and_abort_are_for_what_is_there(deploy: Run, churn: Path) -> None:
    assert deploy("update", "-n", "churn", "--promote", "--abort").exit_code == 2
    assert deploy("update", "-n", "churn", "--promote", "-m", "churn").exit_code == 2
    assert deploy("update", "-n", "churn", "--promote").exit_code == 3


def test_the_history_says_who_did_what(deploy: Run, churn: Path, workspace: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("create", "-m", "churn")
    monkeypatch.setenv("USER", "grace")
    monkeypatch.setenv("LOGNAME", "grace")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4", "-C", "strategy=canary", "-C", "pause=manual")
    deploy("update", "-n", "churn", "--abort")
    lines = [line.split() for line in deploy("history", "churn").stdout.splitlines()]
    assert lines[0] == ["TIME", "VERB", "GENERATION", "MODEL", "BY", "ENDED", "SERVED"]
    assert [(words[1], words[3], words[4], words[5]) for words in lines[1:]] == [
        ("abort", "churn", "grace", "done"),
        ("update", "churn4", "grace", "paused"),
        ("create", "churn", "ada", "done"),
    ]
    documents = json.loads(deploy("history", "churn", "-o", "json").stdout)
    assert [(each["verb"], each["user"], each["outcome"], "served_seconds" in each) for each in documents] == [
        ("abort", "grace", "done", True),
        ("update", "grace", "paused", False),
        ("create", "ada", "done", True),
    ]
    html = deployer.get_deploy_client("memory:/here").history("churn")._repr_html_()
    assert html.count("<tr>") == 4
    deploy("delete", "churn")
    assert deploy("history", "churn").exit_code == 3
    assert not cloud.things


def test_a_failed_check_names_the_command_that_shows_the_log_in_full(deploy: Run, churn: Path, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    saved(workspace / "churn4", "another pickle")
    deploy("update", "-n", "churn", "-m", "churn4", "-C", "strategy=blue_green", "-C", "checks={error_rate: 1%, min_requests: 1}")
    cloud.failing |= {body for (_, kind, _), body in cloud.things.items() if kind == "data"}
    assert deploy("predict", "-n", "churn", "-d", "{}").exit_code != 0
    result = deploy("update", "-n", "churn", "--promote")
    assert result.exit_code == 5
    assert "What to do: deploy logs -t memory:/here -n churn has what its container wrote" in result.stderr
