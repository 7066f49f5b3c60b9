"""Where the traffic goes once generations are there: promote, abort, rollback; and what became of each: history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from deployer.core import notebook
from deployer.core.capabilities import SupportsHistory
from deployer.core.history import Chapter, chapters, read
from deployer.core.options import TargetConfig
from deployer.core.target import Intent
from deployer.events import Report
from deployer.verbs import lifecycle
from deployer.verbs.changes import Changes
from deployer.verbs.deployment import Deployment
from deployer.verbs.lifecycle import Wish
from deployer.verbs.moves import Direction, Move
from deployer.verbs.optional import Config, OptionalVerbs
from deployer.words import duration

HEADINGS = ("TIME", "VERB", "GENERATION", "MODEL", "BY", "ENDED", "SERVED")


class DeploymentHistory(tuple[Chapter, ...]):
    """What became of a deployment, newest first; a table in a notebook."""

    __slots__ = ()

    def rows(self) -> Iterator[tuple[str, ...]]:
        """As people read it: when, what, to which generation and model, by whom, how it ended, how long it served."""
        for each in self:
            entry, who = each.entry, each.entry.provenance
            named = [f"version {entry.version}"] if entry.version and not entry.model.endswith(f"/{entry.version}") else []
            model = ", ".join([entry.model, *named, *([f"run {entry.run_id[:8]}"] if entry.run_id else [])])
            by = ", ".join(part for part in (who.user, who.job, f"commit {who.commit[:10]}" if who.commit else "") if part)
            served = "" if each.served is None else duration(each.served)
            yield (who.time, entry.verb, entry.generation, model, by, entry.outcome, served)

    def documents(self) -> list[dict[str, Any]]:
        """JSON-ready, empty fields left out."""
        return [_document(each) for each in self]

    def _repr_html_(self) -> str:
        return notebook.table(tuple(name.capitalize() for name in HEADINGS), self.rows()) or "no history"


def _document(chapter: Chapter) -> dict[str, Any]:
    entry = asdict(chapter.entry)
    who = {("began" if key == "time" else key): value for key, value in entry.pop("provenance").items()}
    whole = {**entry, **who, "served_seconds": None if chapter.served is None else round(chapter.served)}
    return {key: value for key, value in whole.items() if value not in ("", None) and key != "run"}


class TrafficVerbs(OptionalVerbs):
    """Part of the client. None of them makes a generation, and none needs its model."""

    def promote(self, name: str, config: Config = None, endpoint: str | None = None, *, full: bool = False) -> Deployment:
        """Go on with a rollout: to its next step, or, after the last one, to the end. Where none is under way there is nothing to do.

        Args:
            config: may name another strategy for the rest of the way, or other parts of it (pause).
            full: to the end at once: no further step, pause or check.

        Raises:
            RolloutFailed: a check failed, or the generation can't serve; it is gone, and the one before has all of the traffic.
        """
        return self._move(Move(Direction.PROMOTE, full=full), name, config, endpoint)

    def abort(self, name: str, config: Config = None, endpoint: str | None = None) -> Deployment:
        """Give a rollout up: the generation in service has all of the traffic again. Where none is under way there is nothing to do."""
        return self._move(Move(Direction.ABORT), name, config, endpoint)

    def rollback(self, name: str, to: str | None = None, config: Config = None, endpoint: str | None = None) -> Deployment:
        """Bring back a generation that is there still, without an upload: the one before that in service, or the one named.

        Raises:
            DeploymentNotFound: it was swept.
            Conflict: a rollout is under way: `abort` gives it up.
        """
        return self._move(Move(Direction.ROLLBACK, to), name, config, endpoint)

    def history(self, name: str, endpoint: str | None = None) -> DeploymentHistory:
        """Who changed a deployment, when, to what, how it ended and how long it served: the last fifty runs, newest first.

        Raises:
            DeploymentNotFound: there is none.
            ConfigInvalid: this target keeps no history.
        """
        if not isinstance(self.target, SupportsHistory):
            self._refuse("tell a deployment's history")
        cloud, checked = self._reached(endpoint), self.target.check_name(name)
        observed = lifecycle.present(self.target, cloud, checked)
        return DeploymentHistory(chapters(read(self.target.history(checked, cloud)), observed))

    def plan_move(self, move: Move, name: str, config: Config = None, endpoint: str | None = None) -> Changes:
        """What `promote`, `abort` or `rollback` would do; changes nothing."""
        options, wish = self._moving(move, name, config, endpoint)
        return Changes.of(lifecycle.prospect(self.target, self._reached(endpoint, options), wish), str(self.uri))

    def _move(self, move: Move, name: str, config: Config, endpoint: str | None) -> Deployment:
        options, wish = self._moving(move, name, config, endpoint)
        return self._done(self._reached(endpoint, options), wish, options, self.on_event)

    def _done(self, cloud: Any, wish: Wish, options: TargetConfig, report: Report) -> Deployment:
        """Do what is asked for; the deployment as it is then, looked at again only where something was done, by the run that did it."""
        found = lifecycle.deploy(self.target, cloud, wish, report, timeout_seconds=options.timeout_seconds)
        unchanged = found.observed if found.plan.empty else None
        return Deployment.observed(unchanged or lifecycle.present(self.target, cloud if found.held is None else found.held, wish.name), self.uri)

    def _moving(self, move: Move, name: str, config: Config, endpoint: str | None) -> tuple[TargetConfig, Wish]:
        from deployer.core.provenance import provenance

        settings = self._settings(config)
        options = self._parse(settings)
        named = frozenset(settings.named.values)
        return options, Wish(
            self.target.check_name(name), Intent.UPDATE, config=options, named=named, provenance=provenance(), endpoint=endpoint, move=move
        )
