"""list: the deployments on one target, or on several in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget
from deployer.cli.failure import told
from deployer.cli.many import exit_code_of
from deployer.cli.output import TEXT, emit, say, width_of
from deployer.cli.session import Session
from deployer.events import silent
from deployer.verbs.many import Task, refuse_twins, run_all
from deployer.words import age, shortened, table

if TYPE_CHECKING:
    from deployer.client import DeployClient
    from deployer.verbs.deployment import Deployment, Deployments

_AT_ONCE = 8


@click.command(name="list")
@options.places
@options.endpoint
@click.option("-l", "--selector", metavar="TEXT", help="Those with such labels, or tags: team=ml,env!=test; 'env in (dev, test)', !team.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces of the cluster.")
@options.output()
@options.run
def list_deployments(
    session: Session, places: tuple[ChosenTarget, ...], endpoint: str | None, selector: str | None, output: str | None, *, all_namespaces: bool
) -> None:
    """List the deployments on a target, or on several: -t, again and again.

    A target that can't be asked hides no other: what is wrong with it is told below the table.
    """

    def ask(client: DeployClient) -> Deployments:
        return client.list_deployments(endpoint, selector=selector, all_namespaces=all_namespaces)

    like = f" with {selector}" if selector else ""
    if len(places) > 1:
        _list_several(session, places, ask, output or "", like)
        return
    client = (places or (ChosenTarget(),))[0].client()
    found = ask(client)
    if not found and (output or "") in TEXT:
        say(f"There are no deployments{like} on {client.uri}.", err=True)
    _emit(found, output or "", several=all_namespaces)


def _list_several(session: Session, places: tuple[ChosenTarget, ...], ask: Callable[[DeployClient], Deployments], form: str, like: str) -> None:
    tasks = [_task(place, ask) for place in places]
    refuse_twins(tasks)
    outcomes = run_all([[task] for task in tasks], lambda _: silent, concurrency=_AT_ONCE)
    found = [deployment for each in outcomes for deployment in each.result or ()]
    if not found and form in TEXT:
        say(f"There are no deployments{like} on {', '.join(each.target for each in outcomes if each.result is not None) or 'any of them'}.", err=True)
    _emit(found, form, several=True)
    errors = [told(each.error, Session(session.output, session.debug, each.target), of=each.target) for each in outcomes if each.error is not None]
    if errors or not all(each.begun for each in outcomes):
        click.get_current_context().exit(exit_code_of(errors))


def _task(place: ChosenTarget, ask: Callable[[DeployClient], Deployments]) -> Task[Deployments]:
    client = place.client()
    return Task("", str(client.uri), lambda _: ask(client))


def _emit(found: list[Deployment], form: str, *, several: bool = False) -> None:
    emit(
        form,
        [each.document() for each in found],
        [each.name for each in found],
        lambda: list_table(found, width_of(form), whole=form == "wide", several=several),
    )


def list_table(found: list[Deployment], width: int | None = None, *, whole: bool = False, several: bool = False) -> str:
    """One row a deployment; the target's own columns between generation and age, a reason at the end where something is wrong.

    Args:
        several: say which target each is on.
    """
    if not found:
        return ""
    own = list(dict.fromkeys(column for each in found for column in each.columns))
    rows = [["NAME", *(["TARGET"] if several else []), "STATUS", "MODEL", "GENERATION", *own, "AGE"]]
    for each in found:
        row = [
            each.name,
            *([each.target] if several else []),
            str(each.status),
            each.model if whole else shortened(each.model),
            each.generation,
            *(each.columns.get(column, "") for column in own),
            age(each.created),
        ]
        rows.append([*row, " ".join(each.reason.split())] if each.reason else row)
    return table(rows, width=width, hide=("GENERATION", *reversed(own), "AGE", "MODEL"))
