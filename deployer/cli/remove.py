"""delete, prune."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, Many
from deployer.cli.many import Words, run_many
from deployer.cli.output import emit
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.verbs.many import Task

if TYPE_CHECKING:
    from deployer.client import DeployClient


@click.command()
@options.names
@options.place
@options.endpoint
@options.many
@options.dry_run("removed")
@options.output(*options.OF_CHANGES)
@options.quiet
@options.run
def delete(
    *,
    session: Session,
    place: ChosenTarget,
    names: tuple[str, ...],
    endpoint: str | None,
    many: Many,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Remove deployments and all that is ours of them. What isn't there is done already."""
    several = len(place.files) > 1
    wanted = [(each, name) for each in place.each() for name in ((None,) if several else names or (None,))]
    found = [(each, each.client().name_for(name, None)) for each, name in wanted]
    if dry_run:
        _show_removals([(each.client(), name, each.client().plan_delete(name, endpoint=endpoint)) for each, name in found], output, quiet)
        return
    tasks = [(_removal(each, name, endpoint),) for each, name in found]
    if len(tasks) > 1:
        run_many(session, tasks, _REMOVED, many.behind(endpoint), quiet=quiet)
        return
    ((task,),) = tasks
    with reporting(session, task.target, quiet=quiet) as report:
        removed = task.run(report)
    text = (
        f"{removed.name} is deleted from {removed.target}." if removed.deleted else f"There is no {removed.name} on {removed.target}: nothing to do."
    )
    if output != "jsonl" or quiet:
        emit("name" if quiet else output or "", asdict(removed), [removed.name], lambda: text)


@dataclass(frozen=True, slots=True)
class _Removed:
    """What a delete came to; where it was gone already, nothing is deleted."""

    name: str
    target: str
    deleted: bool


_REMOVED: Words[_Removed] = Words("deleted", asdict, lambda removed: ("deleted" if removed.deleted else "not there", ""))


def _removal(place: ChosenTarget, name: str, endpoint: str | None) -> Task[_Removed]:
    target = str(place.client().uri)
    return Task(name, target, lambda report: _Removed(name, target, place.client(report).delete_deployment(name, endpoint=endpoint)))


@click.command()
@options.name
@options.place
@options.endpoint
@click.option("--keep", type=click.IntRange(min=0), help="How many generations before the one in service stay (default 1).")
@options.dry_run("removed")
@options.output(*options.OF_CHANGES)
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
        _show_removals([(client, wanted, client.plan_prune(wanted, endpoint=endpoint))], output, quiet)
        return
    with reporting(session, str(client.uri), quiet=quiet) as report:
        client.on_event = report
        removed = client.prune(wanted, endpoint=endpoint)
    if quiet:
        click.echo(wanted)
    elif output != "jsonl":
        text = "\n".join([f"{wanted} on {client.uri}: {len(removed)} removed", *(f"  - {each}" for each in removed)])
        emit(output or "", {"name": wanted, "target": str(client.uri), "removed": list(removed)}, [wanted], lambda: text)


def _show_removals(found: Sequence[tuple[DeployClient, str, tuple[str, ...]]], output: str | None, quiet: bool) -> None:
    """What would go, by deployment."""
    documents = [{"name": name, "target": str(client.uri), "removes": list(removes)} for client, name, removes in found]
    form, names = "name" if quiet else output or "", [name for _, name, _ in found]
    emit(form, documents[0] if len(documents) == 1 and form != "jsonl" else documents, names, lambda: "\n".join(_removals(found)))


def _removals(found: Sequence[tuple[DeployClient, str, tuple[str, ...]]]) -> Iterator[str]:
    for client, name, removes in found:
        yield f"{name} on {client.uri}: " + (f"{len(removes)} would be removed" if removes else "nothing to remove")
        yield from (f"  - {each}" for each in removes)
