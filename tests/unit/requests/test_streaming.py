"""A run's events as a generator."""

from __future__ import annotations

import pytest

from deployer.events import Event, Noticed, Report
from deployer.requests.streaming import streamed


def test_closing_early_interrupts_the_run_at_its_next_event_and_waits_for_its_end() -> None:
    ended: list[str] = []

    def run(report: Report) -> None:
        try:
            while True:
                report(Noticed(message="on and on"))
        except KeyboardInterrupt:
            report(Noticed(message="going back"))
            ended.append("gone back")
            raise

    stream = streamed(run, lambda _: None)
    next(stream)
    stream.close()
    assert ended == ["gone back"]


def test_what_the_run_raises_is_raised_after_its_events() -> None:
    heard: list[Event] = []

    def run(report: Report) -> None:
        report(Noticed(message="first"))
        raise ValueError("no")

    stream = streamed(run, heard.append)
    assert next(stream) == heard[0]
    with pytest.raises(ValueError, match="no"):
        next(stream)
