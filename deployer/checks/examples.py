"""The input example of a model held against its own signature, by the types that JSON has: without numpy or pandas."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deployer.checks.finding import Finding, note, warning
from deployer_scoring.documents import load_json
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.text import is_file, read_text
from deployer_scoring.schema.datatypes import DataType
from deployer_scoring.schema.signature import ColSpec, Schema

_ROWS = 100
_WHOLE = {DataType.integer, DataType.long}
_NUMBERS = {*_WHOLE, DataType.float, DataType.double}
_TEXTS = {DataType.string, DataType.binary, DataType.datetime}
_AGAIN = "save the model again with an example of what it takes, or set its signature with mlflow.models.set_signature"


def check_example(model: MLModel) -> Iterator[Finding]:
    """What is wrong with the input example: not there, not JSON, or not what the signature asks for. At most 100 rows are looked at."""
    info = model.saved_input_example_info or {}
    file = str(info.get("artifact_path") or "")
    if not file:
        return
    path = model.directory / file
    if not is_file(path):
        yield warning("example-missing", file, "the MLmodel names it as the input example, but it is not there", "save the model again")
        return
    try:
        document = load_json(read_text(path))
    except (OSError, ValueError) as fault:
        if getattr(fault, "errno", None) == errno.EFBIG:
            yield note("example-unread", file, "the input example is so large that it was not looked at")
            return
        yield warning("example-broken", file, f"the input example can't be read as JSON: {fault}", "save the model again")
        return
    yield from _serving_example(model.directory, info)
    schema = model.signature.inputs if model.signature else None
    if info.get("type") == "dataframe" and schema is not None and not schema.is_tensor_spec() and not model.is_signature_from_type_hint:
        names, rows = _table(document)
        if rows is not None:
            yield from _against(file, names, rows, schema)


def _serving_example(directory: Path, info: Any) -> Iterator[Finding]:
    name = info.get("serving_input_path")
    if name and not is_file(directory / str(name)):
        yield note("example-missing", str(name), "the MLmodel names it as an example of a request, but it is not there", "save the model again")


def _table(document: Any) -> tuple[list[Any] | None, list[list[Any]] | None]:
    """Names and rows of a saved frame (orient split, or a list of records); None for rows that are neither."""
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        rows = [row for row in document["data"][:_ROWS] if isinstance(row, list)]
        columns = document.get("columns")
        return columns if isinstance(columns, list) else None, rows
    if isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
        names = list(dict.fromkeys(name for row in document[:_ROWS] for name in row))
        return names, [[row.get(name) for name in names] for row in document[:_ROWS]]
    return None, None


def _against(file: str, names: list[Any] | None, rows: list[list[Any]], schema: Schema) -> Iterator[Finding]:
    if not schema.has_input_names() or names is None:
        if rows and len(rows[0]) < len(schema):
            yield warning("example-signature", file, f"the example has {len(rows[0])} columns, the signature {len(schema)}", _AGAIN)
        return
    places = {str(name): index for index, name in enumerate(names)}
    if missing := [str(name) for name in schema.required_input_names() if str(name) not in places]:
        listed = ", ".join(map(repr, missing))
        yield warning("example-signature", file, f"the example lacks {listed}, which the signature requires: the model would refuse it", _AGAIN)
    for column in schema.columns:
        index = places.get(str(column.name))
        if index is not None and isinstance(column.type, DataType):
            yield from _column(file, column, [row[index] for row in rows if index < len(row)])


def _column(file: str, column: ColSpec, values: list[Any]) -> Iterator[Finding]:
    kind = column.type
    assert isinstance(kind, DataType)
    for row, value in enumerate(values):
        if value is None and kind in _WHOLE | {DataType.boolean} and column.required:
            what = f"the column {column.name!r} of the example has a missing value in row {row + 1}, which {kind} can't express"
            yield warning("example-signature", file, what, "declare the column as double in the model's signature")
            return
        if value is not None and not _may_be(value, kind):
            what = f"the column {column.name!r} is {kind} in the signature, but row {row + 1} of the example has {_shown(value)}"
            yield warning("example-signature", file, what, _AGAIN)
            return


def _may_be(value: Any, kind: DataType) -> bool:
    """Whether a JSON value may stand for one of this type. Integers for double pass: pandas may have written 1.0 as 1."""
    if kind in _NUMBERS:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (kind not in _WHOLE or isinstance(value, int) or value.is_integer())
    if kind is DataType.boolean:
        return isinstance(value, bool)
    if kind is DataType.datetime:
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return isinstance(value, str) or kind not in _TEXTS


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
