"""create, update, apply, rollback, delete, prune."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.options import ChosenTarget, Command, ModelChoice, Rollout
from deployer.cli.output import emit, say
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.core.state import Status
from deployer.core.target import Intent
from deployer.errors import ConfigInvalid
from deployer.events import Event, Report, Resolved
from deployer.verbs.moves import Direction, Move

if TYPE_CHECKING:
    from deployer.client import DeployClient
    from deployer.verbs.changes import Changes
    from deployer.verbs.deployment import Deployment

_OUTPUTS = ("table", "json", "yaml", "name", "jsonl")


def _dry_run(what: str) -> Callable[[Command], Command]:
    return click.option("--dry-run", is_flag=True, help=f"Show what would be {what}, and do nothing.")


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@_dry_run("done")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def create(**given: Any) -> None:
    """Make a deployment of a model. Where exactly this serves already, there is nothing to do."""
    _deploy(Intent.CREATE, **given)


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@click.option("--promote", is_flag=True, help="Go on with the rollout that is under way: to its next step, or to its end.")
@click.option("--full", is_flag=True, help="With --promote: to the end at once, past all steps, pauses and checks that are left.")
@click.option("--abort", is_flag=True, help="Give the rollout up that is under way: what was in service has all of the traffic again.")
@_dry_run("done")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def update(*, promote: bool, full: bool, abort: bool, **given: Any) -> None:
    """Change a deployment; what isn't named stays. The generation in service answers until the new one does."""
    if promote and abort:
        raise ConfigInvalid("--promote goes on with a rollout, --abort gives it up", advice="leave one of them out")
    if full and not promote:
        raise ConfigInvalid("--full says how far --promote goes", advice="add --promote, or leave --full out")
    if not (promote or abort):
        _deploy(Intent.UPDATE, **given)
        return
    if given["model"].uri:
        raise ConfigInvalid("--promote and --abort are for the generations that are there: no model goes with them", advice="leave -m out")
    flags = {"endpoint": given["rollout"].endpoint, **{key: given[key] for key in ("session", "place", "name", "dry_run", "output", "quiet")}}
    _move(Move(Direction.PROMOTE if promote else Direction.ABORT, full=full), **flags)


@click.command()
@options.name
@options.place
@options.endpoint
@click.option("--to", metavar="GENERATION", help="The generation to go back to; default: the one before that in service.")
@_dry_run("done")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def rollback(*, to: str | None, **given: Any) -> None:
    """Bring back a generation that is there still: no upload, no build, all of the traffic at once."""
    _move(Move(Direction.ROLLBACK, to), **given)


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@_dry_run("done")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def apply(**given: Any) -> None:
    """Create or update; what is given is the whole of it. A file (-f) may name several targets: each is done, in order."""
    _deploy(Intent.APPLY, **given)


