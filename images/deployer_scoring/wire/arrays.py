"""JSON lists to the arrays of a signature's tensors at once, where numpy makes of them what it makes for MLflow.

The values go to numpy as in MLflow's own way (instances.py); what is spared is the look for integers past 64 bits, which orjson reads as
floats: a tensor of floats has the same value of both, and one of integers is left to the other way unless all of it is integers.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any

import numpy as np

from deployer_scoring.schema.signature import Schema, TensorSpec

_KINDS = "fiu"
_FEW = 32


class Arrays:
    """Reads `inputs` and `instances` for one schema of tensors."""

    def __init__(self, schema: Schema) -> None:
        """Prepare reading.

        Args:
            schema: Of tensors of numbers (see `takes`).
        """
        self._dtypes = {spec.name: spec.to_numpy() for spec in schema.tensors}
        self._unnamed = None if schema.has_input_names() else schema.tensors[0].to_numpy()

    @staticmethod
    def takes(schema: Schema) -> bool:
        """Whether all tensors are of integers, or of floats of 32 or 64 bits."""
        return bool(schema.tensors) and all(_is_taken(spec) for spec in schema.tensors)

    def from_instances(self, value: Any) -> Any:
        """As `instances.from_instances` makes it, before enforcement. Only for a tensor without a name."""
        return self.from_inputs(value if self._unnamed is not None else None)

    def from_inputs(self, value: Any) -> Any:
        """As `instances.from_inputs` makes it, before enforcement.

        Raises:
            Any exception: For the other way to decide.
        """
        if self._unnamed is None:
            return {name: _array(item, self._dtypes[name]) for name, item in value.items()}
        if type(value[0]) is dict:
            raise TypeError("rows by name")
        return _array(value, self._unnamed)


def _is_taken(spec: TensorSpec) -> bool:
    try:
        dtype = spec.to_numpy()
    except TypeError:  # no dtype of numpy: requests will be told
        return False
    return dtype.kind in _KINDS and dtype.isnative and (dtype.kind != "f" or dtype.itemsize in {4, 8})


def _array(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        try:
            return _packed(value).astype(dtype, copy=False)
        except (struct.error, TypeError, ValueError):
            return np.array(value, dtype)  # of other than two dimensions, ragged, with gaps: as numpy has it
    level = value
    while type(level[0]) is list:
        level = list(chain.from_iterable(level))
    if set(map(type, level)) != {int}:
        raise TypeError("not integers alone")
    return np.array(value, dtype)


def _packed(rows: Any) -> Any:
    """A matrix of many numbers, the fastest way."""
    width = len(rows[0])
    if len(rows) * width < _FEW or set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        raise ValueError("few, or not a matrix")
    values = bytearray(struct.pack(f"{len(rows) * width}d", *chain.from_iterable(rows)))
    return np.frombuffer(values).reshape(len(rows), width)
