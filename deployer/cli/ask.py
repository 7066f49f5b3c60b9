"""predict and explain."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

import click

from deployer.cli import options
from deployer.cli.options import Place
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.target import Payload

CONTENT_TYPES = {".csv": "text/csv", ".json": "application/json"}


@click.command()
@options.place
@options.name(required=True)
@click.option("-i", "-I", "--input", "--input-path", "source", metavar="FILE", help="The request's body, JSON or CSV; - or nothing: standard input.")
@click.option("-d", "--data", metavar="JSON", help="The request's body itself.")
@click.option("-O", "--output-path", type=click.Path(path_type=Path, dir_okay=False), help="Write the answer there.")
@click.option("--content-type", metavar="TYPE", help="What the body is; default: by the file's ending, else application/json.")
@click.option("--accept", default="application/json", show_default=True, metavar="TYPE", help="What the answer should be.")
@click.option("--stream", is_flag=True, help="Print the answer's pieces as the model makes them.")
@click.option("--endpoint", metavar="NAME", help="The endpoint, where a target has endpoints apart from deployments.")
@options.run
def predict(
    *,
    session: Session,
    place: Place,
    name: str,
    source: str | None,
    data: str | None,
    output_path: Path | None,
    content_type: str | None,
    accept: str,
    stream: bool,
    endpoint: str | None,
) -> None:
    """Send input to a deployment and print the answer as it comes."""
    payload = Payload(_body(source, data), content_type or CONTENT_TYPES.get(Path(source or "").suffix.lower(), "application/json"), accept)
    client = place.client()
    with output_path.open("wb") if output_path else click.open_file("-", "wb") as sink:
        if stream:
            for piece in client.predict_stream(name, payload.body, endpoint, content_type=payload.content_type, accept=accept):
                sink.write(piece)
                sink.flush()
        else:
            _write(sink, client.query(name, payload, endpoint).body, is_text=output_path is None)


@click.command()
@options.place
@options.name(required=True)
@click.option("-i", "-I", "--input", "--input-path", "source", metavar="FILE", help="The request's body, JSON; - or nothing: standard input.")
@options.run
def explain(session: Session, place: Place, name: str, source: str | None) -> None:
    """Explain predictions, where a target can."""
    client = place.client()
    click.echo(client.explain(name, _body(source, None) if client.supports("explain") else None))


def _body(source: str | None, data: str | None) -> bytes:
    if data is not None and source is not None:
        raise ConfigInvalid("both --input and --data are given", advice="leave one out")
    if data is not None:
        return data.encode()
    if source is None or source == "-":
        if sys.stdin.isatty():
            raise ConfigInvalid("no input is given", advice="-i FILE, -d JSON, or standard input")
        return sys.stdin.buffer.read()
    return Path(source).read_bytes()


def _write(sink: IO[Any], body: bytes, *, is_text: bool) -> None:
    sink.write(body if not is_text or body.endswith(b"\n") else body + b"\n")
