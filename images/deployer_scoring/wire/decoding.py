"""A request's body and content type to the data and params that a model is asked with.

The formats are MLflow's scoring protocol of today, and the bodies from before version 2: a bare split object, and
`application/json; format=pandas-split|pandas-records`, which get their answers bare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.wire.frames import from_csv, from_parquet, from_records, from_split
from deployer_scoring.wire.instances import from_inputs, from_instances
from deployer_scoring.wire.jsonbytes import read_json

FORMATS = {"dataframe_split": from_split, "dataframe_records": from_records, "instances": from_instances, "inputs": from_inputs}
_LEGACY = {"pandas-split": from_split, "pandas-records": from_records}
_LANGUAGE_MODEL_KEYS = {"messages", "prompt", "input"}
_TYPES = "application/json, text/csv and application/vnd.apache.parquet"


@dataclass(frozen=True)
class Decoded:
    """What a request asks."""

    data: Any
    params: Any
    wrapped: bool = True
    """Whether the answer stands under `predictions`."""


def decode(body: bytes, content_type: str, model: MLModel) -> Decoded:
    """Read a request.

    Args:
        body: The bytes as sent.
        content_type: The header's value, with its parameters.
        model: Its signature leads the types.

    Raises:
        InvalidInput: With status 415 for a content type or charset that isn't known, else 400 and what is wrong where.
    """
    try:
        return _decode(body, content_type, model)
    except InvalidInput:
        raise
    except Exception as error:  # whatever pandas or numpy make of a strange body, it is the body that is at fault
        raise InvalidInput(f"the body can't be read: {type(error).__name__}: {error}") from error


def _decode(body: bytes, content_type: str, model: MLModel) -> Decoded:
    media, _, rest = content_type.partition(";")
    media, options = media.strip().lower(), _options(rest)
    charset = options.pop("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8"}:
        raise InvalidInput(f"the charset {charset} is not taken; send UTF-8", status=415)
    layout = options.pop("format", None) if media == "application/json" else None
    if options or (layout is not None and layout not in _LEGACY):
        unknown = ", ".join(options) or f"format={layout}"
        raise InvalidInput(f"the content type has a parameter that is not known: {unknown}", status=415)
    inputs = model.signature.inputs if model.signature else None
    if layout is not None:
        return Decoded(_LEGACY[layout](read_json(body), inputs), None, wrapped=False)
    if media == "application/json":
        return _decode_json(read_json(body), model)
    if media == "text/csv":
        return Decoded(from_csv(body, inputs), None)
    if media == "application/vnd.apache.parquet":
        return Decoded(from_parquet(body), None)
    raise InvalidInput(f"the content type {content_type or '(none)'} is not taken; send one of {_TYPES}", status=415)


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
    if not found and value.keys() & {"columns", "data"} and value.keys() <= {"columns", "data", "index"}:
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
