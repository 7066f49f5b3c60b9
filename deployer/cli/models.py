"""models check."""

from __future__ import annotations

from dataclasses import asdict

import click

from deployer.cli import options
from deployer.cli.output import emit
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.cli.words import size, table
from deployer.errors import ConfigInvalid
from deployer.state import short


@click.group(no_args_is_help=True)
def models() -> None:
    """Look at models before anything is deployed."""


@models.command()
@click.argument("model", required=False)
@click.option("-m", "--model-uri", "--model", "model_uri", metavar="MODEL", help="The same as the argument.")
@options.output("table", "json", "yaml")
@options.run
def check(session: Session, model: str | None, model_uri: str | None, output: str | None) -> None:
    """Check whether a model can be served, and show what is known of it."""
    from deployer.models import fetch

    uri = model or model_uri
    if not uri:
        raise ConfigInvalid("which model is not said", advice="deploy models check MODEL")
    with reporting(session, uri, quiet=output is not None) as report:
        facts = fetch(uri, report).facts
    rows = [
        ("Model", facts.uri),
        ("Digest", f"sha256:{short(facts.digest)}"),
        ("Size", size(facts.size)),
        ("Framework", facts.framework),
        ("Python", facts.python_version),
        ("Version", facts.version),
        ("Run", facts.run_id),
        ("Requires", ", ".join(facts.requirements)),
        ("Signature", "yes" if facts.signature else "none: any input is passed on as it is"),
    ]
    emit(output or "", asdict(facts), [facts.uri], lambda: table([row for row in rows if row[1]]))
