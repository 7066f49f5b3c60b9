"""A file with a request, as the body that a model's server takes: CSV, JSON as people and other tools write it, JSON lines, Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.target import Payload
from deployer.errors import ConfigInvalid
from deployer.requests import payloads

CSV, JSON, LINES, PARQUET = "text/csv", payloads.JSON, "application/jsonlines", "application/vnd.apache.parquet"
ENDINGS: Mapping[str, str] = {".csv": CSV, ".json": JSON, ".jsonl": LINES, ".ndjson": LINES, ".parquet": PARQUET, ".pq": PARQUET}
TYPES: Mapping[str, str] = {
    "csv": CSV,
    "json": JSON,
    "jsonl": LINES,
    "parquet": PARQUET,
    "application/csv": CSV,
    "application/x-ndjson": LINES,
    "application/jsonl": LINES,
    "application/x-parquet": PARQUET,
}
"""Short names, and other names of the same."""
_BODY = payloads.WRAPPERS | {"input", "prompt"}
"""An object with one of these keys is a body already: MLflow's scoring protocol, and what language models take."""


@dataclass(frozen=True, slots=True)
class RequestFile:
    """A request to send. `form` is what it holds and what is sent for it, in words."""

    payload: Payload
    form: str


def read_request(body: bytes, content_type: str | None, *, accept: str = JSON, name: str = "the input") -> RequestFile:
    """The request that a file stands for.

    Args:
        body: the file.
        content_type: what it is, also as in `TYPES`; one that isn't known here is sent with the body as it is. None: as it looks.
        name: what the file is called in errors.

    Raises:
        ConfigInvalid: it isn't what it is said to be, with the place.
    """
    given = (content_type or _looks_like(body)).partition(";")[0].strip().lower()
    kind = TYPES.get(given, given)
    if kind == JSON:
        return _json(body, accept, name)
    if kind == LINES:
        return _lines(body, accept, name)
    if kind == PARQUET:
        return _parquet(body, accept, name)
    return RequestFile(Payload(body, kind if given in TYPES else content_type or kind, accept), "CSV" if kind == CSV else str(content_type))


def _looks_like(body: bytes) -> str:
    """Parquet by its first bytes, JSON and JSON lines by theirs; what is neither is CSV."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if body.startswith(b"PAR1"):
        return PARQUET
    if start not in (b"{", b"["):
        return CSV if start and b"\n" in body.strip() else JSON
    try:
        json.loads(body)
    except ValueError:
        first, _, rest = body.strip().partition(b"\n")
        return LINES if rest and _is_json(first) else JSON
    return JSON


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json(body: bytes, accept: str, name: str) -> RequestFile:
    """A body as it is; anything else in the form that says the same, its text untouched where it only needs a name."""
    text, value = _parsed(body, name)
    if isinstance(value, dict) and (_BODY & value.keys() or not value):
        form = next((key for key in value if key in _BODY), "an empty object")
        return RequestFile(Payload(text.encode(), JSON, accept), f"JSON: {form}")
    if isinstance(value, dict) and {"columns", "data"} <= value.keys():
        return _named("dataframe_split", text, accept, "JSON: columns and data")
    if isinstance(value, dict):
        return _object(text, value, accept)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return _named("dataframe_records", text, accept, f"JSON: {_count(len(value), 'record')}")
    return _named("inputs", text, accept, "JSON: a list" if isinstance(value, list) else "JSON: a value")


def _object(text: str, value: dict[str, Any], accept: str) -> RequestFile:
    """Columns by name (lists, or pandas' objects by row label), else one record."""
    columns = list(value.values())
    if all(isinstance(each, dict) and each.keys() == columns[0].keys() and all(key.isdigit() for key in each) for each in columns) and columns[0]:
        return _split(list(value), zip(*(each.values() for each in columns), strict=True), accept, "JSON: columns by row label")
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        return _named("dataframe_records", f"[{text}]", accept, "JSON: one record")
    if any(isinstance(each, (list, dict)) for column in columns for each in column):
        return _named("inputs", text, accept, "JSON: columns of arrays")
    return _split(list(value), zip(*columns, strict=True), accept, "JSON: columns")


def _lines(body: bytes, accept: str, name: str) -> RequestFile:
    rows = []
    for number, line in enumerate(_text(body, name).splitlines(), 1):
        if line.strip():
            rows.append(_value(line, f"{name}:{number}"))
    if not rows:
        raise ConfigInvalid(f"{name} is empty", advice="JSON lines have a record a line")
    key = "dataframe_records" if all(isinstance(each, dict) for each in rows) else "inputs"
    return _made({key: rows}, accept, f"{_count(len(rows), 'JSON line')}, sent as {key}")


def _parquet(body: bytes, accept: str, name: str) -> RequestFile:
    """Its rows, where there is something here that reads them; else the file, for a model whose environment has it."""
    import io

    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        return RequestFile(Payload(body, PARQUET, accept), "Parquet, as it is (pyarrow, which isn't installed here, would send its rows as JSON)")
    try:
        table = parquet.read_table(io.BytesIO(body))
    except (ArrowException, OSError) as error:
        raise ConfigInvalid(f"{name} can't be read as Parquet", why=str(error).partition("\n")[0]) from error
    # pandas' index is no column of the model's.
    index = {each for each in (json.loads((table.schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns") or ()) if isinstance(each, str)}
    table = table.drop_columns([each for each in table.column_names if each in index])
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return _split(table.column_names, rows, accept, f"Parquet: {_count(len(rows), 'row')}")


def _parsed(body: bytes, name: str) -> tuple[str, Any]:
    text = _text(body, name)
    if not text.strip():
        raise ConfigInvalid(f"{name} is empty", advice="-i FILE, -d JSON, or standard input")
    return text, _value(text, name)


def _text(body: bytes, name: str) -> str:
    """Also with a byte order mark, and in UTF-16, as some editors and shells write it."""
    try:
        return body.decode(json.detect_encoding(body)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{name} is not text", why=str(error), advice="--content-type says what it is, where its ending doesn't") from error


def _value(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigInvalid(
            f"{place} is not JSON: {error or 'nested too deeply'}", advice="--content-type says what it is, where its ending doesn't: csv, jsonl, ..."
        ) from error


def _named(key: str, text: str, accept: str, form: str) -> RequestFile:
    """The JSON text under a key: numbers stay as they are written."""
    return RequestFile(Payload(f'{{"{key}": {text.strip()}}}'.encode(), JSON, accept), f"{form}, sent as {key}")


def _split(columns: list[str], rows: Any, accept: str, form: str) -> RequestFile:
    data = [[None if isinstance(each, float) and math.isnan(each) else each for each in row] for row in rows]
    return _made({"dataframe_split": {"columns": columns, "data": data}}, accept, f"{form}, sent as dataframe_split")


def _made(body: dict[str, Any], accept: str, form: str) -> RequestFile:
    return RequestFile(payloads.encode(body, accept=accept), form)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
