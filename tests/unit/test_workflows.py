"""The workflows, the action and the template hold to the schemas of those who run them, and to what this project says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[2]
WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))
ACTION = yaml.safe_load((TOP / "action.yml").read_text())


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("github-actions", [TOP / "action.yml"]), ("gitlab-ci", sorted((TOP / "ci" / "gitlab").glob("*.yml")))],
)
def test_it_holds_to_its_schema(schema: str, files: list[Path]) -> None:
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_inputs_reach_scripts_as_variables_alone() -> None:
    """An expression inside a script is a way to run the text of a pull request."""
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    scripts += [
        step["run"] for file in WORKFLOWS for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_the_page_names_every_input_and_output_of_the_action() -> None:
    page = (TOP / "docs" / "ci.md").read_text()
    assert not [name for name in (*ACTION["inputs"], *ACTION["outputs"]) if f"`{name}`" not in page]


def test_only_the_steps_that_need_them_get_identity_tokens() -> None:
    release = yaml.safe_load((TOP / ".github" / "workflows" / "release.yml").read_text())
    assert [name for name, job in release["jobs"].items() if "id-token" in job.get("permissions", {})] == ["attest", "publish"]
    assert release["permissions"] == {"contents": "read"}


def test_links_of_the_readme_work_on_an_index_page() -> None:
    """An index shows the README without the repository beside it: links into it are made absolute when the wheel is built."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    [hook] = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    text = re.sub(hook["pattern"], hook["replacement"], (TOP / "README.md").read_text())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert not [link for link in links if not link.startswith("https://")]


def test_an_older_python_has_nothing_to_try() -> None:
    """pip resolves what a distribution requires before it holds `requires-python` against it: minutes, where the index has many versions."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    marker = f"python_version{project['requires-python']}".replace(">=", ">='") + "'"
    assert not [line for line in required if marker not in line.partition("; ")[2].split(" and ")]
