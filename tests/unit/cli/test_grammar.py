"""One grammar for every verb: names, files, targets, formats; and what is said to who speaks another tool's."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from deployer.cli.groups import HelpfulGroup
from deployer.cli.predict import rows_of
from deployer.cli.program import COMMANDS, MEANINGS, program
from docs.examples.memory_cloud import CLOUDS, Cloud
from tests.unit.cli.conftest import Run, deployed, saved

NAMED = ("create", "update", "apply", "delete", "prune", "get", "plan", "diff", "logs", "predict", "explain")
FILE = "name: prod\nmodel: churn\ntargets:\n  memory:/here: {}\n"


def _arguments(verb: str) -> tuple[str, ...]:
    """What makes the verb do something small."""
    return {"create": ("-m", "churn"), "apply": ("-m", "churn"), "predict": ("-d", '{"inputs": [1]}')}.get(verb, ())


@pytest.mark.parametrize("verb", NAMED)
@pytest.mark.usefixtures("churn")
def test_a_name_stands_alone_or_behind_a_flag_or_in_the_file(deploy: Run, workspace: Path, verb: str) -> None:
    (workspace / "prod.yaml").write_text(FILE)
    deploy("create", "prod", "-m", "churn")
    if verb == "explain":
        assert all("memory can't explain" in deploy(verb, *how).stderr for how in (("prod",), ("-n", "prod"), ("-f", "prod.yaml")))
        return
    answers = []
    for how, target in ((("prod",), True), (("-n", "prod"), True), (("prod", "-n", "prod"), True), (("-f", "prod.yaml"), False)):
        result = deploy(verb, *how, *_arguments(verb), target=target)
        assert result.exit_code == 0, result.output
        answers.append(result.stdout)
        if verb == "delete":
            deploy("create", "prod", "-m", "churn")
    assert len(set(answers)) == 1
    from_standard_input = deploy(verb, "-f", "-", *_arguments(verb), target=False, stdin=FILE)
    assert from_standard_input.stdout == answers[0]


@pytest.mark.parametrize("verb", NAMED)
def test_two_names_that_differ_are_an_error(deploy: Run, churn: Path, verb: str) -> None:
    result = deploy(verb, "prod", "-n", "test", *_arguments(verb))
    assert result.exit_code == 2
    assert "two names are given: prod, and -n test" in result.stderr


@pytest.mark.parametrize("verb", NAMED)
def test_no_name_at_all_is_told_in_the_same_words(deploy: Run, verb: str) -> None:
    if verb in ("create", "apply"):
        return
    result = deploy(verb, *_arguments(verb))
    assert result.exit_code == 2
    assert "which deployment is not said" in result.stderr


@pytest.mark.parametrize("given", ["./churn", "models:/churn/3", "s3://bucket/churn", "."])
def test_a_model_where_a_name_belongs_is_told_its_flag(deploy: Run, given: str) -> None:
    result = deploy("create", given)
    assert result.exit_code == 2
    assert f"-m {given}" in result.stderr


def test_a_file_without_a_name_names_its_models(deploy: Run, churn: Path, workspace: Path) -> None:
    (workspace / "some.yaml").write_text("model: churn\ntargets:\n  memory:/here: {}\n")
    assert deploy("apply", "-f", "some.yaml", target=False).exit_code == 0
    assert deploy("get", "-f", "some.yaml", "-o", "name", target=False).stdout == "churn\n"
    assert deploy("delete", "-f", "some.yaml", "-q", target=False).stdout == "churn\n"


def test_a_fault_in_standard_input_has_its_line(deploy: Run) -> None:
    result = deploy("apply", "-f", "-", target=False, stdin="model: churn\ntarget: x\n")
    assert result.exit_code == 2
    assert "standard input:2" in result.stderr


def test_standard_input_is_one_thing(deploy: Run, churn: Path) -> None:
    result = deploy("predict", "-f", "-", target=False, stdin=FILE)
    assert result.exit_code == 2
    assert "standard input can't be both" in result.stderr


@pytest.mark.parametrize("arguments", [("churn", "-f"), ("-f", "churn"), ("-f", "-n", "churn"), ("-f", "--tail", "3", "churn")])
def test_logs_with_the_follow_flag_of_other_tools_names_ours(deploy: Run, arguments: tuple[str, ...]) -> None:
    result = deploy("logs", *arguments)
    assert result.exit_code == 2
    assert "-F (--follow)" in result.stderr


def test_the_local_clouds_log_follows_by_the_same_flag(deploy: Run) -> None:
    result = deploy("localstack", "logs", "-f", target=False)
    assert result.exit_code == 2
    assert "-F (--follow)" in result.stderr


MEANT = {
    "ls": "list",
    "ps": "get",
    "status": "get",
    "describe": "get",
    "show": "get",
    "rm": "delete",
    "remove": "delete",
    "destroy": "delete",
    "undeploy": "delete",
    "up": "create",
    "deploy": "create",
    "rollout": "update",
    "build": "build-and-push-container",
    "push": "build-and-push-container",
    "invoke": "predict",
    "serve": "models serve",
    "lst": "list",
    "delte": "delete",
    "LS": "list",
}


@pytest.mark.parametrize(("word", "command"), MEANT.items())
def test_an_unknown_verb_is_understood_by_meaning_and_by_spelling(deploy: Run, word: str, command: str) -> None:
    result = deploy(word, "churn")
    assert result.exit_code == 2
    assert f"{word} is not a command; did you mean " in result.stderr
    assert command in result.stderr.partition("did you mean ")[2].partition("?")[0].split(" or ")


def test_verbs_of_groups_are_understood_alike(deploy: Run) -> None:
    assert "did you mean up?" in deploy("localstack", "start", target=False).stderr
    assert "did you mean check?" in deploy("models", "validate", target=False).stderr
    assert "did you mean schema?" in deploy("config", "shcema", target=False).stderr


def test_every_meaning_is_a_command_that_is_there_and_no_command_is_hidden_by_one() -> None:
    groups = [program, *(group for name in COMMANDS if isinstance(group := program.get_command(click.Context(program), name), HelpfulGroup))]
    assert len(groups) == 5
    for group in groups:
        context = click.Context(group)
        assert not set(group.list_commands(context)) & set(group.meanings)
        for meant in {each for commands in group.meanings.values() for each in commands if not each.startswith("-")}:
            first, *rest = meant.split()
            found = group.get_command(context, first)
            assert found is not None, meant
            if rest and isinstance(found, click.Group):
                assert rest[0] in found.list_commands(context)
    assert all(word == word.lower() for word in MEANINGS)


def test_nothing_at_all_gets_an_overview(deploy: Run) -> None:
    result = deploy(target=False)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) < 20
    assert "deploy --help" in result.stdout
    commands = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("  deploy ")]
    assert set(commands) <= set(COMMANDS)
    for group in ("models", "localstack", "config"):
        bare = deploy(group, target=False)
        assert (bare.exit_code, bare.stderr) == (0, "")
        assert bare.stdout == deploy(group, "--help", target=False).stdout


def test_flags_mean_one_thing_everywhere() -> None:
    """-t is the target, -o the format, -f the file, -n the name, -m the model; but for MLflow's own commands and a directory's, which say so."""
    meant = {"-t": "target", "-o": "output", "-f": "files", "-n": "name", "-m": "uri", "-F": "follow", "-C": "pairs"}
    other = []
    for path, command in _commands(program):
        for parameter in command.params:
            other += [f"{path} {flag}" for flag in parameter.opts if flag in meant and meant[flag] != parameter.name]
    assert sorted(other) == ["export -o", "models predict -o", "models predict -t", "models serve -t"]
    for name in ("predict", "serve"):
        models = program.get_command(click.Context(program), "models")
        assert isinstance(models, click.Group)
        command = models.get_command(click.Context(models), name)
        assert command is not None
        assert "MLflow's" in (command.help or "")
    exporting = program.get_command(click.Context(program), "export")
    assert exporting is not None
    assert "-o is a directory here" in (exporting.help or "")


def _commands(group: click.Group, path: str = "") -> list[tuple[str, click.Command]]:
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found += _commands(command, f"{path}{name} ") if isinstance(command, click.Group) else [(f"{path}{name}", command)]
    return found


def test_the_answer_is_printed_in_the_form_asked_for(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    rows = '{"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}'
    assert deploy("predict", "churn", "-d", rows).stdout == '{"predictions": [2, 4]}\n'
    assert json.loads(deploy("predict", "churn", "-d", rows, "-o", "json").stdout) == {"predictions": [2, 4]}
    assert deploy("predict", "churn", "-d", rows, "-o", "yaml").stdout == "predictions:\n- 2\n- 4\n"
    assert deploy("predict", "churn", "-d", rows, "-o", "jsonl").stdout == "2\n4\n"
    assert deploy("predict", "churn", "-d", rows, "-o", "table").stdout == "prediction\n2\n4\n"
    assert deploy("predict", "churn", "-d", "a\n1\n", "--content-type", "csv", "-o", "json").exit_code == 2
    assert deploy("predict", "churn", "-d", rows, "-o", "json", "--stream").exit_code == 2
    failed = deploy("predict", "nothing", "-d", rows, "-o", "json")
    assert json.loads(failed.stdout)["error"]["code"] == "deployment-not-found"


def test_records_and_columns_are_tables() -> None:
    assert rows_of([{"label": "a", "score": 0.5}, {"label": "b"}]) == [["label", "score"], ["a", "0.5"], ["b", ""]]
    assert rows_of({"label": ["a", "b"], "score": [0.5, None]}) == [["label", "score"], ["a", "0.5"], ["b", ""]]
    assert rows_of([[1, 2], [3, 4]]) == [["prediction"], ["[1, 2]"], ["[3, 4]"]]
    assert rows_of("yes") == [["prediction"], ["yes"]]


def test_what_is_sent_is_said_but_not_to_who_wants_quiet(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    said = deploy("predict", "churn", "-d", '[{"x": 1}, {"x": 2}]')
    assert said.stderr == "Sends JSON: 2 records, sent as dataframe_records.\n"
    assert json.loads(cloud.sent[-1].body) == {"dataframe_records": [{"x": 1}, {"x": 2}]}
    assert deploy("predict", "churn", "-d", '[{"x": 1}]', "-q").stderr == ""
    deploy("predict", "churn", "-d", '[{"x": 1}]', "--as-is")
    assert cloud.sent[-1].body == b'[{"x": 1}]'


def test_a_target_of_its_own_wins_over_the_files(deploy: Run, churn: Path, workspace: Path) -> None:
    saved(workspace / "other")
    (workspace / "two.yaml").write_text("name: prod\nmodel: churn\ntargets:\n  memory:/here: {}\n  memory:/there: {}\n")
    assert deploy("apply", "-f", "two.yaml", target=False).exit_code == 0
    assert deploy("get", "-f", "two.yaml", target=False).exit_code == 2
    assert deploy("delete", "-f", "two.yaml", "-t", "memory:/there").exit_code == 0
    assert "prod" in deployed(CLOUDS["here"])
