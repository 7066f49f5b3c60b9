"""The tensors of the Open Inference Protocol: JSON or binary to numpy, and back.

Rules: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, and Triton's extension for binary tensors
(`binary_data_size`; strings as four bytes of length, little-endian, before each).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.lists import array_of, flattened
from deployer_scoring.enforcement.values import is_missing, objects, shown
from deployer_scoring.errors import InvalidInput
from deployer_scoring.wire.packing import numbers

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


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a dtype; strings, bytes, dates and objects are BYTES."""
    return _DATATYPES.get(dtype.newbyteorder("=").name, BYTES)


def read(item: Mapping[str, Any], binary: Optional[memoryview]) -> np.ndarray:
    """The array of an input; of BYTES an object array of str (JSON) or bytes (binary, and typed data of gRPC).

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
        flat = _of_json(item["data"], kind) if binary is None else flat_of_binary(binary, kind)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"the data of {place} can't be read as {kind}: {error}") from error
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{place} has {flat.size} values, which the shape {shape} can't hold") from None


def flat_of_binary(binary: memoryview, kind: str) -> np.ndarray:
    """The values of a binary tensor, as one row; of BYTES objects.

    Raises:
        ValueError: They end within a value.
    """
    return _strings(binary) if kind == BYTES else np.frombuffer(binary, np.dtype(_DTYPES[kind]).newbyteorder("<"))


def write(name: str, array: np.ndarray, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """An output, and its bytes where it goes out binary (else none): data is flat, the last dimension the fastest.

    Missing values are null in JSON. Binary data has none: numbers and booleans with gaps go out as FP64 with NaN, missing strings empty.

    Args:
        name: Of the output.
        array: Of any dtype, gaps masked; dates become ISO 8601, what has no datatype its JSON.
        binary: Whether the data goes after the JSON instead of into it.
    """
    if binary and isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    kind = datatype(array.dtype)
    item: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
    if kind != BYTES:
        if not binary:
            return {**item, "data": array.ravel().tolist()}, b""
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    else:
        values = _datetimes(array.ravel()) if array.dtype.kind == "M" else [_said(value) for value in array.ravel().tolist()]
        if not binary:
            return {**item, **_json_strings(values)}, b""
        encoded = [value if isinstance(value, bytes) else (value or "").encode() for value in values]
        raw = b"".join(len(each).to_bytes(4, "little") + each for each in encoded)
    return {**item, "parameters": {"binary_data_size": len(raw)}}, raw


def _of_json(data: list[Any], kind: str) -> np.ndarray:
    if kind != BYTES:
        wanted = np.dtype(_DTYPES[kind])
        try:
            found: np.ndarray = numbers(data, wanted)
            return found if found.ndim == 1 else found.ravel()
        except (TypeError, ValueError, OverflowError, struct.error):
            return _with_gaps(data, wanted)
    flat = _flattened(data)
    wrong = [value for value in flat if not isinstance(value, (str, bytes)) and value is not None]
    if wrong:
        raise TypeError(f"{shown(wrong[0])} is no string")
    return objects(flat)


def _with_gaps(data: list[Any], wanted: np.dtype[Any]) -> np.ndarray:
    """Values one by one. Missing integers and booleans are None among objects: whether they may be, the column says."""
    flat, _ = flattened(data)
    if wanted.kind == "b" and not set(map(type, flat)) <= {bool, type(None)}:
        raise TypeError("it holds other values than booleans")
    if wanted.kind == "f" or None not in flat:
        return array_of(flat, wanted)
    known = iter(array_of([value for value in flat if value is not None], wanted).tolist())
    return objects([None if value is None else next(known) for value in flat])


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
    """A value of no numeric type as str or bytes; None where it is missing."""
    if isinstance(value, (str, bytes)):
        return value
    if is_missing(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return json.dumps(value, default=_default)


def _datetimes(values: np.ndarray) -> list[Any]:
    return [None if missing else text for text, missing in zip(np.datetime_as_string(values).tolist(), np.isnat(values))]


def _default(value: Any) -> Any:
    if value is pd.NA:
        return None
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def _json_strings(values: list[Any]) -> dict[str, Any]:
    try:
        return {"data": [value.decode() if isinstance(value, bytes) else value for value in values]}
    except UnicodeDecodeError:
        raw = [value.encode() if isinstance(value, str) else value for value in values]
        encoded = [None if value is None else base64.b64encode(value).decode() for value in raw]
        return {"parameters": {"content_type": "base64"}, "data": encoded}
