"""What a caller has, as a request's body; an answer's body, as what the caller would want. Knows numpy and pandas by what their objects can do."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from deployer.core.target import Payload
from deployer.errors import ConfigInvalid

JSON = "application/json"
WRAPPERS = frozenset({"dataframe_split", "dataframe_records", "instances", "inputs", "messages"})
"""A mapping with one of these keys is a body already (MLflow's scoring protocol)."""


def encode(inputs: Any, *, params: Mapping[str, Any] | None = None, content_type: str | None = None, accept: str = JSON) -> Payload:
    """The request for `inputs`.

    Args:
        inputs: a DataFrame (`dataframe_split`), an array or a list of anything (`inputs`), a list of mappings (`dataframe_records`), a mapping
            of names to arrays (`inputs`) or one that is a body already; bytes and text are sent as they are, as `content_type`.
        params: the model's inference parameters, beside the inputs.

    Raises:
        ConfigInvalid: something in it has no JSON form; params beside a body that is sent as it is.
    """
    if isinstance(inputs, (bytes, bytearray, memoryview, str)):
        if params:
            raise ConfigInvalid("params can't be added to a body that is sent as it is", advice="put them into the body under params")
        return Payload(inputs.encode() if isinstance(inputs, str) else bytes(inputs), content_type or JSON, accept)
    body = {**_wrapped(inputs), **({"params": dict(params)} if params else {})}
    try:
        return Payload(json.dumps(body, default=_plain).encode(), JSON, accept)
    except (TypeError, ValueError) as error:
        raise ConfigInvalid(
            f"the input can't be sent as JSON: {error}", advice="send a DataFrame, an array, plain values, or the body as bytes"
        ) from error


def decode(answer: Payload, inputs: Any) -> Any:
    """The predictions in an answer to `inputs`.

    A DataFrame gives a DataFrame (a model that answers with records), or a Series (one value a row), with the index of what was sent; an array
    gives an array; bytes give bytes; anything else gives plain values.
    """
    if isinstance(inputs, (bytes, bytearray, memoryview)):
        return answer.body
    if answer.content_type.partition(";")[0].strip() != JSON:
        return answer.body.decode()
    found = json.loads(answer.body)
    predictions = found["predictions"] if isinstance(found, dict) and "predictions" in found else found
    if _is_frame(inputs):
        return _framed(predictions, inputs)
    return sys.modules["numpy"].asarray(predictions) if _is_array(inputs) and isinstance(predictions, list) else predictions


def _wrapped(inputs: Any) -> dict[str, Any]:
    if _is_frame(inputs):
        return {"dataframe_split": _split(inputs)}
    if isinstance(inputs, Mapping):
        return dict(inputs) if WRAPPERS & inputs.keys() else {"inputs": dict(inputs)}
    if isinstance(inputs, (list, tuple)) and inputs and all(isinstance(each, Mapping) for each in inputs):
        return {"dataframe_records": list(inputs)}
    return {"inputs": inputs}


def _split(frame: Any) -> dict[str, Any]:
    """Columns and rows of a DataFrame, every kind of missing value as null. The index is ours to keep: models don't see it."""
    whole = frame.astype(object).where(frame.notna(), None).to_dict(orient="split")
    return {"columns": whole["columns"], "data": whole["data"]}


def _framed(predictions: Any, frame: Any) -> Any:
    pandas = sys.modules["pandas"]
    if not isinstance(predictions, list) or len(predictions) != len(frame):
        return predictions
    if predictions and all(isinstance(each, (dict, list)) for each in predictions):
        return pandas.DataFrame(predictions, index=frame.index)
    return pandas.Series(predictions, index=frame.index)


def _is_frame(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and type(value).__name__ == "DataFrame"


def _is_array(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist")


def _plain(value: Any) -> Any:
    """The JSON form of what json doesn't know: numpy's and pandas' scalars and arrays, dates, bytes (base64, as MLflow has it)."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return float(value)
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":
        return value.astype(str).tolist()
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
