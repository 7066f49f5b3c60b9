"""What must hold of every history, told from the cloud alone: what serves, what else is there, who touched what after losing the name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from deployer.core.state import Record
from tests.simulation.cloud import Cloud, Endpoint, data_of, is_record, model_of, models_of
from tests.simulation.histories import (
    HAND,
    NAME,
    Act,
    Command,
    History,
    Outcome,
    Subject,
    Together,
    digest_named,
    hollow_models,
    run,
    run_together,
    virtual_time,
)
from tests.simulation.wire import Fault, Sent

AGES = 10_000_000
MILD = (Fault.THROTTLED, Fault.LOST)
LIVE = "update_endpoint_weights_and_capacities"
SWITCH = "update_endpoint"
DEPLOYS = ("create", "update", "apply")
MOVES = ("promote", "abort")
END = 101.0
"""After the last step: all of the traffic, alone."""


@dataclass(slots=True)
class Report:
    """How a history went: what was found wrong, in words, and how each client ended."""

    problems: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def hold(subject: Subject, history: History, cloud: Cloud | None = None) -> Report:
    """Run a history and hold it to the rules. `cloud`: where it begins, instead of empty; it is changed."""
    cloud = cloud or Cloud(history.behaviour)
    report = Report()
    with virtual_time(cloud), hollow_models(), subject.in_place():
        for number, act in enumerate(history.acts):
            _hold_act(subject, act, cloud, f"client-{len(report.outcomes)}", report)
            if report.problems:
                report.problems = [f"act {number + 1}, {act}: {problem}" for problem in report.problems]
                break
    return report


def _hold_act(subject: Subject, act: Act, cloud: Cloud, actor: str, report: Report) -> None:
    before = cloud.fork()
    if isinstance(act, Together):
        first, second = run_together(subject, act, cloud, (actor, f"{actor}b"))
        report.outcomes += [first, second]
        report.problems += together(first, second, cloud)
        cloud.violations.clear()
        # What the slower made after its record was swept is found by its tag alone, once lists show it.
        cloud.wait(cloud.behaviour.lag + 1)
    else:
        outcome = run(subject, act, cloud, actor)
        report.outcomes.append(outcome)
        report.problems += [*cloud.violations, *alone(outcome, before, cloud)]
    cloud.told = told(report.outcomes[-1], cloud, together=isinstance(act, Together))
    for each in report.outcomes[-2:]:
        if each.error is not None and type(each.error).__name__ in ("DeployerError",):
            report.problems.append(f"{each.actor} ended by a fault of ours: {each.error}")


def alone(outcome: Outcome, before: Cloud, cloud: Cloud) -> Iterator[str]:
    """The rules for one client, once it has ended."""
    command = outcome.command
    rested = _rested(cloud)
    if outcome.done and command.verb == "delete":
        yield from leftovers(rested)
    elif outcome.done:
        yield from moved(_rested(before), rested, command)
        yield from skipped(_rested(before), rested, command)
        yield from shared(_rested(before), rested, command) if shares(rested) else arrived(outcome, before, rested)
    elif outcome.went_back:
        yield from went_back(_rested(before), rested)
        if shares(_rested(before)) and not shares(rested):
            yield from orphans(before, rested, AGES)
    if LIVE in outcome.wire.refused and outcome.ended == "PermissionDenied":
        yield from recorded_as_is(rested)
    if all(fault in MILD for _, fault in command.faults):
        yield from expected(outcome, before)


def arrived(outcome: Outcome, before: Cloud, cloud: Cloud) -> Iterator[str]:
    """One generation has all of the traffic, and what the command wanted is so."""
    keep = dict(outcome.command.options).get("keep", 1)
    yield from converged(cloud, outcome.command)
    yield from succession(_rested(before), cloud, keep)
    if outcome.swept:
        yield from orphans(before, cloud, keep)


def expected(outcome: Outcome, before: Cloud) -> Iterator[str]:
    """How a command must end that nothing strikes, or nothing but what the next try gets over."""
    serving, command = serving_data(_rested(before)), outcome.command
    bad = command.model == "broken" or (command.model == "failing" and "checks" in dict(command.options))
    if outcome.done:
        if bad:
            yield f"{command} went well"
        return
    tried = candidate_of(_rested(before)) if command.verb == "promote" else ""
    if outcome.ended == "RolloutFailed" and (bad or (tried and _part("failing") in data_of(before.models[tried]))):
        return
    if command.verb == "create" and serving and outcome.ended == "DeploymentExists":
        return
    nothing_to_complete = not serving and not command.model
    if command.verb == "prune" and not before.objects and outcome.ended == "DeploymentNotFound":
        return
    if command.verb in MOVES and not serving and outcome.ended in ("DeploymentNotFound", "Conflict"):
        return
    if command.verb == "update" and (nothing_to_complete or not before.objects) and outcome.ended in ("DeploymentNotFound", "Conflict"):
        return
    yield f"nothing stood in the way of {command}, and it ended by {outcome.ended}: {outcome.error}"


def converged(cloud: Cloud, command: Command) -> Iterator[str]:
    """What is wanted serves, whole."""
    endpoint = cloud.endpoints.get(NAME)
    if endpoint is None or endpoint.status != "InService" or endpoint.serving is None:
        if command.verb != "prune":
            yield f"done, but the endpoint is {endpoint.status if endpoint else 'absent'}"
        return
    yield from whole(endpoint, cloud)
    if command.verb in DEPLOYS:
        yield from as_asked(endpoint, cloud, command)


def shares(cloud: Cloud) -> tuple[tuple[str, float], ...]:
    """The variants and weights of an endpoint that two generations share; none of any other."""
    endpoint = cloud.endpoints.get(NAME)
    return endpoint.weights if endpoint and endpoint.status == "InService" and len(endpoint.weights) == 2 else ()


def shared(before: Cloud, cloud: Cloud, command: Command) -> Iterator[str]:
    """Two generations share the endpoint only where somebody was asked to stop there; both are whole, and each has what its step says."""
    yield from whole(cloud.endpoints[NAME], cloud)
    options, now = dict(command.options), [round(weight) for _, weight in shares(cloud)]
    if command.verb in (*DEPLOYS, "abort") and options.get("pause") != "manual":
        yield f"{command} is done, and the traffic is split {now}"
    if command.verb in DEPLOYS:
        steps = options.get("steps", (100,))
        candidate = cloud.configs[cloud.endpoints[NAME].serving or ""]["ProductionVariants"][1]["ModelName"]
        if command.model and _part(command.model) not in data_of(cloud.models[candidate]):
            yield f"the candidate is {candidate}, not {command.model}"
        if now[1] not in steps or sum(now) != 100:
            yield f"the traffic is split {now}, and the steps are {steps}"
    if command.verb == "prune" and shares(before) != shares(cloud):
        yield "a prune changed who has the traffic"


def moved(before: Cloud, cloud: Cloud, command: Command) -> Iterator[str]:
    """Who gives up stays with what was there first; who goes on, with the candidate; and who is to stop on the way does."""
    endpoint, then = cloud.endpoints.get(NAME), serving_data(before)
    if command.verb == "abort" and then and serving_data(cloud) != then:
        yield f"given up, and {serving_data(cloud)} serves, not {then}"
    if command.verb == "promote" and shares(before) and endpoint is not None:
        candidate = models_of(before.configs[before.endpoints[NAME].serving or ""])[1]
        if candidate not in models_of(cloud.configs[endpoint.serving or ""]):
            yield f"promoted, and {candidate} has no traffic"
    stops = dict(command.options).get("pause") == "manual" and command.verb in DEPLOYS
    if stops and command.model and then and not shares(before) and _part(command.model) not in then and not shares(cloud):
        yield f"{command} did not stop on its way"


def skipped(before: Cloud, cloud: Cloud, command: Command) -> Iterator[str]:
    """Where somebody is to decide at each step, a rollout comes no further than to the step after the one that its last client told of."""
    record, options = record_of(candidate_of(before), before), dict(command.options)
    if record is None or record.options.get("pause") != "manual" or (options.keys() & {"strategy", "pause"} and options.get("pause") != "manual"):
        return
    if command.verb not in (*DEPLOYS, "promote") or candidate_of(before) not in models_in_service(cloud):
        return
    stops = [0.0, *map(float, record.options.get("steps") or [100]), END]
    now = shares(cloud)[1][1] if shares(cloud) else END
    then = before.told[1] if before.told[0] == candidate_of(before) else 0.0
    if then in stops and now in stops and stops.index(now) > stops.index(then) + 1:
        yield f"{command} went on to {now} %, and nobody was told of a pause after {then} %"


def told(outcome: Outcome, cloud: Cloud, *, together: bool) -> tuple[str, float]:
    """What users know of a rollout: where it stands once a client ended well, or was killed once it had written down that it did."""
    candidate = candidate_of(_rested(cloud))
    wrote = [sent for sent in outcome.wire.sent if sent.api == "put_object" and str(sent.parameters["Key"]).rpartition("/")[2].startswith("history")]
    if candidate and (together or outcome.done or (len(wrote) > 1 and wrote[-1] is outcome.wire.sent[-1])):
        return candidate, shares(_rested(cloud))[1][1]
    return cloud.told if cloud.told[0] == candidate else ("", 0.0)


def candidate_of(cloud: Cloud) -> str:
    """The model of the generation that is tried beside the one in service; empty where none is."""
    return models_in_service(cloud)[1] if shares(cloud) else ""


def models_in_service(cloud: Cloud) -> list[str]:
    """Those that the endpoint leads to."""
    endpoint = cloud.endpoints.get(NAME)
    return models_of(cloud.configs[endpoint.serving]) if endpoint and endpoint.serving in cloud.configs else []


def whole(endpoint: Endpoint, cloud: Cloud) -> Iterator[str]:
    """What serves leads to things that are there."""
    missing = cloud.missing(endpoint.serving or "")
    if missing:
        yield f"what serves is not whole: {missing} is gone"


def as_asked(endpoint: Endpoint, cloud: Cloud, command: Command) -> Iterator[str]:
    """Model, counts and other named options are those of the command; the record says what is."""
    if command.model and _part(command.model) not in serving_data(cloud):
        yield f"{serving_data(cloud)} serves, not {command.model}"
    options = dict(command.options)
    config = cloud.configs.get(endpoint.serving or "")
    if config and options.get("instance_type", config["ProductionVariants"][0]["InstanceType"]) != config["ProductionVariants"][0]["InstanceType"]:
        yield f"the instance type is not {options['instance_type']}"
    if endpoint.count != options.get("instance_count", endpoint.count):
        yield f"{endpoint.count} instances, not {options['instance_count']}"
    record = record_of(endpoint.serving or "", cloud)
    if record is not None and record.options["instance_count"] != endpoint.count:
        yield f"the record says {record.options['instance_count']} instances, the cloud {endpoint.count}"


def succession(before: Cloud, cloud: Cloud, keep: int) -> Iterator[str]:
    """What took over says from what; what stayed says what it always said; and the one before is still there, unless none is to be kept."""
    then, now = _serving(before), _serving(cloud)
    if then is None or now is None:
        return
    predecessor = then.replaces if now.generation == then.generation else then.generation
    if now.replaces != predecessor:
        yield f"{now.generation} came after {predecessor}, and its record says {now.replaces}"
    gone = {each.generation for each in records(before)} - {each.generation for each in records(cloud)}
    if keep and predecessor in gone:
        yield f"the record of {predecessor}, the generation before, is gone"


def orphans(before: Cloud, cloud: Cloud, keep: int) -> Iterator[str]:
    """Everything there is named by a record of the line of descent, at most `keep` before what serves; nothing that these name was removed."""
    endpoint = cloud.endpoints.get(NAME)
    if endpoint is None or endpoint.serving is None:
        return
    by_generation = {record.generation: record for record in records(cloud)}
    serving = record_of(endpoint.serving or "", cloud)
    line: list[str] = []
    while serving is not None and serving.generation not in line and len(line) <= keep:
        line.append(serving.generation)
        serving = by_generation.get(serving.replaces or "")
    for generation in by_generation.keys() - set(line):
        yield f"orphan: the record of {generation}, which is not among {line}"
    named = {_plain(resource.name) for generation in line for resource in by_generation[generation].resources}
    yield from (f"orphan: {each}" for each in sorted(_made(cloud) - named))
    lost = sorted((named & _made(before)) - _made(cloud))
    if lost:
        yield f"kept, and removed all the same: {lost}"


def leftovers(cloud: Cloud) -> Iterator[str]:
    """Nothing of ours, unfinished uploads and claims included."""
    yield from (f"left after delete: {each}" for each in sorted([*cloud.objects, *_made(cloud), *cloud.endpoints]))


def went_back(before: Cloud, cloud: Cloud) -> Iterator[str]:
    """After a definite no: what served serves, what was kept is there, and nothing new that no earlier record leads to."""
    endpoint, earlier = cloud.endpoints.get(NAME), before.endpoints.get(NAME)
    if endpoint is not None and earlier is not None and endpoint.serving != earlier.serving:
        return
    if endpoint is not None and earlier is None:
        if endpoint.status == "Failed":
            yield "the failed endpoint was left"
        return
    led_to = {_plain(resource.name) for record in records(before) for resource in record.resources}
    yield from (f"left after going back: {each}" for each in sorted(_made(cloud) - _made(before) - led_to))
    if endpoint is None or endpoint.serving is None:
        return
    record = record_of(endpoint.serving, cloud)
    by_generation = {each.generation: each for each in records(before)}
    kept = by_generation.get(record.replaces or "") if record else None
    for resource in kept.resources if kept else ():
        if _plain(resource.name) in _made(before) - _made(cloud):
            yield f"going back took {resource} of the generation before"
    earlier_record = record_of(endpoint.serving, before)
    if record is not None and earlier_record is not None and record.options != earlier_record.options:
        yield f"refused, and the record says {record.options['instance_count']} instances, the cloud {endpoint.count}"


def recorded_as_is(cloud: Cloud) -> Iterator[str]:
    """A live change that was refused is in no record."""
    endpoint = cloud.endpoints.get(NAME)
    record = record_of(endpoint.serving or "", cloud) if endpoint else None
    if endpoint and record and record.options["instance_count"] != endpoint.count:
        yield f"refused, and the record says {record.options['instance_count']} instances, the cloud {endpoint.count}"


def together(first: Outcome, second: Outcome, cloud: Cloud) -> Iterator[str]:
    """The rules for two clients at once.

    One call of the slower may fall into the window between its look at the claim and the call itself. Before the newer sees its own generation
    serve, its second look at everything sets that right; after it, this is the window that is documented to stay.
    """
    if HAND in (first.command.verb, second.command.verb):
        endpoint = _rested(cloud).endpoints.get(NAME)
        if endpoint and endpoint.serving:
            yield from whole(endpoint, _rested(cloud))
        yield from _switched_over(*((second, first) if first.command.verb == HAND else (first, second)))
        return
    late = [*_late(first, second), *_late(second, first)]
    for outcome, rival in ((first, second), (second, first)):
        after = _late(outcome, rival)
        if len(after) > 1:
            yield f"{outcome.actor} lost the name and touched more: {[sent.api for sent in after]}"
        elif after and not _looked_before(outcome, rival, after[0]):
            yield f"{outcome.actor} had lost the name before it looked, and did {after[0].api} all the same"
    winner = _winner(first, second)
    if late and not (winner and winner.served and late[-1].time < winner.served):
        return
    if not late:
        yield from cloud.violations
    if winner is not None and winner.done and not winner.command.faults:
        rested = _rested(cloud)
        if winner.command.verb == "delete":
            if NAME in rested.endpoints:
                yield f"{winner.command} won, and the endpoint is there"
        elif shares(rested):
            yield from shared(rested, rested, winner.command)
        else:
            yield from converged(rested, winner.command)


def _switched_over(outcome: Outcome, hand: Outcome) -> Iterator[str]:
    """A switch that is sent though the last look saw the endpoint elsewhere than the plan did. What comes after it is the documented window."""
    pointed = [sent.time for sent in hand.wire.sent if sent.api == SWITCH]
    for switch in (sent for sent in outcome.wire.sent if sent.api == SWITCH):
        before = [sent for sent in outcome.wire.sent if sent.time < switch.time]
        planned = max((sent.time for sent in before if sent.api == "list_objects_v2"), default=0)
        looked = max((sent.time for sent in before if sent.api == "describe_endpoint"), default=0)
        if any(planned < time < looked for time in pointed):
            yield f"{outcome.actor} saw that the endpoint was pointed elsewhere since its plan, and switched it all the same"


def _late(outcome: Outcome, rival: Outcome) -> list[Sent]:
    """What a client sent, of the calls that only who holds the name may make, after its rival had claimed the name over it."""
    own = [sent.time for sent in outcome.wire.sent if _claims(sent)]
    overtaken = [sent.time for sent in rival.wire.sent if _claims(sent) and own and sent.time > own[-1]]
    return [sent for sent in outcome.wire.sent if overtaken and sent.time > overtaken[0] and _for_holders(sent)]


def _looked_before(outcome: Outcome, rival: Outcome, call: Sent) -> bool:
    looks = [sent.time for sent in outcome.wire.sent if sent.api == "get_object" and _is_claim(sent) and sent.time < call.time]
    claimed = [sent.time for sent in rival.wire.sent if _claims(sent) and sent.time < call.time]
    return bool(looks) and looks[-1] < claimed[-1]


def _winner(first: Outcome, second: Outcome) -> Outcome | None:
    """Who claimed last; None where nobody did."""
    claims = [(sent.time, outcome.actor) for outcome in (first, second) for sent in outcome.wire.sent if _claims(sent)]
    if not claims:
        return None
    return first if max(claims)[1] == first.actor else second


def _claims(sent: Sent) -> bool:
    return sent.api == "put_object" and _is_claim(sent)


def _is_claim(sent: Sent) -> bool:
    return str(sent.parameters["Key"]).rpartition("/")[2].startswith("claim")


def _for_holders(sent: Sent) -> bool:
    if sent.api == "put_object":
        return is_record(sent.parameters["Key"])
    return sent.api.startswith(("delete_", "create_endpoint", "update_endpoint")) and sent.api != "create_endpoint_config"


def _serving(cloud: Cloud) -> Record | None:
    """The record of what serves."""
    endpoint = cloud.endpoints.get(NAME)
    return record_of(endpoint.serving, cloud) if endpoint and endpoint.serving else None


def serving_data(cloud: Cloud) -> str:
    """The address of the data of the model that serves; empty where none does."""
    endpoint = cloud.endpoints.get(NAME)
    config = cloud.configs.get(endpoint.serving or "") if endpoint else None
    model = cloud.models.get(model_of(config)) if config else None
    return data_of(model) if model else ""


def _part(uri: str) -> str:
    return digest_named(uri).removeprefix("sha256:")[:10]


def records(cloud: Cloud) -> list[Record]:
    return [parsed(body) for key, body in cloud.objects.items() if is_record(key)]


@lru_cache(maxsize=1000)
def parsed(body: bytes) -> Record:
    """A record read from its bytes; the same bytes come by many times."""
    return Record.from_json(body)


def record_of(config: str, cloud: Cloud) -> Record | None:
    return next((record for record in records(cloud) if any(resource.name == config for resource in record.resources)), None)


def _made(cloud: Cloud) -> set[str]:
    """All but the endpoint, records, the claim and the history."""
    data = {key for key in cloud.objects if not is_record(key) and not key.rpartition("/")[2].startswith(("claim", "history"))}
    uploads = {f"{key}#{upload}" for upload, (key, _) in cloud.uploads.items()}
    return data | uploads | set(cloud.models) | set(cloud.configs)


def _plain(name: str) -> str:
    """A resource's name as the cloud has it: objects by key, whatever the target calls them."""
    return name.removeprefix("s3://").partition("/")[2] if name.startswith("s3://") else name


def _rested(cloud: Cloud) -> Cloud:
    """The same, once it is done with what it does."""
    if all(endpoint.due is None for endpoint in cloud.endpoints.values()):
        return cloud
    rested = cloud.fork()
    while any(endpoint.due is not None for endpoint in rested.endpoints.values()):
        rested.wait(AGES)
    return rested
