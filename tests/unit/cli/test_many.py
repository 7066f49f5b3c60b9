"""Several deployments by one command: each a run of its own, one table and one exit code for all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import deployer
from deployer.cli import choices
from deployer.errors import ConfigInvalid, Interrupted, QuotaExceeded, SomeFailed
from deployer.events import Event, StepFinished
from deployer.verbs import many
from docs.examples.memory_cloud import CLOUDS, Cloud
from tests.unit.cli.conftest import Run, deployed, saved

NAMES = ("churn", "fraud", "price")


@pytest.fixture
def fleet(workspace: Path, cloud: Cloud) -> Path:
    """A file of three deployments with a model each."""
    for name in NAMES:
        saved(workspace / name, f"a pickle of {name}")
    return written(workspace / "fleet.yaml", NAMES)


def written(path: Path, names: tuple[str, ...], **missing: str) -> Path:
    """A file of deployments; those that are `missing` have another model."""
    documents = [{"name": name, "model": missing.get(name, name), "targets": {"memory:/here": None}} for name in names]
    path.write_text(yaml.safe_dump_all(documents, explicit_start=True))
    return path


def rows(text: str) -> dict[str, list[str]]:
    """A table's rows by name, without its heading and the sentence below."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:-1]}


@pytest.mark.usefixtures("fleet")
def test_all_deployments_of_a_file_are_made_changed_or_left_as_they_are(deploy: Run, cloud: Cloud, workspace: Path) -> None:
    assert deploy("create", "churn", "-m", "churn").exit_code == 0
    assert deploy("create", "fraud", "-m", "churn").exit_code == 0
    done = deploy("apply", "-f", "fleet.yaml", target=False)
    assert done.exit_code == 0, done.output
    assert {name: row[1] for name, row in rows(done.stdout).items()} == {"churn": "unchanged", "fraud": "updated", "price": "created"}
    assert done.stdout.splitlines()[-1] == "3 deployments: 1 unchanged, 1 updated, 1 created."
    assert {name: each.serving for name, each in deployed(cloud).items()} == {name: row[2] for name, row in rows(done.stdout).items()}
    again = deploy("apply", "-f", "fleet.yaml", "-o", "json", target=False)
    assert [each["name"] for each in json.loads(again.stdout)] == list(NAMES)


@pytest.mark.usefixtures("fleet")
def test_each_line_of_progress_says_whose_it_is(deploy: Run) -> None:
    done = deploy("apply", "-f", "fleet.yaml", target=False)
    lines = done.stderr.splitlines()
    assert {line.split(" |")[0].strip() for line in lines} == set(NAMES)
    assert any(line.startswith("churn |  ✓ ") for line in lines)
    assert sum(line.split(" |")[1].startswith("  created ") for line in lines) == len(NAMES)
    events = [json.loads(line) for line in deploy("delete", "-f", "fleet.yaml", "-o", "jsonl", target=False).stdout.splitlines()]
    assert {each["deployment"] for each in events if each["event"].startswith("step")} == set(NAMES)
    assert [each["name"] for each in sorted(events, key=lambda each: str(each.get("name"))) if each["event"] == "deleted"] == list(NAMES)


@pytest.mark.parametrize("form", ["table", "json", "yaml", "jsonl", "name"])
@pytest.mark.usefixtures("fleet")
def test_one_that_fails_stops_no_other(deploy: Run, cloud: Cloud, workspace: Path, form: str) -> None:
    written(workspace / "fleet.yaml", NAMES, fraud="nowhere")
    done = deploy("apply", "-f", "fleet.yaml", "-o", form, target=False)
    assert (done.exit_code, sorted(deployed(cloud))) == (3, ["churn", "price"])
    assert "Error [model-not-found]: fraud on memory:/here: " in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Of 3 deployments: 1 failed. ")
    if form in ("json", "yaml"):
        found = yaml.safe_load(done.stdout)
        assert [each.get("error", {}).get("code") for each in found] == [None, "model-not-found", None]
        assert (found[1]["name"], found[1]["target"]) == ("fraud", "memory:/here")
    elif form == "jsonl":
        ends = [each for each in map(json.loads, done.stdout.splitlines()) if each["event"] in ("deployed", "failed")]
        assert {each["name"]: each["event"] for each in ends} == {"churn": "deployed", "fraud": "failed", "price": "deployed"}
    elif form == "name":
        assert sorted(done.stdout.split()) == ["churn", "price"]
    else:
        assert rows(done.stdout)["fraud"][1:] == ["failed", "model-not-found"]
    saved(workspace / "nowhere", "found again")
    assert deploy("apply", "-f", "fleet.yaml", target=False).exit_code == 0


