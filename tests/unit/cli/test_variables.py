"""--env KEY=VALUE is the option `env` on every verb that deploys or runs a model; --packages says where its packages come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.cli import options
from deployer.core import compatibility as fit
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import Run, environment

DEPLOYS = ("create", "update", "apply", "plan", "diff", "run-local")


@pytest.mark.parametrize("verb", DEPLOYS)
def test_every_verb_that_deploys_or_runs_a_model_takes_both(deploy: Run, verb: str) -> None:
    said = deploy(verb, "--help", target=False).stdout
    assert "--env KEY=VALUE" in said
    assert "--packages [auto|untrimmed|compatible|exact|image|at-start]" in said


def test_where_packages_come_from_is_what_the_check_knows() -> None:
    assert options.PACKAGES == fit.MODES


@pytest.mark.parametrize("verb", ["create", "apply"])
def test_variables_reach_the_container_as_they_are_written(deploy: Run, churn: Path, cloud: Cloud, verb: str) -> None:
    result = deploy(
        verb, "-m", "churn", "--env", "LEVEL=debug", "--env", "OPTS=-a b=c,d", "--env", "EMPTY=", "--env", "NUMBER=1", "--env", "LEVEL=info"
    )
    assert result.exit_code == 0, result.output
    assert environment(cloud, "churn") == {"LEVEL": "info", "OPTS": "-a b=c,d", "EMPTY": "", "NUMBER": "1"}


def test_it_is_the_option_env_and_wins_over_what_is_farther(deploy: Run, churn: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("churn.yaml").write_text("model: churn\ntargets:\n  memory:/here:\n    env: {A: file}\n")
    monkeypatch.setenv("DEPLOYER_ENV", '{"A": "variable"}')
    for arguments, expected in ((("-f", "churn.yaml"), {"A": "variable"}), (("-f", "churn.yaml", "--env", "B=line"), {"B": "line"})):
        assert deploy("create", *arguments).exit_code == 0
        assert environment(cloud, "churn") == expected
        assert deploy("delete", "churn").exit_code == 0


def test_said_twice_over_one_of_them_would_be_lost(deploy: Run, churn: Path) -> None:
    result = deploy("create", "-m", "churn", "--env", "A=c4n4ry", "-C", 'env={"B": "c4n4ry"}')
    assert result.exit_code == 2
    assert "said twice, by --env and by -C env" in result.stderr
    assert "c4n4ry" not in result.output + result.stderr


@pytest.mark.parametrize("verb", DEPLOYS)
@pytest.mark.parametrize("wrong", ["c4n4ry", "=c4n4ry", "at-start"])
def test_what_is_no_variable_is_refused_before_anything_is_done(deploy: Run, churn: Path, verb: str, wrong: str) -> None:
    result = deploy(verb, "-m", "churn", "--env", wrong)
    assert result.exit_code == 2
    assert "--env takes KEY=VALUE" in result.stderr
    assert "c4n4ry" not in result.output + result.stderr


@pytest.mark.parametrize("form", ["table", "json", "yaml", "jsonl"])
@pytest.mark.parametrize("verb", ["create", "plan"])
def test_values_are_never_printed(deploy: Run, churn: Path, verb: str, form: str) -> None:
    result = deploy(verb, "-m", "churn", "--env", "TOKEN=c4n4ry", "-o", form, "--debug")
    assert result.exit_code == 0
    assert "c4n4ry" not in result.output + result.stderr
