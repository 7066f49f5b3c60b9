"""The tensors of the Open Inference Protocol: JSON or binary to numpy, and back.

Rules: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, and Triton's extension for binary tensors
(`binary_data_size`; strings as four bytes of length, little-endian, before each).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from deployer_scoring.enforcement.values import objects
from deployer_scoring.errors import InvalidInput

BYTES = "BYTES"
_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_DATATYPES = {dtype: datatype for datatype, dtype in _DTYPES.items()}
_KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a dtype; strings, bytes, dates and objects are BYTES."""
    return _DATATYPES.get(dtype.newbyteorder("=").name, BYTES)


def read(item: Mapping[str, Any], binary: Optional[memoryview]) -> np.ndarray:
    """The array of an input; of BYTES an object array of str (JSON) or bytes (binary).

    Args:
        item: The input: name, shape, datatype, and data where it isn't binary.
        binary: Its bytes, where it is.

    Raises:
        InvalidInput: The shape, the datatype and the data don't agree.
    """
    name, shape, kind = item.get("name"), item.get("shape"), item.get("datatype")
    place = f"the input {name!r}"
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise InvalidInput(f"{place} needs a shape, a list of lengths; it has {shape!r}")
    if not isinstance(kind, str) or (kind not in _DTYPES and kind != BYTES):
        raise InvalidInput(f"{place} has the datatype {kind!r}; it must be one of {', '.join((*_DTYPES, BYTES))}")
    if binary is None and not isinstance(item.get("data"), list):
        raise InvalidInput(f"{place} needs data, a list")
    try:
        if binary is not None:
            flat = _strings(binary) if kind == BYTES else np.frombuffer(binary, np.dtype(_DTYPES[kind]).newbyteorder("<"))
        else:
            flat = _of_json(item["data"], kind)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"the data of {place} can't be read as {kind}: {error}") from error
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{place} has {flat.size} values, which the shape {shape} can't hold") from None


def write(name: str, array: np.ndarray, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """An output, and its bytes where it goes out binary (else none): data is flat, the last dimension the fastest.

    Args:
        name: Of the output.
        array: Of any dtype; dates become ISO 8601, what has no datatype its JSON.
        binary: Whether the data goes after the JSON instead of into it.
    """
    kind = datatype(array.dtype)
    item: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
    if kind != BYTES:
        if not binary:
            return {**item, "data": array.ravel().tolist()}, b""
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    else:
        values = [_said(value) for value in array.ravel().tolist()] if array.dtype.kind != "M" else np.datetime_as_string(array.ravel()).tolist()
        if not binary:
            return {**item, **_json_strings(values)}, b""
        encoded = [value if isinstance(value, bytes) else value.encode() for value in values]
        raw = b"".join(len(each).to_bytes(4, "little") + each for each in encoded)
    return {**item, "parameters": {"binary_data_size": len(raw)}}, raw


def _of_json(data: list[Any], kind: str) -> np.ndarray:
    if kind == BYTES:
        flat = _flattened(data)
        if wrong := next((value for value in flat if not isinstance(value, str)), None):
            raise TypeError(f"{wrong!r} is no string")
        return objects(flat)
    wanted = np.dtype(_DTYPES[kind])
    raw = np.array(data) if data else np.empty(0, wanted)
    if raw.dtype == object and wanted.kind == "f" and all(value is None or type(value) in {int, float} for value in raw.flat):
        return raw.astype(wanted).ravel()  # null is a missing number
    if raw.dtype.kind not in _KINDS[wanted.kind]:
        raise TypeError(f"it holds {_held(raw)}")
    if wanted.kind in "iu" and raw.size and not (np.iinfo(wanted).min <= int(raw.min()) and int(raw.max()) <= np.iinfo(wanted).max):
        raise OverflowError(f"it holds {raw.min()} to {raw.max()}")
    with np.errstate(over="ignore"):
        return raw.astype(wanted, copy=False).ravel()


def _held(raw: np.ndarray) -> str:
    return {"U": "strings", "f": "fractions", "b": "booleans", "O": "values of several types, or integers past 64 bits"}.get(
        raw.dtype.kind, "integers"
    )


def _flattened(data: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in data:
        if isinstance(value, list):
            flat.extend(_flattened(value))
        else:
            flat.append(value)
    return flat


def _strings(binary: memoryview) -> np.ndarray:
    values, at = [], 0
    while at < len(binary):
        length = int.from_bytes(binary[at : at + 4], "little")
        at += 4 + length
        if at > len(binary):
            raise ValueError(f"a string of {length} bytes ends past the data")
        values.append(bytes(binary[at - length : at]))
    return objects(values)


def _said(value: Any) -> Any:
    """A value of no numeric type as str or bytes."""
    if isinstance(value, (str, bytes)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return json.dumps(value, default=_default)


def _default(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def _json_strings(values: list[Any]) -> dict[str, Any]:
    try:
        return {"data": [value.decode() if isinstance(value, bytes) else value for value in values]}
    except UnicodeDecodeError:
        encoded = [base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode() for value in values]
        return {"parameters": {"content_type": "base64"}, "data": encoded}
