"""Where the traffic goes once generations are there: promote, abort, rollback."""

from __future__ import annotations

from deployer.core.options import TargetConfig
from deployer.core.target import Intent
from deployer.events import Report
from deployer.verbs import lifecycle
from deployer.verbs.changes import Changes
from deployer.verbs.deployment import Deployment
from deployer.verbs.lifecycle import Wish
from deployer.verbs.moves import Direction, Move
from deployer.verbs.optional import Config, OptionalVerbs


class TrafficVerbs(OptionalVerbs):
    """Part of the client. None of them makes a generation, and none needs its model."""

    on_event: Report

    def promote(self, name: str, config: Config = None, endpoint: str | None = None) -> Deployment:
        """Go on with a rollout: to its next step, or, after the last one, to the end. Where none is under way there is nothing to do.

        Args:
            config: may name another strategy for the rest of the way (all_at_once ends it now), or other parts of it (pause).

        Raises:
            RolloutFailed: a check failed, or the generation can't serve; it is gone, and the one before has all of the traffic.
        """
        return self._move(Move(Direction.PROMOTE), name, config, endpoint)

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

    def plan_move(self, move: Move, name: str, config: Config = None, endpoint: str | None = None) -> Changes:
        """What `promote`, `abort` or `rollback` would do; changes nothing."""
        options, wish = self._moving(move, name, config, endpoint)
        return Changes.of(lifecycle.prospect(self.target, self._reached(endpoint, options), wish), str(self.uri))

    def _move(self, move: Move, name: str, config: Config, endpoint: str | None) -> Deployment:
        options, wish = self._moving(move, name, config, endpoint)
        cloud = self._reached(endpoint, options)
        found = lifecycle.deploy(self.target, cloud, wish, self.on_event, timeout_seconds=options.timeout_seconds)
        unchanged = found.observed if found.plan.empty else None
        return Deployment.observed(unchanged or lifecycle.present(self.target, cloud, wish.name), self.uri)

    def _moving(self, move: Move, name: str, config: Config, endpoint: str | None) -> tuple[TargetConfig, Wish]:
        from deployer.core.provenance import provenance

        settings = self._settings(config)
        options = self._parse(settings)
        named = frozenset(settings.named.values)
        return options, Wish(
            self.target.check_name(name), Intent.UPDATE, config=options, named=named, provenance=provenance(), endpoint=endpoint, move=move
        )
