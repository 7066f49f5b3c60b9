"""What a history says, of which runs, and how long each served."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployer.core.history import FORMAT, MOST, HistoryEntry, begun, chapters, ended, read, rests, written
from deployer.core.state import DeploymentName, Observed, Provenance, Share, Status
from deployer.errors import MachineFault

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def entry(run: str, generation: str, began: str, at: str = "", outcome: str = "done") -> HistoryEntry:
    who = Provenance("ada", "https://ci/7", "c" * 40, f"2026-11-27T{began}:00Z", "1.0")
    made = HistoryEntry(run, "update", generation, f"models:/churn/{run}", "churn", run, f"run-{run}", who)
    return replace(made, ended=f"2026-11-27T{at}:00Z", outcome=outcome) if at else made


def there(*traffic: tuple[str, int], incoming: str | None = None) -> Observed:
    return Observed(DeploymentName("churn"), Status.READY, tuple(Share(*each) for each in traffic), incoming)


def test_what_is_written_comes_back() -> None:
    text = begun("", entry("1", "g1", "10:00"), None)
    assert read(text) == (entry("1", "g1", "10:00"),)
    assert read(text)[0].outcome == "unknown"
    text = ended(begun(text, entry("2", "g2", "10:05"), None), "1", "2026-11-27T10:02:00Z", "done")
    assert [(each.run, each.outcome, each.ended) for each in read(text)] == [("1", "done", "2026-11-27T10:02:00Z"), ("2", "unknown", "")]


def test_the_oldest_of_more_than_fifty_go() -> None:
    text = ""
    for number in range(MOST + 7):
        text = begun(text, entry(str(number), "g", "10:00"), None)
    assert [each.run for each in read(text)] == [str(number) for number in range(7, MOST + 7)]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "entries": [{}]}', '{"format": "x", "entries": []}'])
def test_what_cannot_be_read_is_no_history(text: str) -> None:
    assert read(text) == ()


def test_a_newer_form_is_refused_and_a_newer_field_passed_over() -> None:
    document = json.loads(begun("", entry("1", "g1", "10:00"), None))
    document["entries"][0] |= {"mood": "fine"}
    document["entries"][0]["provenance"] |= {"machine": "here"}
    assert read(json.dumps(document)) == (entry("1", "g1", "10:00"),)
    with pytest.raises(MachineFault, match="newer version"):
        read(json.dumps({**document, "format": FORMAT + 1}))


def test_how_long_each_served() -> None:
    told = chapters(
        (
            entry("1", "g1", "08:00", "08:10"),
            entry("2", "g2", "09:00", "09:10", "rollout-failed"),
            entry("3", "g3", "09:20", "09:30", "paused"),
            entry("4", "g3", "09:40", "10:10"),
            entry("5", "g5", "10:20"),
            entry("6", "g1", "11:00", "11:30"),
        ),
        there(("g1", 100)),
        NOW,
    )
    assert [(each.entry.run, each.served) for each in told] == [("6", 1800.0), ("5", None), ("4", 4800.0), ("3", None), ("2", None), ("1", 7200.0)]


def test_what_somebody_else_put_in_its_place_serves_no_more() -> None:
    (only,) = chapters((entry("1", "g1", "08:00", "08:10"),), there(("theirs", 100)), NOW)
    assert only.served is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (there(("g1", 90), ("g2", 10)), "under-way"),
        (there(("g1", 100), incoming="g2"), "under-way"),
        (there(("g2", 100)), "done"),
        (there(("g1", 100)), "unknown"),
    ],
)
def test_what_became_of_a_run_that_did_not_wait_is_told_by_what_is_there(now: Observed, said: str) -> None:
    sent = written([entry("1", "g1", "08:00", "08:10"), entry("2", "g2", "09:00", "09:10", "under-way")])
    assert chapters(read(sent), now, NOW)[0].entry.outcome == said
    assert read(begun(sent, entry("3", "g3", "09:20"), now))[1].outcome == said


def paused(run: str, generation: str, share: int, outcome: str = "paused") -> HistoryEntry:
    return replace(entry(run, generation, "09:00", "09:10", outcome), share=share)


KILLED = entry("7", "g2", "10:00")


@pytest.mark.parametrize(
    ("entries", "share", "answer"),
    [
        ((KILLED,), 10, True),
        ((paused("1", "g2", 10),), 10, False),
        ((paused("1", "g2", 10), KILLED), 10, False),  # before it went on: the pause at 10 was told
        ((paused("1", "g2", 10), KILLED), 50, True),
        ((paused("1", "g2", 10), KILLED, paused("2", "g2", 50)), 50, False),
        ((paused("1", "g2", 10, "under-way"),), 10, False),
        ((paused("1", "g2", 10), entry("2", "g1", "09:20", "09:25"), KILLED), 10, True),  # another rollout of the same
        ((entry("2", "g2", "09:20", "09:25", "timed-out"),), 10, True),
        ((entry("2", "g1", "09:20", "09:25"),), 10, False),  # nothing is known of it
        ((), 10, False),
    ],
)
def test_a_pause_that_was_never_told_is_still_to_come(entries: tuple[HistoryEntry, ...], share: int, answer: bool) -> None:
    assert rests(entries, "g2", share) is answer