@pytest.mark.usefixtures("fleet")
def test_failures_of_several_kinds_have_an_exit_code_of_their_own(deploy: Run, cloud: Cloud, workspace: Path) -> None:
    written(workspace / "fleet.yaml", NAMES, fraud="nowhere")
    cloud.faults["put claim"] = QuotaExceeded("no more endpoints")
    assert deploy("apply", "-f", "fleet.yaml", target=False).exit_code == SomeFailed.exit_code == 11


@pytest.mark.usefixtures("fleet")
def test_where_asked_to_none_is_begun_after_a_failure(deploy: Run, cloud: Cloud, workspace: Path) -> None:
    written(workspace / "fleet.yaml", NAMES, churn="nowhere")
    done = deploy("apply", "-f", "fleet.yaml", "--fail-fast", "--concurrency", "1", "-o", "json", target=False)
    assert (done.exit_code, deployed(cloud)) == (3, {})
    assert [each.get("begun") for each in json.loads(done.stdout)] == [None, False, False]
    assert "Of 3 deployments: 1 failed, 2 not begun." in done.stderr


@pytest.mark.usefixtures("fleet")
def test_the_targets_of_one_follow_each_other_as_long_as_all_goes_well(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    targets = "targets: {'memory:/there': {}, 'memory:/here': {}}"
    (workspace / "fleet.yaml").write_text(f"- {{model: churn, {targets}}}\n- {{model: fraud, targets: {{'memory:/here': }}}}\n")
    CLOUDS["there"] = Cloud(faults={"put claim": QuotaExceeded("no more endpoints")})
    done = deploy("apply", "-f", "fleet.yaml", target=False)
    assert (done.exit_code, list(deployed(cloud))) == (6, ["fraud"])
    assert [line.split()[1:4] for line in done.stdout.splitlines()[1:-1]] == [
        ["memory:/there", "failed", "quota-exceeded"],
        ["memory:/here", "not", "begun"],
        ["memory:/here", "created", deployed(cloud)["fraud"].serving],
    ]
    assert "churn on memory:/there |" in done.stderr


@pytest.mark.usefixtures("fleet")
def test_what_is_wrong_in_any_of_them_is_told_before_anything_is_done(deploy: Run, cloud: Cloud, workspace: Path) -> None:
    wrong = {
        "no name": "{model: churn, targets: {'memory:/here': }}\n---\n{name: 'a b', model: fraud, targets: {'memory:/here': }}",
        "no option": "{model: churn, targets: {'memory:/here': }}\n---\n{model: fraud, targets: {'memory:/here': {instance_typ: large}}}",
        "no target": "{model: churn, targets: {'memory:/here': }}\n---\n{model: fraud}",
        "twice": "{model: churn, targets: {'memory:/here': }}\n---\n{name: churn, model: fraud, targets: {'memory:/here': }}",
    }
    for what, text in wrong.items():
        (workspace / "wrong.yaml").write_text(text)
        for verb in ("apply", "plan"):
            done = deploy(verb, "-f", "wrong.yaml", target=False)
            assert (done.exit_code, deployed(cloud)) == (2, {}), what
    assert "said twice: churn on memory:/here" in done.stderr
    assert "-m names one model" in deploy("apply", "-f", "fleet.yaml", "-m", "churn", target=False).stderr


@pytest.mark.usefixtures("fleet")
def test_a_name_picks_one_of_several_for_every_verb(deploy: Run, cloud: Cloud) -> None:
    for verb in ("plan", "diff", "apply", "get", "history", "logs"):
        done = deploy(verb, "fraud", "-f", "fleet.yaml", target=False)
        assert done.exit_code == 0, done.output
    assert list(deployed(cloud)) == ["fraud"]
    assert "there are churn, fraud, price" in deploy("apply", "nobody", "-f", "fleet.yaml", target=False).stderr
    unsaid = deploy("get", "-f", "fleet.yaml", target=False)
    assert (unsaid.exit_code, "-n picks one of churn, fraud, price;" in unsaid.stderr) == (2, True)
    assert deploy("list", "-f", "fleet.yaml", "-o", "name", target=False).stdout == "fraud\n"
    assert deploy("delete", "fraud", "price", "-f", "fleet.yaml", target=False).exit_code == 0
    assert not deployed(cloud)


@pytest.mark.usefixtures("fleet")
def test_plans_of_several_are_those_of_each(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "churn", "-m", "churn")
    one_by_one = [deploy("plan", name, "-f", "fleet.yaml", target=False).stdout for name in NAMES]
    assert deploy("plan", "-f", "fleet.yaml", target=False).stdout == "".join(one_by_one)
    assert deploy("apply", "-f", "fleet.yaml", "--dry-run", target=False).stdout == "".join(one_by_one)
    assert deploy("diff", "-f", "fleet.yaml", "--exit-code", target=False).exit_code == 8
    found = json.loads(deploy("plan", "-f", "fleet.yaml", "-o", "json", target=False).stdout)
    assert [(each["name"], each["changes"]) for each in found] == [("churn", False), ("fraud", True), ("price", True)]
    saved(workspace / "lacking", requirements="scikit-learn==0.1\n")
    written(workspace / "fleet.yaml", NAMES, fraud="lacking", price="nowhere")
    refused = deploy("plan", "-f", "fleet.yaml", "-o", "json", target=False)
    assert [each.get("error", {}).get("code") for each in json.loads(refused.stdout)] == [None, "environment-misfit", "model-not-found"]
    assert (refused.exit_code, list(deployed(cloud))) == (11, ["churn"])
    assert deploy("apply", "-f", "fleet.yaml", target=False).exit_code == 11


@pytest.mark.usefixtures("fleet")
def test_a_directory_and_several_files_are_all_that_is_in_them(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    place = workspace / "fleet"
    place.mkdir()
    for name in NAMES[:2]:
        (place / f"{name}.yaml").write_text(f"model: ../{name}\ntargets:\n  memory:/here:\n")
    (place / "notes.txt").write_text("none of ours")
    assert deploy("apply", "-f", "fleet", target=False).exit_code == 0
    assert list(deployed(cloud)) == ["churn", "fraud"]
    (workspace / "one.json").write_text('{"model": "price", "targets": {"memory:/here": {}}}')
    done = deploy("delete", "-f", "fleet", "-f", "one.json", target=False)
    assert {name: row[1:] for name, row in rows(done.stdout).items()} == {"churn": ["deleted"], "fraud": ["deleted"], "price": ["not", "there"]}


def test_python_has_the_same(fleet: Path, cloud: Cloud) -> None:
    heard: list[tuple[str, str, Event]] = []
    done = deployer.apply_all(fleet, concurrency=2, on_event=lambda *event: heard.append(event))
    assert [each.name for each in done] == list(NAMES)
    assert {(name, target) for name, target, event in heard if isinstance(event, StepFinished)} == {(name, "memory:/here") for name in NAMES}
    written(fleet, NAMES, fraud="nowhere")
    with pytest.raises(SomeFailed, match=r"1 of 3 deployments failed\nWhy: fraud on memory:/here: ") as failed:
        deployer.apply_all([fleet], config={"instance_count": 2})
    assert [each.result is not None for each in failed.value.outcomes] == [True, False, True]
    assert cloud.services["price"].count == 2
    with pytest.raises(ConfigInvalid, match="said twice"):
        deployer.apply_all([fleet, fleet])


def test_ctrl_c_ends_a_call_of_python_as_one_and_leaves_nothing_half_made(fleet: Path, cloud: Cloud, ctrl_c: Callable[[], None]) -> None:
    struck = threading.Event()

    def strike(name: str, target: str, event: Event) -> None:
        if name == "churn" and not struck.is_set():
            struck.set()
            ctrl_c()
            time.sleep(0.3)  # by now it was told

    with pytest.raises(Interrupted, match=r"churn on memory:/here: interrupted.*not begun: fraud on memory:/here, price on memory:/here"):
        deployer.apply_all(fleet, concurrency=1, on_event=strike)
    assert not deployed(cloud)
    assert len(deployer.apply_all(fleet)) == len(NAMES)


def test_help_says_how_many_go_on_at_a_time_without_loading_what_does_it() -> None:
    assert choices.CONCURRENCY == many.CONCURRENCY
