"""predict, logs, models check and config schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from deployer.core.target import LogLine
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import Run


def test_predict_sends_a_file_as_what_its_ending_says(deploy: Run, churn: Path, workspace: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    (workspace / "rows.csv").write_text("x\n1\n")
    (workspace / "rows.json").write_text('{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
    assert deploy("predict", "-n", "churn", "-i", "rows.csv").stdout == "x\n1\n"
    assert deploy("predict", "-n", "churn", "-i", "rows.json").stdout == '{"predictions": [2]}\n'
    assert deploy("predict", "-n", "churn", "-i", "rows.json", "--content-type", "text/plain", "--accept", "text/csv").exit_code == 0
    assert [(each.content_type, each.accept) for each in cloud.sent] == [
        ("text/csv", "application/json"),
        ("application/json", "application/json"),
        ("text/plain", "text/csv"),
    ]


def test_predict_takes_standard_input_data_and_writes_a_file(deploy: Run, churn: Path, workspace: Path) -> None:
    deploy("create", "-m", "churn")
    assert json.loads(deploy("predict", "-n", "churn", stdin='{"inputs": [1]}').stdout) == {"predictions": {"inputs": [1]}}
    assert json.loads(deploy("predict", "-n", "churn", "-d", '{"inputs": [2]}').stdout) == {"predictions": {"inputs": [2]}}
    assert deploy("predict", "-n", "churn", "-d", '{"a": 1}', "-O", "answer.json").stdout == ""
    assert json.loads((workspace / "answer.json").read_text()) == {"predictions": {"dataframe_records": [{"a": 1}]}}
    assert deploy("predict", "-n", "churn", "-d", "{}", "-i", "x.json").exit_code == 2
    assert deploy("predict", "-n", "churn", "-i", "nowhere.json").exit_code == 10


def test_predict_streams_what_the_model_makes(deploy: Run, churn: Path) -> None:
    deploy("create", "-m", "churn")
    assert deploy("predict", "-n", "churn", "-d", "{}", "--stream").stdout == "one\ntwo\n"


def test_logs_are_the_containers_lines(deploy: Run, churn: Path, cloud: Cloud) -> None:
    deploy("create", "-m", "churn")
    when = datetime(2026, 11, 21, 10, tzinfo=UTC)
    cloud.lines[:] = [LogLine("loading the model", "AllTraffic/i-1", when), LogLine("listening", "AllTraffic/i-1", when)]
    assert deploy("logs", "-n", "churn").stdout == "loading the model\nlistening\n"
    assert deploy("logs", "-n", "churn", "--tail", "1").stdout == "listening\n"
    assert deploy("logs", "-n", "churn", "--timestamps", "--tail", "1").stdout == "2026-11-21T10:00:00Z AllTraffic/i-1 listening\n"
    line = json.loads(deploy("logs", "-n", "churn", "--tail", "1", "-o", "jsonl").stdout)
    assert line == {"time": "2026-11-21T10:00:00Z", "source": "AllTraffic/i-1", "text": "listening"}
    assert deploy("logs", "-n", "nothing").exit_code == 3


def test_models_check_shows_what_is_known_of_a_model(deploy: Run, churn: Path) -> None:
    result = deploy("models", "check", "churn", target=False)
    assert result.exit_code == 0
    assert "Framework   sklearn 1.9.1" in result.stdout
    assert "Requires    mlflow==3.17.2, scikit-learn==1.9.1" in result.stdout
    assert json.loads(deploy("models", "check", "churn", "-o", "json", target=False).stdout)["size"] == 466
    assert deploy("models", "check", "nowhere", target=False).exit_code == 3


def test_config_schema_covers_every_installed_target(deploy: Run) -> None:
    result = deploy("config", "schema", target=False)
    document = json.loads(result.stdout)
    assert {"memory", "local"} <= set(document["$defs"])
    assert "without lacking" in result.stderr