@click.command()
@options.names
@options.place
@options.endpoint
@_dry_run("removed")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def delete(
    *,
    session: Session,
    place: ChosenTarget,
    names: tuple[str, ...],
    endpoint: str | None,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Remove a deployment and all that is ours of it. What isn't there is done already."""
    client = place.client()
    wanted = names or (client.name_for(None, None),)
    if dry_run:
        _show_removals(client, {each: client.plan_delete(each, endpoint=endpoint) for each in wanted}, output, quiet)
        return
    for each in wanted:
        with reporting(session, str(client.uri), quiet=quiet) as report:
            client.on_event = report
            removed = client.delete_deployment(each, endpoint=endpoint)
        if quiet:
            click.echo(each)
        elif output in (None, "table"):
            say(f"{each} is deleted from {client.uri}." if removed else f"There is no {each} on {client.uri}: nothing to do.")
        elif output != "jsonl":
            _finish(session, each, {"name": each, "target": str(client.uri), "deleted": removed})
    _close(session)


@click.command()
@options.name
@options.place
@options.endpoint
@click.option("--keep", type=click.IntRange(min=0), help="How many generations before the one in service stay (default 1).")
@_dry_run("removed")
@options.output(*_OUTPUTS)
@options.quiet
@options.run
def prune(
    *,
    session: Session,
    place: ChosenTarget,
    name: str | None,
    endpoint: str | None,
    keep: int | None,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Remove generations that are no longer needed: all but the one in service and the last before it."""
    place = place.with_flags({"keep": (keep, "--keep")})
    client = place.client()
    wanted = client.name_for(name, None)
    if dry_run:
        _show_removals(client, {wanted: client.plan_prune(wanted, endpoint=endpoint)}, output, quiet)
        return
    with reporting(session, str(client.uri), quiet=quiet) as report:
        client.on_event = report
        removed = client.prune(wanted, endpoint=endpoint)
    if quiet:
        click.echo(wanted)
    elif output != "jsonl":
        text = "\n".join([f"{wanted} on {client.uri}: {len(removed)} removed", *(f"  - {each}" for each in removed)])
        emit(output or "", {"name": wanted, "target": str(client.uri), "removed": list(removed)}, [wanted], lambda: text)


def _move(
    move: Move,
    *,
    session: Session,
    place: ChosenTarget,
    name: str | None,
    endpoint: str | None,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    client = place.client()
    wanted = client.name_for(name, None)
    if dry_run:
        show_changes(session, [client.plan_move(move, wanted, endpoint=endpoint)])
        return
    with reporting(session, str(client.uri), quiet=quiet) as report:
        seen = _Seen(report)
        client.on_event = seen
        match move.direction:
            case Direction.PROMOTE:
                done = client.promote(wanted, endpoint=endpoint, full=move.full)
            case Direction.ABORT:
                done = client.abort(wanted, endpoint=endpoint)
            case _:
                done = client.rollback(wanted, move.to, endpoint=endpoint)
    document = {"event": "deployed", **done.document()} if output == "jsonl" else done.document()
    emit("name" if quiet else output or "", document, [done.name], lambda: closing(done, seen.resolved))


def _show_removals(client: DeployClient, found: Mapping[str, tuple[str, ...]], output: str | None, quiet: bool) -> None:
    """What would go, by deployment."""
    documents = [{"name": name, "target": str(client.uri), "removes": list(removes)} for name, removes in found.items()]
    form = "name" if quiet else output or ""
    emit(form, documents[0] if len(documents) == 1 and form != "jsonl" else documents, list(found), lambda: "\n".join(_removals(client, found)))


def _removals(client: DeployClient, found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name, removes in found.items():
        yield f"{name} on {client.uri}: " + (f"{len(removes)} would be removed" if removes else "nothing to remove")
        yield from (f"  - {each}" for each in removes)


def _deploy(
    intent: Intent,
    *,
    session: Session,
    place: ChosenTarget,
    rollout: Rollout,
    name: str | None,
    model: ModelChoice,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    if intent is Intent.CREATE:
        model.named(place.file, advice="name it: -m MODEL (a path, s3:, runs:/, models:/name/version, ...)")
    if dry_run:
        show_changes(session, planned(place, rollout, name, model, intent))
        return
    for target in place.targets():
        with reporting(session, target, quiet=quiet) as report:
            seen = _Seen(report)
            done = _changed(place.client_of(target, seen, model), intent, rollout, name, model)
        if quiet:
            click.echo(done.name)
        elif output in (None, "table"):
            say(closing(done, seen.resolved))
        else:
            _finish(session, done.name, {"event": "deployed", **done.document()} if output == "jsonl" else done.document())
    _close(session)


def _finish(session: Session, name: str, document: dict[str, Any]) -> None:
    """One of several things is done: told at once, but for json and yaml, which are one document."""
    if session.output in ("json", "yaml"):
        session.finished.append(document)
    else:
        emit(session.output, document, [name], str)


def _close(session: Session) -> None:
    """Print what json and yaml have waited for."""
    if session.finished:
        emit(session.output, session.finished[0] if len(session.finished) == 1 else session.finished, [], str)


def _changed(client: DeployClient, intent: Intent, rollout: Rollout, name: str | None, model: ModelChoice) -> Deployment:
    shared: dict[str, Any] = rollout.shared
    if intent is Intent.CREATE:
        return client.create_deployment(name, model.uri, model.flavor, **shared)
    shared["allow_schema_change"] = rollout.allow_schema_change
    if intent is Intent.UPDATE:
        return client.update_deployment(name, model.uri, model.flavor, **shared)
    deployment: Deployment = client.apply(name, model.uri, model.flavor, **shared)
    return deployment


class _Seen:
    """Passes events on, and keeps what was resolved."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.resolved: Resolved | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resolved):
            self.resolved = event
        self.report(event)


def closing(deployment: Deployment, resolved: Resolved | None) -> str:
    """What is so now, and what to do next."""
    where = f"-t {shlex.quote(deployment.target)} -n {deployment.name}" + (f" --endpoint {deployment.endpoint}" if deployment.endpoint else "")
    if resolved is not None and not resolved.changes:
        return f"{deployment.name} is as asked for on {deployment.target}, generation {resolved.generation}: nothing to do."
    if deployment.status is Status.PAUSED and len(deployment.traffic) > 1:
        shares = ", ".join(f"{generation} {percent} %" for generation, percent in deployment.traffic.items())
        return "\n".join(
            (
                f"{deployment.name} is paused on {deployment.target}: {shares}.",
                f"  deploy update {where} --promote   goes on",
                f"  deploy update {where} --abort     goes back",
            )
        )
    if deployment.status is not Status.READY:
        generation = resolved.generation if resolved else deployment.incoming
        return f"{deployment.name} is {deployment.status} on {deployment.target}, generation {generation}.\n  deploy get {where}"
    return "\n".join(
        (
            f"{deployment.name} is ready on {deployment.target}, generation {deployment.generation}.",
            f"  deploy predict {where} -i example.json",
            f"  deploy logs    {where} -F",
            *([f"  {deployment.page} is a page to try it"] if deployment.page else []),
        )
    )


def planned(place: ChosenTarget, rollout: Rollout, name: str | None, model: ModelChoice, intent: Intent | None) -> list[Changes]:
    """What a verb would do, on each target; None: the one that fits what is there."""
    how = {"intent": intent, "allow_schema_change": rollout.allow_schema_change, "allow_build": rollout.allow_build, **rollout.shared}
    return [place.client_of(target, models=model).plan(name, model.uri, model.flavor, **how) for target in place.targets()]


def show_changes(session: Session, found: list[Changes], *, steps: bool = True) -> None:
    """Plans, one a target; `steps`: with what would be done, and as it would end.

    Raises:
        DeployerError: what the run would refuse; documents have said it already.
    """
    form = session.output
    documents = [(each if steps else replace(each, refusal=None)).document() for each in found]
    text = "\n".join("\n".join(each.lines(steps=steps)) for each in found)
    emit(form, documents[0] if len(documents) == 1 and form != "jsonl" else documents, [each.name for each in found], lambda: text)
    refused = next((each.refusal for each in found if each.refusal), None)
    if steps and refused:
        session.output = ""
        raise refused
