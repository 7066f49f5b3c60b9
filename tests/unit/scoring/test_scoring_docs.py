"""docs/scoring.md names all that the server has: settings, metrics, paths."""

from __future__ import annotations

import re
from pathlib import Path

from deployer_scoring.server.protocols.openapi import document
from deployer_scoring.server.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "scoring.md").read_text()


def test_every_setting_is_documented() -> None:
    source = (ROOT / "images/deployer_scoring/server/settings.py").read_text()
    variables = set(re.findall(r'"(DEPLOYER_\w+|SAGEMAKER_MULTI_MODEL|MLFLOW_\w+)"', source))
    assert len(variables) > 10
    assert [name for name in sorted(variables) if f"`{name}`" not in DOCS and f"`{name}=" not in DOCS] == []


def test_every_metric_is_documented() -> None:
    names = re.findall(r"^# TYPE (\S+)", Metrics().text().decode(), re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in DOCS] == []


def test_every_path_is_documented() -> None:
    paths = [*document(None)["paths"], *document(None, multi_model=True)["paths"]]
    assert [path for path in paths if path.replace("{name}", "NAME") not in DOCS] == []
