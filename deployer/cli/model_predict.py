"""models predict."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from deployer.cli import options
from deployer.cli.choices import ModelChoice
from deployer.cli.model_options import env_manager, ignored_of_mlflow
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid

FORMATS = ("csv", "json", "jsonl", "parquet")
_TYPES = {
    "text/csv": "csv",
    "application/json": "json",
    "application/jsonlines": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
}


@click.command()
@options.model
@click.option(
    "-i", "-I", "--input", "--input-path", "source", metavar="FILE", help="What to score: csv, json, jsonl or parquet; - for standard input."
)
@click.option(
    "-o", "-O", "--output", "--output-path", "target", metavar="FILE", help="Where the predictions go; default: JSON lines on standard output."
)
@click.option(
    "-t", "--content-type", "--format", "form", metavar="FORMAT", help="The input's format, or its content type; default: by the file's ending."
)
@click.option("--output-format", type=click.Choice(FORMATS), help="The output's format; default: by the file's ending.")
@click.option("--params", metavar="JSON", help="The model's parameters, as an object.")
@click.option(
    "--chunk-rows", type=click.IntRange(min=0), metavar="N", help="Rows that are scored at once; 0: all. Default: 10000 where rows are independent."
)
@click.option("-r", "--pip-requirements-override", "more", metavar="REQUIREMENTS", help="Requirements that replace the model's, separated by commas.")
@options.variables
@env_manager
@ignored_of_mlflow("--install-mlflow")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@options.run
def predict(
    *,
    session: Session,
    model: ModelChoice,
    source: str | None,
    target: str | None,
    form: str | None,
    output_format: str | None,
    params: str | None,
    chunk_rows: int | None,
    more: str | None,
    variables: Mapping[str, str],
    manager: str,
    quiet: bool,
) -> None:
    """Score a file with a model, on this machine, with the checks that the server makes. The file may be larger than memory.

    \b
    Read a piece at a time: csv, jsonl (a row each line) and parquet; a model that may look at several rows at once is given all of them,
    unless --chunk-rows says otherwise. json is one request in MLflow's form. Progress goes to standard error where that is a terminal.

    -o and -t are MLflow's here, not the format and the target that they are elsewhere.
    """
    from deployer_images.batch import Job, score

    uri = model.named()
    if (source is None or source == "-") and sys.stdin.isatty():
        raise ConfigInvalid("no input is given", advice="-i FILE, or standard input")
    asked = Job(
        Path(),
        source=_file(source),
        target=_file(target),
        form=_format(form),
        target_form=output_format,
        params=_object(params),
        chunk_rows=chunk_rows,
        manager=manager,
        more=tuple(part.strip() for part in (more or "").split(",") if part.strip()),
        variables=variables,
    )
    _look_at_files(asked.source, asked.target)
    with reporting(session, uri, quiet=quiet or not sys.stderr.isatty()) as report:
        found = model.fetched(uri, report)
        assert found.path is not None
        score(replace(asked, model=found.path), report)


def _file(given: str | None) -> Path | None:
    return None if given in (None, "-") else Path(given).absolute()


def _look_at_files(source: Path | None, target: Path | None) -> None:
    """Say at once what an environment later would only say after minutes."""
    if source is not None:
        source.open("rb").close()
    if target is not None and not target.parent.is_dir():
        raise ConfigInvalid(f"there is no directory {target.parent} for the output", advice="make it, or name another place")


def _format(given: str | None) -> str | None:
    if given is None or given in FORMATS:
        return given
    found = _TYPES.get(given.partition(";")[0].strip().lower())
    if found is None:
        raise ConfigInvalid(f"{given} is not a format that is read", advice=f"take one of {', '.join(FORMATS)}, or their content type")
    return found


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigInvalid(f"--params is not JSON: {error}", advice="""write it as '{"name": value}'""") from error
    if not isinstance(value, dict):
        raise ConfigInvalid("--params is not a JSON object", advice="""write it as '{"name": value}'""")
    return value
