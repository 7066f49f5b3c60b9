"""The Open Inference Protocol, version 1: rows under `instances` (or `inputs`) to the data that a model is asked with, predictions to JSON.

What KServe's own servers make of a body is made of it here: lists are rows in the signature's order, an object is a row, or with lists as its
values several, and so is a list of objects. Answers are strict JSON: what is no number is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Optional

from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.schema.datatypes import Array, DataType
from deployer_scoring.schema.signature import Schema
from deployer_scoring.wire.blocks import Blocks
from deployer_scoring.wire.decoding import Decoded
from deployer_scoring.wire.encoding import encode
from deployer_scoring.wire.frames import from_records, from_split
from deployer_scoring.wire.instances import from_instances
from deployer_scoring.wire.jsonbytes import read_json


class FirstVersionCodec:
    """The protocol for one model."""

    def __init__(self, model: MLModel) -> None:
        """Make it.

        Args:
            model: Its signature leads the types.
        """
        self._inputs: Optional[Schema] = model.signature.inputs if model.signature else None
        self._hinted = model.is_signature_from_type_hint
        fits = self._inputs is not None and not self._hinted and Blocks.takes(self._inputs)
        blocks = Blocks(self._inputs) if fits and self._inputs is not None else None
        self._blocks = blocks if blocks is not None and blocks.has_numbers_alone else None

    def decode(self, body: bytes, route: str) -> Decoded:
        """Read a request.

        Args:
            body: JSON.
            route: Means nothing here.

        Raises:
            InvalidInput: Not of the protocol, or not what the signature wants.
        """
        value = read_json(body)
        name = "inputs" if isinstance(value, dict) and "inputs" in value else "instances"
        if not isinstance(value, dict) or not isinstance(value.get(name), list):
            raise InvalidInput("the body must be a JSON object with instances, a list of rows")
        rows, params = value[name], value.get("params")
        if self._hinted:
            return Decoded(rows, params)  # the model itself checks it against its hints
        try:
            return Decoded(self._data(rows), params)
        except InvalidInput:
            raise
        except Exception as error:  # whatever pandas or numpy make of strange rows, it is the request that is at fault
            raise InvalidInput(f"{name} can't be read: {type(error).__name__}: {error}") from error

    def _data(self, rows: list[Any]) -> Any:
        has_objects = any(map(_holds_objects, rows))
        if self._inputs is None:
            if has_objects:
                return from_records(list(self._records(rows)), None)
            return rows if rows and isinstance(rows[0], str) else from_instances(rows, None)
        if self._inputs.is_tensor_spec():
            return from_instances(list(self._records(rows)) if has_objects else rows, self._inputs)
        if has_objects:
            records = list(self._records(rows))
            return self._at_once("from_records", records) or from_records(records, self._inputs)
        names = self._inputs.input_names()
        if len(names) == 1 and not _is_row_of_one(rows, self._inputs):
            rows = [[each] for each in rows]
        for number, row in enumerate(rows, 1):
            if not isinstance(row, list) or len(row) != len(names):
                raise InvalidInput(f"row {number} of instances must be a list of {len(names)}, {', '.join(map(str, names))}, or an object")
        split = {"columns": names, "data": rows} if self._inputs.has_input_names() else {"data": rows}
        return self._at_once("from_split", split) or from_split(split, self._inputs)

    def _at_once(self, reader: str, value: Any) -> Any:
        """As a Table; None where anything about it is doubtful."""
        try:
            return None if self._blocks is None else getattr(self._blocks, reader)(value)
        except Exception:  # of whatever kind: the other way finds it again, and has words for it
            return None

    def _records(self, rows: list[Any]) -> Iterator[dict[str, Any]]:
        """A row for each object, for each of a list of objects, or for each place in the lists that an object has."""
        for row in rows:
            for each in row if isinstance(row, list) else [row]:
                if not isinstance(each, dict):
                    raise InvalidInput("instances must be all objects, or none of them")
                yield from self._spread(each)

    def _spread(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        lengths = {len(value) if isinstance(value, list) else -1 for value in row.values()}
        if len(lengths) != 1 or lengths == {-1} or not self._takes_scalars_alone():
            yield row
            return
        for values in zip(*row.values()):
            yield dict(zip(row, values))

    def _takes_scalars_alone(self) -> bool:
        return self._inputs is None or all(isinstance(each.type, DataType) for each in self._inputs.columns)

    def encode(self, predictions: Any, asked: Decoded) -> bytes:
        """Write an answer.

        Raises:
            EncodingError: A value has no JSON form.
        """
        written = encode(predictions, wrapped=True)
        if b"NaN" in written or b"Infinity" in written:
            return json.dumps(json.loads(written, parse_constant=lambda _: None)).encode()
        return written


def _holds_objects(row: Any) -> bool:
    return isinstance(row, dict) or (isinstance(row, list) and bool(row) and isinstance(row[0], dict))


def _is_row_of_one(rows: list[Any], inputs: Schema) -> bool:
    """Whether rows of a model of one column are lists of one value, and not the values themselves."""
    takes_lists = isinstance(inputs.columns[0].type, Array)
    deep = all(isinstance(row, list) and len(row) == 1 and isinstance(row[0], list) for row in rows)
    return deep if takes_lists else all(isinstance(row, list) for row in rows)
