"""Who changed a deployment, when, to what, and how it ended: at most fifty entries, kept as one document of the ledger. Pure.

An entry is written as a run begins to change something, and again as it ends. A run that was killed never says how it ended: that isn't known. Of one
that didn't wait for the end, the next look tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile

from deployer.core.state import Observed, Provenance
from deployer.errors import MachineFault

MOST = 50
FORMAT = 1
UNKNOWN = "unknown"
DONE, PAUSED, UNDER_WAY = "done", "paused", "under-way"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One run that changed a deployment, or tried to.

    Attributes:
        run: an id of its own.
        verb: create, update, apply, promote, abort or rollback.
        model: its URI; `version` and `run_id` as the registry has them.
        provenance: who, from which CI job and commit, with which version of this tool; its time is when it began.
        ended: when, RFC 3339; `outcome`: "done", "paused", "under-way" (it didn't wait), or the error's code; "unknown" while it isn't said.
        share: of a rollout that isn't at its end then: what its generation had of the traffic, in percent.
    """

    run: str
    verb: str
    generation: str
    model: str = ""
    registered_name: str = ""
    version: str = ""
    run_id: str = ""
    provenance: Provenance = field(default_factory=Provenance)
    ended: str = ""
    outcome: str = UNKNOWN
    share: int | None = None

    @property
    def end(self) -> datetime | None:
        return datetime.fromisoformat(self.ended) if self.ended else None


@dataclass(frozen=True, slots=True)
class Chapter:
    """An entry, and for how many seconds what it brought has served alone since; None where it didn't come to."""

    entry: HistoryEntry
    served: float | None = None


def read(text: str) -> tuple[HistoryEntry, ...]:
    """The entries of a document, oldest first; none where it can't be read.

    Raises:
        MachineFault: a newer version of this tool wrote it.
    """
    try:
        document = json.loads(text)
        if document["format"] > FORMAT:
            raise MachineFault(
                f"the history has format {document['format']}: a newer version of this tool wrote it, and this one reads up to {FORMAT}",
                advice="pip install --upgrade deployer-ml",
            )
        return tuple(_entry(each) for each in document["entries"])
    except (ValueError, KeyError, TypeError):
        return ()


def written(entries: Iterable[HistoryEntry]) -> str:
    """The document of the newest entries."""
    newest = tuple(entries)[-MOST:]
    return json.dumps({"format": FORMAT, "entries": [asdict(each) for each in newest]}, sort_keys=True, ensure_ascii=False)


def begun(text: str, entry: HistoryEntry, observed: Observed | None) -> str:
    """The document with an entry more, and what became of those before by what is there now."""
    return written((*_settled(read(text), observed), entry))


def ended(text: str, run: str, at: str, outcome: str, share: int | None = None) -> str:
    """The document, saying how a run ended."""
    return written(replace(each, ended=at, outcome=outcome, share=share) if each.run == run else each for each in read(text))


def rests(entries: Iterable[HistoryEntry], generation: str, share: int) -> bool:
    """Whether a run brought this candidate to the share that it has, and ended before it said so: its pause is still to come.

    Where no run of this rollout is written down, nothing is known of it, and it doesn't rest.
    """
    rollout = tuple(takewhile(lambda each: each.generation == generation, reversed(tuple(entries))))
    told = next((each.share for each in rollout if each.outcome in (PAUSED, UNDER_WAY)), None)
    return bool(rollout) and told != share


def chapters(entries: Iterable[HistoryEntry], observed: Observed, now: datetime | None = None) -> tuple[Chapter, ...]:
    """The entries, newest first, with how long each served, by what is there now."""
    until, following, found = now or datetime.now(UTC), observed.serving, list[Chapter]()
    for entry in reversed(_settled(tuple(entries), observed)):
        brought = entry.outcome == DONE and entry.end is not None
        if brought and entry.end is not None:
            # What serves now served until now; what came before, until the next one had come.
            serves = following is None or entry.generation == following
            found.append(Chapter(entry, (until - entry.end).total_seconds() if serves else None))
            until, following = entry.end, None
        else:
            found.append(Chapter(entry))
    return tuple(found)


def _settled(entries: tuple[HistoryEntry, ...], observed: Observed | None) -> tuple[HistoryEntry, ...]:
    """The same, and of a newest run that didn't wait, what became of it: done where its generation serves alone, not known where it is gone."""
    newest = entries[-1] if entries else None
    if newest is None or newest.outcome != UNDER_WAY or (observed and newest.generation in (observed.incoming, observed.candidate)):
        return entries
    serves = observed is not None and observed.serving == newest.generation
    return (*entries[:-1], replace(newest, outcome=DONE if serves else UNKNOWN, share=None))


def _entry(document: dict[str, object]) -> HistoryEntry:
    known = {key: document[key] for key in HistoryEntry.__dataclass_fields__ if key in document}
    whose = known.pop("provenance", None) or {}
    assert isinstance(whose, dict)
    return HistoryEntry(**known, provenance=Provenance(**{key: whose[key] for key in Provenance.__dataclass_fields__ if key in whose}))  # type: ignore[arg-type]
