"""Progress: plain lines that are few, and what a terminal shows."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from deployer.cli.progress import JsonLines, Warnings
from deployer.cli.terminal import live, live_together
from deployer.events import Noticed, Report, RollbackStarted, StepFailed, StepFinished, StepProgressed, StepStarted
from deployer.verbs.progress import LineProgress, signs
from deployer.words import age, duration, shortened, size, table


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def uploading(done: int) -> StepProgressed:
    return StepProgressed(step="upload_model", label="model data", done=done, total=2_100_000_000, unit="bytes")


def test_a_long_transfer_is_a_line_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = LineProgress(stream, "memory:/here", clock)
    lines(StepStarted(step="upload_model", label="model data"))
    for second in range(25):
        clock.now = float(second)
        lines(uploading(second * 80_000_000))
    lines(StepFinished(step="upload_model", label="model data", seconds=26.2))
    assert stream.getvalue().splitlines() == [
        "  … model data        800.0 MB of 2.1 GB",
        "  … model data        1.6 GB of 2.1 GB",
        "  ✓ model data        2.1 GB  26 s",
    ]


class Writes(io.StringIO):
    """Keeps each write by itself: a signal may strike between two."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        self.each.append(text)
        return super().write(text)


@pytest.mark.parametrize("reporter", [JsonLines, Warnings, lambda stream: LineProgress(stream, "memory:/here")])
def test_a_line_is_one_write(reporter: Callable[[io.StringIO], Report]) -> None:
    stream = Writes()
    report = reporter(stream)
    for event in (StepStarted(step="a", label="a"), Noticed(level="warning", message="b"), StepFinished(step="a", label="a", seconds=1)):
        report(event)
    assert stream.each
    assert all(each.endswith("\n") and each.count("\n") == 1 for each in stream.each)


def test_a_wait_is_a_line_for_each_new_word_of_the_cloud() -> None:
    stream = io.StringIO()
    lines = LineProgress(stream, "memory:/here")
    for note in ("Creating", "Creating", "Creating, container loads the model", "Loading"):
        lines(StepProgressed(step="await", label="endpoint", note=note))
    lines(StepFinished(step="await", label="endpoint", seconds=134))
    assert stream.getvalue().splitlines() == [
        "  … endpoint          Creating",
        "  … endpoint          Creating, container loads the model",
        "  … endpoint          Loading",
        "  ✓ endpoint          2 m 14 s",
    ]


def test_the_second_look_after_serving_is_no_news_but_its_failure_is() -> None:
    stream = io.StringIO()
    lines = LineProgress(stream, "memory:/here")
    for _ in range(2):
        lines(StepStarted(step="write_record", label="record"))
        lines(StepFinished(step="write_record", label="record", detail="written"))
    lines(StepFailed(step="write_record", label="record", reason="no permission"))
    assert stream.getvalue().splitlines() == ["  ✓ record            written", "  ✗ record            no permission"]


def test_warnings_and_the_way_back_are_told() -> None:
    stream = io.StringIO()
    lines = LineProgress(stream, "memory:/here")
    lines(Noticed(message="the image has no list of packages", level="warning"))
    lines(RollbackStarted(reason="it can't serve"))
    assert stream.getvalue() == "  ! the image has no list of packages\n  ! going back: it can't serve\n"


def test_words_stand_for_signs_where_the_encoding_has_none() -> None:
    assert signs(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))["done"] == "ok  "
    assert signs(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))["done"] == "✓"


def test_a_terminal_shows_a_bar_with_rate_and_time_left_and_keeps_what_is_done() -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None, get_time=clock, legacy_windows=False, soft_wrap=True)
    with live("memory:/here", console) as report:
        report(StepStarted(step="upload_model", label="model data"))
        clock.now = 10.0
        report(uploading(1_050_000_000))
        drawn = _drawn(console, report)
        report(StepFinished(step="upload_model", label="model data", seconds=20.0))
        report(StepStarted(step="await", label="endpoint [red]"))
        report(StepProgressed(step="await", label="endpoint [red]", note="Creating"))
        clock.now = 51.0
        waiting = _drawn(console, report)
        report(StepFailed(step="await", label="endpoint [red]", reason="exited with code 1", seconds=41))
    assert "1.1 GB of 2.1 GB" in drawn
    assert "105.0 MB/s" in drawn
    assert "10 s left" in drawn
    assert "━" in drawn
    assert "endpoint [red]" in waiting
    assert "Creating 41 s" in re.sub(r" +", " ", waiting)
    lasting = console.file.getvalue()  # type: ignore[attr-defined]
    assert "  ✓ model data        2.1 GB  20 s" in lasting
    assert "  ✗ endpoint [red]    exited with code 1  41 s" in lasting


def test_sizes_times_and_ages_read_well() -> None:
    assert [size(count) for count in (0, 812, 2_100_000, 999_999, 1_000_000_000)] == ["0 B", "812 B", "2.1 MB", "1.0 MB", "1.0 GB"]
    assert [duration(seconds) for seconds in (0.04, 0.4, 41, 134, 3780)] == ["0.0 s", "0.4 s", "41 s", "2 m 14 s", "1 h 3 m"]
    assert age(None) == ""
    assert shortened("s3://bucket/a/long/way/down/to/the/models/fraud") == "s3://…/fraud"
    assert shortened("models:/churn/3") == "models:/churn/3"
    assert table([("A", "B"), ("long", "")]) == "A      B\nlong"


def _drawn(console: Console, report: object) -> str:
    drawing = report.__self__  # type: ignore[attr-defined]
    with console.capture() as captured:
        console.print(drawing)
    return captured.get()


def test_several_runs_are_drawn_together_each_line_with_its_name() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None, legacy_windows=False, soft_wrap=True)
    with live_together(console) as draw:
        churn, fraud = draw("churn |"), draw("fraud |")
        for each in (churn, fraud):
            each.report(StepStarted(step="upload_model", label="model data"))
        with console.capture() as captured:
            console.print(churn)
            fraud.report(StepFinished(step="upload_model", label="model data", detail="2.1 MB"))
            fraud.print("  created 3f2a91c07e")
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert any(re.match(r"churn \| +\S +model data", line) for line in lines)
    assert "fraud |  ✓ model data        2.1 MB" in captured.get()
    assert "fraud |  created 3f2a91c07e" in captured.get()
