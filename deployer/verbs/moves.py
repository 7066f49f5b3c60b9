"""To a generation that is there already: the candidate of a rollout promoted or given up, or one of before brought back. Nothing is made for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from deployer.core.generations import as_before
from deployer.core.state import DeploymentName, Digest, Image, Observed, Record
from deployer.core.target import ConfigT, DeploymentSpec, Target
from deployer.core.traffic import PARTS
from deployer.errors import ConfigInvalid, Conflict, DeploymentNotFound

STRATEGY = frozenset({"strategy", *PARTS})


class Direction(StrEnum):
    """Where the traffic is to go."""

    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Move:
    """What is asked for.

    Attributes:
        to: the generation to roll back to; None: the one before that in service.
        full: promote to the end at once: no further step, pause or check.
    """

    direction: Direction
    to: str | None = None
    full: bool = False

    def spec(
        self, target: Target[ConfigT, Any], observed: Observed | None, name: DeploymentName, config: Any, named: Collection[str] | None
    ) -> DeploymentSpec[ConfigT]:
        """What the move comes to, by the records alone. Of the options the strategy may be named; the rest stays as it is. Pure.

        Raises:
            DeploymentNotFound: nothing is there, or not the generation.
            Conflict: a rollout is under way, or nothing of ours serves.
            ConfigInvalid: what the generation was made of is gone.
        """
        from deployer.core.options import Takes  # pydantic, which no completion of a command line waits for

        if observed is None:
            raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there")
        record = self._record(observed)
        _refuse_what_was_swept(record, observed)
        live = record
        if self.direction is Direction.ROLLBACK:
            stays = target.config.taken(Takes.LIVE) | target.config.taken(Takes.ROLLOUT)
            live = as_before(record, observed, stays) or record
        said = frozenset(config.model_fields_set if named is None else named)
        promotes = self.direction is Direction.PROMOTE and record.generation == observed.candidate and not self.full
        at_once = {} if promotes else {option: type(config).model_fields[option].default for option in STRATEGY}
        if not promotes and self.direction is not Direction.ROLLBACK:
            said -= STRATEGY  # all of the traffic to what serves: whatever a file says of rollouts, there is none
        going = config.completed(
            replace(live, options={**live.options, **at_once}), said & (STRATEGY | target.config.taken(Takes.NOTHING)), target=target.scheme
        )
        image = Image(record.image, Digest(record.image.partition("@")[2]))
        return DeploymentSpec(live, going, image, made=True)

    def _record(self, observed: Observed) -> Record:
        """The record of the generation that is meant."""
        serving = observed.record
        if serving is None:
            raise Conflict(f"no generation of ours serves as {observed.name}", advice="deploy get shows what is there; deploy apply goes on from it")
        if self.direction is not Direction.ROLLBACK:
            return observed.records.get((observed.candidate or "") if self.direction is Direction.PROMOTE else "", serving)
        if observed.candidate is not None:
            raise Conflict(
                f"a rollout of {observed.name} is under way: {observed.candidate} beside {serving.generation}",
                advice=f"deploy update -n {observed.name} --abort goes back to {serving.generation}, --promote goes on",
            )
        return _earlier(self.to, serving, observed)


def _earlier(to: str | None, serving: Record, observed: Observed) -> Record:
    """The record of the generation that is named, by its first digits too, or of the one before."""
    there = sorted(observed.records.keys() - {serving.generation})
    keeps = f"{', '.join(there) or 'none'} {'are' if len(there) > 1 else 'is'} there beside it; keep and archive say how many stay"
    if to is None:
        before = serving.replaces or ""
        if before not in observed.records:
            was = f"{before}, the generation before {serving.generation}, was swept" if before else f"none was there before {serving.generation}"
            raise DeploymentNotFound(
                f"{observed.name} can't go back: {was}; {keeps}",
                advice="deploy update with its model makes it anew: -m MODEL (deploy history has it); or name another: --to GENERATION",
            )
        return observed.records[before]
    found = [each for each in (*there, serving.generation) if each.startswith(to)]
    if len(found) != 1:
        raise DeploymentNotFound(
            f"{observed.name} has {'several generations' if found else 'no generation'} {to}: it was swept, or never was; {keeps}",
            advice="deploy get shows those that are there; deploy update with its model makes it anew: -m MODEL",
        )
    return observed.records[found[0]]


def _refuse_what_was_swept(record: Record, observed: Observed) -> None:
    gone = [str(resource) for resource in record.resources if resource not in observed.resources]
    if gone:
        raise ConfigInvalid(
            f"generation {record.generation} of {observed.name} isn't whole any more: {', '.join(gone)} is gone",
            advice=f"deploy update -n {observed.name} -m {record.model.uri} makes it anew",
        )
