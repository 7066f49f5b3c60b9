"""What the promises look at, each in one place."""

from __future__ import annotations

import json
from collections import Counter

from deployer.conformance.clients import Ended, Stream, UserCommand, wish
from deployer.conformance.place import Place, Sample
from deployer.core.plan import kind_of
from deployer.core.state import DeploymentName, Observed, Status
from deployer.verbs import lifecycle


def steps(place: Place, command: UserCommand) -> tuple[str, ...]:
    """The kinds of the steps that a command which brings a generation would go through now."""
    plan = lifecycle.prospect(place.target, place.connect(), wish(place.target, command)).plan
    return tuple(map(kind_of, (*plan.forward, *plan.live, *plan.sweep)))


def done(ended: Ended, where: str = "") -> Ended:
    """The same, if it went well."""
    assert ended.done, f"{where}: {ended}" if where else str(ended)
    return ended


def present(place: Place, name: DeploymentName) -> Observed:
    observed = place.observe(name)
    assert observed is not None, f"{name} is not there"
    return observed


def serves(place: Place, name: DeploymentName, sample: Sample) -> None:
    """This model and no other answers, and the cloud says so."""
    observed = present(place, name)
    assert observed.status is Status.READY, observed
    assert observed.record is not None, observed
    assert observed.record.model.digest == sample.model.digest
    assert observed.traffic[0].percent == 100
    assert observed.incoming is None
    assert place.ask(name) == sample.answer


def flawless(stream: Stream, *samples: Sample) -> None:
    """Every request was answered, by one of these."""
    assert not stream.failures, f"{len(stream.failures)} of {len(stream.failures) + len(stream.answers)} requests failed: {stream.failures[:3]}"
    assert stream.answers, "no request was sent"
    given = Counter(json.dumps(answer, sort_keys=True) for answer in stream.answers)
    assert set(given) <= {json.dumps(sample.answer, sort_keys=True) for sample in samples}, given
