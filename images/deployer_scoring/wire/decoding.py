"""A request's body and content type to the data and params that a model is asked with.

The formats are MLflow's scoring protocol of today, and the bodies from before version 2: a bare split object, and
`application/json; format=pandas-split|pandas-records`, which get their answers bare. Requests that are exactly as the signature says become
a Table at once (blocks.py); all others go MLflow's own way, value by value, which decides whether they are right.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Callable, Optional

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.wire.arrays import Arrays
from deployer_scoring.wire.blocks import Blocks
from deployer_scoring.wire.csv_frames import from_csv, in_utf_8, is_charset
from deployer_scoring.wire.csv_numbers import split_of_numbers
from deployer_scoring.wire.frames import from_parquet, from_records, from_split
from deployer_scoring.wire.instances import from_inputs, from_instances
from deployer_scoring.wire.jsonbytes import has_each_key_once, has_keys, orjson, read_json
from deployer_scoring.wire.records import RecordsReader

FORMATS = {"dataframe_split": from_split, "dataframe_records": from_records, "instances": from_instances, "inputs": from_inputs}
_LEGACY = {"pandas-split": from_split, "pandas-records": from_records}
_LEGACY_NAMES = {"pandas-split": "dataframe_split", "pandas-records": "dataframe_records"}
_SPLIT_KEYS = {"columns", "data", "index"}
_LANGUAGE_MODEL_KEYS = {"messages", "prompt", "input"}
# Formats whose strings pass through an array of numpy, which cuts off NULs at their ends.
_STRIPPED = {"inputs", "instances"}
_ESCAPED_NUL = b"\\u0000"
_PAST_INTEGERS = 2.0**63
_MEDIA = {"application/json", "text/csv", "application/vnd.apache.parquet"}
_MOST_CONTENT_TYPES = 64
_TYPES = "application/json, text/csv and application/vnd.apache.parquet"


@dataclass(frozen=True)
class Decoded:
    """What a request asks."""

    data: Any
    """A Table, which is enforced already; or else what MLflow's server makes of the body before its signature is enforced."""
    params: Any
    wrapped: bool = True
    """Whether the answer stands under `predictions`."""


@dataclass(frozen=True)
class _ContentType:
    media: str
    layout: Optional[str]
    """`pandas-split` or `pandas-records`, from before MLflow 2."""
    charset: Optional[str] = None
    """Of CSV, where it isn't UTF-8."""


class Decoder:
    """Reads requests for one model. Keeps what it learned of the columns that clients send, so make one per model; not for several threads."""

    def __init__(self, model: MLModel) -> None:
        """Prepare reading.

        Args:
            model: Its signature leads the types.
        """
        self._model = model
        self._inputs = model.signature.inputs if model.signature else None
        self._content_types: dict[str, _ContentType] = {}
        self._blocks: Optional[Blocks] = None
        self._records: Optional[RecordsReader] = None
        self._has_text = False
        self._readers: dict[str, Callable[[Any], Any]] = {}
        if orjson is None or self._inputs is None or model.is_signature_from_type_hint:
            return
        if Arrays.takes(self._inputs):
            arrays = Arrays(self._inputs)
            self._readers = {"instances": arrays.from_instances, "inputs": arrays.from_inputs}
        elif Blocks.takes(self._inputs):
            blocks = Blocks(self._inputs)
            self._blocks, self._has_text = blocks, blocks.has_text
            self._records = RecordsReader(self._inputs) if RecordsReader.takes(self._inputs) else None
            self._readers = {
                "dataframe_split": blocks.from_split,
                "dataframe_records": blocks.from_records,
                "instances": blocks.from_instances,
                "inputs": blocks.from_inputs,
            }

    def decode(self, body: bytes, content_type: str) -> Decoded:
        """Read a request.

        Args:
            body: The bytes as sent.
            content_type: The header's value, with its parameters.

        Raises:
            InvalidInput: With status 415 for a content type or charset that isn't known, else 400 and what is wrong where.
        """
        kind = self._content_types.get(content_type) or self._content_type(content_type)
        if kind.charset is not None:
            body = in_utf_8(body, kind.charset)
        if self._readers:
            decoded = self._at_once(body, kind)
            if decoded is not None:
                return decoded
        return _decoded(body, kind, self._model)

    def _content_type(self, content_type: str) -> _ContentType:
        kind = _parsed(content_type)
        if len(self._content_types) < _MOST_CONTENT_TYPES:
            self._content_types[content_type] = kind
        return kind

    def _at_once(self, body: bytes, kind: _ContentType) -> Optional[Decoded]:
        """The request as a Table, or a tensor's array; None where anything about it is doubtful."""
        try:
            if kind.media == "text/csv":
                return self._csv(body, self._blocks) if self._blocks is not None and self._blocks.has_numbers_alone else None
            if self._records is not None and self._blocks is not None and kind.layout is None and RecordsReader.may_be(body):
                with contextlib.suppress(Exception):  # of whatever kind: there are other ways
                    rows = self._records.rows(body)
                    if has_keys(body, 1 + len(rows) * self._records.width):
                        return Decoded(self._blocks.from_rows(rows), None)
            value = orjson.loads(body)
            strips = self._has_text and _ESCAPED_NUL in body
            if kind.layout is not None or len(value) != 1:
                return self._in_other_forms(value, kind.layout, strips=strips) if has_each_key_once(body, value) else None
            ((name, data),) = value.items()
            if strips and name in _STRIPPED:
                return None
            found = self._readers[name](data)
            return Decoded(found, None) if has_keys(body, 1 + _keys_of(data)) else None
        except Exception:  # of whatever kind: the other way finds it again, and has words for it
            return None

    def _csv(self, body: bytes, blocks: Blocks) -> Decoded:
        try:
            split = split_of_numbers(body)
            if split is not None:
                return Decoded(blocks.from_split(split), None)
        except Exception:  # for pandas to say
            pass
        frame = from_csv(body, self._inputs)
        try:
            return Decoded(blocks.from_frame(frame), None)
        except Exception:  # for enforcement to say
            return Decoded(frame, None)

    def _in_other_forms(self, value: Any, layout: Optional[str], *, strips: bool) -> Optional[Decoded]:
        """A request with params beside its data, or one in a form from before MLflow 2."""
        if layout is not None:
            return Decoded(self._readers[_LEGACY_NAMES[layout]](value), None, wrapped=False)
        found = [name for name in FORMATS if name in value]
        if not found and value.keys() <= _SPLIT_KEYS:
            return Decoded(self._readers["dataframe_split"](value), None, wrapped=False)
        params = value.get("params")
        if len(found) != 1 or value.keys() & _LANGUAGE_MODEL_KEYS or (strips and found[0] in _STRIPPED) or _has_huge_number(params):
            return None
        return Decoded(self._readers[found[0]](value[found[0]]), params)


