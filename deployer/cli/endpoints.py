"""create-endpoint, update-endpoint, delete-endpoint, list-endpoints, get-endpoint: endpoints that several named deployments share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget
from deployer.cli.options import Command
from deployer.cli.output import emit, width_of
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.words import table

HEADINGS = ("ENDPOINT", "STATUS", "AUTH", "TRAFFIC", "COPIES", "URL")


def _named(command: Command) -> Command:
    """--endpoint, which has to be there: the command gets `endpoint: str`."""
    return click.option("--endpoint", required=True, metavar="NAME", help="The endpoint's name.")(command)


def _shares(flag: str, what: str) -> Callable[[Command], Command]:
    return click.option(flag, multiple=True, metavar="NAME=PERCENT", help=what)


@click.command()
@_named
@options.place
@options.output()
@options.run
def create_endpoint(*, session: Session, place: ChosenTarget, endpoint: str, output: str | None) -> None:
    """Make an endpoint for several named deployments; -C names its options (auth_mode, tags, ...). It has no traffic before it has deployments."""
    _show([place.client().create_endpoint(endpoint)], output)


@click.command()
@_named
@options.place
@_shares("--traffic", "The share of the requests that a deployment answers; repeatable, and those that aren't named get none.")
@_shares("--mirror", "The share of the requests of which a deployment gets a copy; nobody sees what it answers.")
@click.option("--adopt", is_flag=True, help="Take over an endpoint that isn't ours.")
@options.output()
@options.run
def update_endpoint(
    *, session: Session, place: ChosenTarget, endpoint: str, traffic: tuple[str, ...], mirror: tuple[str, ...], adopt: bool, output: str | None
) -> None:
    """Share an endpoint's traffic among the deployments behind it, or change another option of it; what isn't named stays."""
    flags = {"traffic": (_percentages(traffic, "--traffic"), "--traffic"), "mirror_traffic": (_percentages(mirror, "--mirror"), "--mirror")}
    _show([place.with_flags(flags).client().update_endpoint(endpoint, adopt=adopt)], output)


@click.command()
@_named
@options.place
@options.run
def delete_endpoint(*, session: Session, place: ChosenTarget, endpoint: str) -> None:
    """Remove an endpoint, all deployments behind it and all that is ours of them. One that isn't there is gone already."""
    client = place.client()
    gone = client.delete_endpoint(endpoint)
    click.echo(f"Endpoint {endpoint} is deleted from {client.uri}." if gone else f"There is no endpoint {endpoint} on {client.uri}: nothing to do.")


@click.command()
@options.place
@options.output()
@options.run
def list_endpoints(*, session: Session, place: ChosenTarget, output: str | None) -> None:
    """List the endpoints that several deployments share, and who gets their traffic; list --endpoint lists the deployments behind one."""
    _show(place.client().list_endpoints(), output, several=True)


@click.command()
@_named
@options.place
@options.output()
@options.run
def get_endpoint(*, session: Session, place: ChosenTarget, endpoint: str, output: str | None) -> None:
    """Show one endpoint; with -o yaml or json the cloud's own description too."""
    _show([place.client().get_endpoint(endpoint)], output)


def _percentages(pairs: tuple[str, ...], flag: str) -> dict[str, str] | None:
    """None where nothing is named; "none" names nobody."""
    if not pairs:
        return None
    split = [pair.partition("=") for pair in pairs if pair != "none"]
    if any(not name or not share for name, _, share in split):
        raise ConfigInvalid(f"{flag} takes NAME=PERCENT, or none", advice=f"write it as {flag} blue=90 {flag} green=10")
    return {name: share for name, _, share in split}


def _show(found: list[dict[str, Any]], output: str | None, *, several: bool = False) -> None:
    def text() -> str:
        return table([HEADINGS, *(_row(each) for each in found)], width=width_of(output or ""), hide=("URL", "COPIES")) if found or several else ""

    emit(output or "", found if several else found[0], [str(each["name"]) for each in found], text)


def _row(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    shares = [", ".join(f"{name} {share} %" for name, share in (endpoint.get(key) or {}).items()) for key in ("traffic", "mirror_traffic")]
    return (endpoint["name"], *(str(endpoint.get(key) or "") for key in ("status", "auth_mode")), *shares, str(endpoint.get("url") or ""))
