"""predict and explain."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget
from deployer.cli.output import dump, emit
from deployer.cli.session import Session
from deployer.core.target import Payload
from deployer.errors import ConfigInvalid
from deployer.requests.files import ENDINGS, RequestFile, read_request
from deployer.words import shown, table

_source = click.option(
    "-i", "-I", "--input", "--input-path", "source", metavar="FILE", help="The request: csv, json, jsonl or parquet; - or nothing: standard input."
)


@click.command()
@options.name
@options.place
@_source
@click.option("-d", "--data", metavar="TEXT", help="The request itself.")
@click.option(
    "--content-type",
    metavar="TYPE",
    help="What the request is: csv, json, jsonl, parquet, or a MIME type; default: by the file's ending, or as it looks.",
)
@click.option("--as-is", is_flag=True, help="Send the request as it is, whatever it looks like.")
@click.option("--accept", default="application/json", show_default=True, metavar="TYPE", help="What the answer should be.")
@click.option("--stream", is_flag=True, help="Print the answer's pieces as the model makes them.")
@options.endpoint
@click.option("-O", "--output-path", type=click.Path(path_type=Path, dir_okay=False), help="Write the answer there.")
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml", "jsonl", "table"]), help="How to print the answer; default: as the model's server wrote it."
)
@click.option("-q", "--quiet", is_flag=True, help="Don't say what was sent.")
@options.run
def predict(
    *,
    session: Session,
    place: ChosenTarget,
    name: str | None,
    source: str | None,
    data: str | None,
    content_type: str | None,
    as_is: bool,
    accept: str,
    stream: bool,
    endpoint: str | None,
    output_path: Path | None,
    output: str | None,
    quiet: bool,
) -> None:
    """Send input to a deployment and print the answer as it comes.

    \b
    CSV and Parquet with named columns; JSON lines; JSON in MLflow's forms (dataframe_split, dataframe_records, inputs, instances), and bare:
    a list of records, one record, columns with their values, columns and data. What was sent is said on standard error.
    """
    if stream and endpoint and not (name or place.files):
        raise ConfigInvalid("--stream asks one deployment", advice="name it: -n NAME")
    if stream and output:
        raise ConfigInvalid("-o can't be had with --stream, which prints the answer as it comes", advice="leave one of them out")
    client = place.client()
    deployment = None if endpoint and not (name or place.files) else client.name_for(name, None)
    request = _request(_body(source, data, place), source, content_type, accept, as_is)
    payload = request.payload
    if not quiet:
        click.echo(f"Sends {request.form}.", err=True)
    with output_path.open("wb") if output_path else click.open_file("-", "wb") as sink:
        if stream:
            for piece in client.predict_stream(deployment or "", payload.body, endpoint, content_type=payload.content_type, accept=accept):
                sink.write(piece)
                sink.flush()
        else:
            answer = client.query(deployment, payload, endpoint)
            _write(sink, _printed(answer, output), is_text=output_path is None or output is not None)


@click.command()
@options.name
@options.place
@options.endpoint
@_source
@options.output("json", "yaml")
@options.run
def explain(*, session: Session, place: ChosenTarget, name: str | None, endpoint: str | None, source: str | None, output: str | None) -> None:
    """Explain predictions, where a target can."""
    client = place.client()
    found = client.explain(client.name_for(name, None), _body(source, None, place) if client.supports("explain") else None, endpoint)
    emit(output or "", found, [], lambda: str(found))


def _request(body: bytes, source: str | None, content_type: str | None, accept: str, as_is: bool) -> RequestFile:
    kind = content_type or ENDINGS.get(Path(source or "").suffix.lower())
    if as_is:
        return RequestFile(Payload(body, kind or "application/json", accept), f"the input as it is, as {kind or 'application/json'}")
    return read_request(body, kind, accept=accept, name="the input" if source in (None, "-") else str(source))


def _body(source: str | None, data: str | None, place: ChosenTarget) -> bytes:
    if data is not None and source is not None:
        raise ConfigInvalid("both --input and --data are given", advice="leave one out")
    if data is not None:
        return data.encode()
    if source not in (None, "-"):
        return Path(str(source)).read_bytes()
    if place.file is not None and place.file.is_standard_input:
        raise ConfigInvalid("standard input can't be both the deployment's file and the request", advice="-i FILE or -d TEXT for the request")
    if sys.stdin.isatty():
        raise ConfigInvalid("no input is given", advice="-i FILE, -d JSON, or standard input")
    return sys.stdin.buffer.read()


def _printed(answer: Payload, output: str | None) -> bytes:
    """The answer in the form asked for.

    Raises:
        ConfigInvalid: it isn't JSON, of which alone another form can be made.
    """
    if output is None:
        return answer.body
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise ConfigInvalid(f"the answer is {answer.content_type}, not JSON, and can't be printed as {output}", advice="leave -o out") from error
    predictions = found["predictions"] if isinstance(found, dict) and "predictions" in found else found
    if output == "table":
        return table(rows_of(predictions)).encode()
    if output == "jsonl" and isinstance(predictions, list):
        return "\n".join(dump(each, output, secrets=True) for each in predictions).encode()
    return dump(found, output, secrets=True).encode()


def rows_of(predictions: Any) -> list[Sequence[str]]:
    """Records by their columns, columns by their rows; anything else is a column of its own."""
    if isinstance(predictions, dict) and predictions and all(isinstance(each, list) for each in predictions.values()):
        longest = max(map(len, predictions.values()))
        predictions = [{name: each[row] for name, each in predictions.items() if row < len(each)} for row in range(longest)]
    rows = predictions if isinstance(predictions, list) else [predictions]
    if rows and all(isinstance(each, dict) for each in rows):
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return [columns, *([_cell(row[name]) if name in row else "" for name in columns] for row in rows)]
    return [["prediction"], *([_cell(each)] for each in rows)]


def _cell(value: Any) -> str:
    return "" if value is None else shown(value)


def _write(sink: IO[Any], body: bytes, *, is_text: bool) -> None:
    sink.write(body if not is_text or body.endswith(b"\n") else body + b"\n")
