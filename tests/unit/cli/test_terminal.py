"""What a terminal gets: lines that fit it, and nothing but text where that is asked for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from deployer.words import rfc3339, table
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import Run

ROWS = [
    ("NAME", "STATUS", "MODEL", "GENERATION", "INSTANCES", "AGE"),
    ("churn-in-the-north", "ready", "models:/churn-in-the-north/3", "3f2a91c07e", "12 ml.m5.large", "3 d"),
    ("fraud", "failed", "s3://…/fraud", "8b11d2e4f0", "1 ml.m5.large", "2 m", "rollout-failed: no module named 'lightgbm'"),
]


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40])
def test_a_table_fits_its_width_and_keeps_whole_what_it_shows(width: int) -> None:
    lines = table(ROWS, width=width, hide=("GENERATION", "INSTANCES", "AGE", "MODEL")).splitlines()
    assert len(lines) == len(ROWS)
    assert max(map(len, lines)) <= width
    words = {cell for row in ROWS for cell in row}
    shown = [cell.strip() for line in lines for cell in line.split("   ") if cell.strip()]
    assert all(cell in words or cell.endswith("…") for cell in shown)
    assert lines[0].split()[:2] == ["NAME", "STATUS"]


def test_a_table_without_a_width_has_everything() -> None:
    assert table(ROWS, hide=("MODEL",)) == table(ROWS)
    assert all(cell in table(ROWS) for row in ROWS for cell in row)


def test_columns_are_hidden_before_anything_is_cut() -> None:
    narrow = table(ROWS[:2], width=60, hide=("GENERATION", "INSTANCES", "AGE", "MODEL"))
    assert "…" not in narrow
    assert "GENERATION" not in narrow


def _ageless(listing: str) -> str:
    return re.sub(r" +\d+ s +", " AGE ", listing)


def test_list_fits_and_wide_shows_all(deploy: Run, churn: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("create", "churn-in-the-north", "-m", "churn", "-C", "instance_type=extra-extra-large")
    name = "churn-in-the-north"
    cloud.services[name] = replace(cloud.services[name], down=True, reason="no module named 'lightgbm', which is a long story")
    everything = deploy("list").stdout
    monkeypatch.setenv("COLUMNS", "60")
    narrow = deploy("list").stdout
    assert max(map(len, narrow.splitlines())) <= 60
    assert name in narrow and "failed" in narrow
    assert _ageless(deploy("list", "-o", "wide").stdout) == _ageless(everything)
    assert max(map(len, deploy("get", name).stdout.partition("Options")[2].splitlines())) <= 60
    assert max(map(len, deploy("get", name, "--explain-config").stdout.splitlines())) <= 60


@pytest.mark.parametrize(
    ("variables", "plain"),
    [({}, False), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, True), ({"CLICOLOR": "0"}, True), ({"NO_COLOR": ""}, False)],
)
def test_no_escape_reaches_a_terminal_that_wants_none(variables: dict[str, str], plain: bool, tmp_path: Path) -> None:
    script = (
        "from deployer.cli.progress import reporting\n"
        "from deployer.cli.session import Session\n"
        "from deployer.events import StepStarted, StepProgressed, StepFinished, Noticed\n"
        "with reporting(Session(), 'here') as report:\n"
        "    report(StepStarted(step='a', label='upload'))\n"
        "    report(StepProgressed(step='a', label='upload', done=1, total=2, unit='bytes'))\n"
        "    report(Noticed(level='warning', message='a warning'))\n"
        "    report(StepFinished(step='a', label='upload', seconds=1))\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CLICOLOR", "FORCE_COLOR")}
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stderr=theirs, stdout=theirs, env={**kept, "TERM": "xterm-256color", **variables})
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end is closed
        pass
    assert process.wait(30) == 0
    os.close(ours)
    assert b"upload" in said
    assert (b"\x1b" not in said) == plain


def test_times_have_one_form() -> None:
    wanted = "2026-11-21T10:00:00Z"
    assert rfc3339(datetime(2026, 11, 21, 10, tzinfo=UTC)) == wanted
    assert rfc3339(datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))) == wanted
    assert rfc3339(datetime(2026, 11, 21, 10)) == wanted  # noqa: DTZ001 - as a cloud may give it