def decode(body: bytes, content_type: str, model: MLModel) -> Decoded:
    """Read a request in MLflow's own way alone; as `Decoder.decode`, but that the data is never a Table."""
    kind = _parsed(content_type)
    return _decoded(body if kind.charset is None else in_utf_8(body, kind.charset), kind, model)


def _decoded(body: bytes, kind: _ContentType, model: MLModel) -> Decoded:
    try:
        return _decode(body, kind, model)
    except InvalidInput:
        raise
    except Exception as error:  # whatever pandas or numpy make of a strange body, it is the body that is at fault
        raise InvalidInput(f"the body can't be read: {type(error).__name__}: {error}") from error


def _parsed(content_type: str) -> _ContentType:
    media, _, rest = content_type.partition(";")
    media, options = media.strip().lower(), _options(rest)
    charset = options.pop("charset", "utf-8").lower()
    is_utf_8 = charset in {"utf-8", "utf8"}
    if not is_utf_8 and not (media == "text/csv" and is_charset(charset)):
        raise InvalidInput(f"the charset {charset} is not taken; send UTF-8", status=415)
    layout = options.pop("format", None) if media == "application/json" else None
    if options or (layout is not None and layout not in _LEGACY):
        unknown = ", ".join(options) or f"format={layout}"
        raise InvalidInput(f"the content type has a parameter that is not known: {unknown}", status=415)
    if media not in _MEDIA:
        raise InvalidInput(f"the content type {content_type or '(none)'} is not taken; send one of {_TYPES}", status=415)
    return _ContentType(media, layout, None if is_utf_8 else charset)


def _decode(body: bytes, kind: _ContentType, model: MLModel) -> Decoded:
    inputs = model.signature.inputs if model.signature else None
    if kind.layout is not None:
        return Decoded(_LEGACY[kind.layout](read_json(body), inputs), None, wrapped=False)
    if kind.media == "application/json":
        return _decode_json(read_json(body), model)
    if kind.media == "text/csv":
        return Decoded(from_csv(body, inputs), None)
    return Decoded(from_parquet(body, inputs), None)


def _keys_of(data: Any) -> int:
    """How many keys there are in data that holds rows, columns or an object of these."""
    if type(data) is dict:
        return len(data)
    return sum(map(len, data)) if type(data) is list and data and type(data[0]) is dict else 0


def _has_huge_number(value: Any) -> bool:
    """Whether there is a float in it that may have been an integer past 64 bits, before orjson read it."""
    if isinstance(value, (list, dict)):
        return any(map(_has_huge_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and abs(value) >= _PAST_INTEGERS


def _options(rest: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in rest.split(";") if pair.strip())
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _decode_json(value: Any, model: MLModel) -> Decoded:
    if not isinstance(value, dict):
        raise InvalidInput(f"the body must be a JSON object with one of {', '.join(FORMATS)}, not {type(value).__name__}")
    if value.keys() & _LANGUAGE_MODEL_KEYS:
        return _decode_language_model_call(value, model)
    inputs = model.signature.inputs if model.signature else None
    params = value.get("params")
    if model.is_signature_from_type_hint:
        if "inputs" not in value:
            message = f"the model's signature comes from type hints, so the body needs inputs; it has {_keys(value)}"
            raise InvalidInput(message, error_code=INVALID_PARAMETER_VALUE)
        return Decoded(value["inputs"], params)  # as it is: the model itself checks it against its hints
    found = [name for name in FORMATS if name in value]
    if not found and value.keys() & {"columns", "data"} and value.keys() <= _SPLIT_KEYS:
        return Decoded(from_split(value, inputs), None, wrapped=False)
    if len(found) != 1:
        raise InvalidInput(f"the body must have exactly one of {', '.join(FORMATS)}; it has {_keys(value)}")
    return Decoded(FORMATS[found[0]](value[found[0]], inputs), params)


def _decode_language_model_call(value: dict[str, Any], model: MLModel) -> Decoded:
    """A call of a language model, unwrapped: what the signature declares as a parameter is one, the rest is the data."""
    declared = {each.name for each in model.signature.params.params} if model.signature and model.signature.params else set()
    return Decoded(
        {name: item for name, item in value.items() if name not in declared},
        {name: item for name, item in value.items() if name in declared},
        wrapped=False,
    )


def _keys(value: dict[str, Any]) -> str:
    return ", ".join(map(repr, value)) or "nothing"
