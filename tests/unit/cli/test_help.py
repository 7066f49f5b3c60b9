"""The program itself: help that imports nothing, commands that are what the table says, versions, completion."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from deployer.cli.program import COMMANDS, program
from deployer.version import __version__
from tests.unit.cli.conftest import Run

HEAVY = ("pydantic", "rich", "yaml", "httpx", "boto3", "numpy", "pandas", "importlib.metadata", "packaging", "tenacity", "mlflow", "docker", "moto")


def test_help_imports_click_and_nothing_heavier() -> None:
    script = (
        "import contextlib, io, json, sys\n"
        "from deployer.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert 'build-and-push-container' in out.getvalue()\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=_without_completion())
    loaded = set(json.loads(done.stdout))
    assert not loaded & set(HEAVY)
    assert {name for name in loaded if name.startswith("deployer.")} == {
        "deployer.cli",
        "deployer.cli.groups",
        "deployer.cli.program",
        "deployer.cli.session",
        "deployer.lazy",
        "deployer.version",
    }


@pytest.mark.parametrize("words", [("get", "-t", "local", "-n"), ("update", "-t", "local"), ("create", "-m"), ("logs",), ("plan", "-f", "x.yaml")])
def test_completing_imports_no_library_that_only_commands_need(words: tuple[str, ...]) -> None:
    script = (
        "import contextlib, io, json, sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from deployer.cli.program import program\n"
        "ShellComplete(program, {}, 'deploy', '_DEPLOY_COMPLETE').get_completions(sys.argv[1:], '')\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True, text=True, env=_without_completion())
    assert not set(json.loads(done.stdout)) & ({*HEAVY} - {"yaml"} | {"deployer.client"})


def test_importing_the_package_costs_nothing() -> None:
    script = "import json, sys; import deployer; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    assert not set(loaded) & {*HEAVY, "click"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_under_its_name_with_help_of_its_own(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    assert COMMANDS[name][1].endswith(".")


@pytest.mark.parametrize("path", ["create", "update", "apply"])
def test_help_of_a_command_lists_its_options(deploy: Run, path: str) -> None:
    result = deploy(*path.split(), "--help", target=False)
    assert result.exit_code == 0
    for option in (
        "--target",
        "--model-uri",
        "--config",
        "--dry-run",
        "--timeout",
        "--no-wait",
        "--env",
        "--adopt",
        "--allow-schema-change",
        "--debug",
    ):
        assert option in result.stdout


def test_every_option_of_every_command_says_what_it_is() -> None:
    silent = [
        f"{' '.join(path)} {parameter.opts[0]}"
        for path, command in _all_commands(program, ())
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert not silent


def test_every_command_takes_debug() -> None:
    plain = {("completion",)}
    assert not [
        path
        for path, command in _all_commands(program, ())
        if path not in plain and not any("--debug" in parameter.opts for parameter in command.params)
    ]


def test_the_version_names_the_tool_python_and_the_sdks(deploy: Run) -> None:
    text = deploy("--version", target=False).stdout
    assert text.startswith(f"deployer {__version__}, Python {sys.version.split()[0]}")
    assert "boto3 " in text


def test_a_targets_options_are_printed_from_its_class(deploy: Run) -> None:
    result = deploy("help", "-t", "memory", target=False)
    assert "  instance_type (text, default small, makes a new generation)\n      What it runs on." in result.stdout
    assert "  instance_count (number, default 1, changes in place)" in result.stdout
    assert "  env (mapping, makes a new generation)\n      Environment variables of the container. Values are never printed." in result.stdout
    assert "  timeout_seconds (number, default 1200, this run only)" in result.stdout


def test_help_for_a_command_is_its_help(deploy: Run) -> None:
    assert deploy("help", "create", target=False).stdout.startswith("Usage: deploy create [OPTIONS]")
    assert deploy("help", "localstack", "up", target=False).stdout.startswith("Usage: deploy localstack up [OPTIONS]")
    assert deploy("help", "nothing", target=False).exit_code == 2


def test_targets_shows_verb_by_target_and_what_is_missing(deploy: Run) -> None:
    result = deploy("targets", target=False)
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert "memory" in header.split()
    column = header.split().index("memory") + 1
    support = {cells[0]: cells[column] for cells in (re.split(r"\s{2,}", row) for row in rows)}
    assert support["predict --stream"] == "yes"
    assert support["explain"] == "no"
    assert "lacking: the target lacking needs a_cloud_sdk" in result.stderr
    assert json.loads(deploy("targets", "-o", "json", target=False).stdout)["memory"]["logs"] is True


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(deploy: Run, shell: str) -> None:
    assert "_DEPLOY_COMPLETE" in deploy("completion", shell, target=False).stdout


def test_options_are_completed_from_the_targets_class(deploy: Run) -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(program, {}, "deploy", "_DEPLOY_COMPLETE")
    found = complete.get_completions(["create", "-t", "memory:/here", "-C"], "instance_")
    assert [item.value for item in found] == ["instance_type=", "instance_count="]
    assert "memory" in [item.value for item in complete.get_completions(["create", "-t"], "mem")]


def test_both_names_are_the_same_program() -> None:
    from importlib.metadata import entry_points

    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts") if entry.name in ("deploy", "deployments")}
    assert scripts == {"deploy": "deployer.cli:main", "deployments": "deployer.cli:main"}


def _all_commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _all_commands(command, (*path, name))
        else:
            yield (*path, name), command


def _without_completion() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith("_COMPLETE")}
