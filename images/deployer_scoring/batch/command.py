"""`python -m deployer_scoring predict`: the options, the signals, the exit codes."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Optional

from deployer_scoring.errors import InvalidInput, MLModelError, ScoringError, kind_of

FORMATS = ("csv", "json", "jsonl", "parquet")
WRONG_USE, FAILED, MACHINE, INTERRUPTED, NOBODY_READS = 2, 1, 10, 130, 141
_ENDING = (signal.SIGINT, signal.SIGTERM)
_ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


def main(arguments: list[str]) -> int:
    """Score as the options say.

    Returns:
        0 done, 1 the model failed, 2 wrong use or an input that doesn't fit, 10 this machine, 130 interrupted, 141 nobody reads.
    """
    parent = os.getppid()
    given = _parsed(arguments)
    for number in _ENDING:
        signal.signal(number, _interrupt)
    try:
        return _score(given, parent if given.events is not None else None)
    except KeyboardInterrupt:
        return INTERRUPTED


def _score(given: argparse.Namespace, parent: Optional[int]) -> int:
    from deployer_scoring.batch.predicting import Batch, OrphanedError, run, telling

    tell = telling(given.events)
    forms = given.format or format_of(given.input), given.output_format or format_of(given.output)
    try:
        tell(event="finished", rows=run(Batch(given.model, given.input, given.output, *forms, given.params, given.chunk_rows), tell, parent))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python's own flush at exit must not complain either
        return NOBODY_READS
    except (ScoringError, OSError) as error:
        tell(event="failed", kind=kind_of(error), message=str(error), errno=getattr(error, "errno", None))
        if given.events is None:
            sys.stderr.write(f"{error}\n")
        if isinstance(error, OSError):
            return MACHINE
        return WRONG_USE if isinstance(error, (InvalidInput, MLModelError)) else FAILED
    except OrphanedError:
        return INTERRUPTED
    return 0


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deployer-scoring predict", description="Scores a file in chunks, with bounded memory.")
    parser.add_argument("--model", type=Path, required=True, help="the model's directory")
    parser.add_argument("--input", type=Path, default=None, help="the file to score (default: standard input)")
    parser.add_argument("--output", type=Path, default=None, help="where the predictions go (default: standard output)")
    parser.add_argument("--format", choices=FORMATS, default=None, help="of the input (default: by its ending, else jsonl)")
    parser.add_argument("--output-format", choices=FORMATS, default=None, help="default: by the output's ending, else jsonl")
    parser.add_argument("--params", type=_object, default=None, help="the model's parameters, a JSON object")
    parser.add_argument("--chunk-rows", type=_count, default=None, help="rows that are scored at once; 0 for all")
    parser.add_argument("--events", type=int, default=None, metavar="DESCRIPTOR", help="where to write events, a line of JSON each")
    return parser.parse_args(arguments)


def format_of(path: Optional[Path]) -> str:
    """The format that a file's ending names; JSON lines where it names none, and without a file."""
    return _ENDINGS.get(path.suffix.lower(), "jsonl") if path else "jsonl"


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _count(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


def _interrupt(*_: object) -> None:
    for number in _ENDING:
        signal.signal(number, _go_on)
    raise KeyboardInterrupt


def _go_on(*_: object) -> None:
    """A second signal must not interrupt the tidying up. Not SIG_IGN: of one that has struck already Python would complain, as of a race."""
