"""MLflow finds every target of ours."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path


def test_each_target_has_its_door() -> None:
    groups = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["entry-points"]
    doors = groups["mlflow.deployments"]
    assert doors.keys() == {f"deployer-{target}" for target in groups["deployer.targets"]}
    assert all(find_spec(module) for module in doors.values())
