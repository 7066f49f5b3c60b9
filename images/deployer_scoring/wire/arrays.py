"""JSON lists to the arrays of a signature's tensors at once, where all values are the numbers that they must be.

All that is doubtful raises, and the other way (instances.py, enforcement/lists.py) decides. What is spared is that way's look at each value, and
the look for integers past 64 bits, which orjson reads as floats: a tensor of floats has the same value of both.
"""

from __future__ import annotations

from typing import Any

from deployer_scoring.schema.signature import Schema, TensorSpec
from deployer_scoring.wire.packing import numbers

_KINDS = "fiu"


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
            return {name: numbers(item, self._dtypes[name]) for name, item in value.items()}
        if type(value[0]) is dict:
            raise TypeError("rows by name")
        return numbers(value, self._unnamed)


def _is_taken(spec: TensorSpec) -> bool:
    try:
        dtype = spec.to_numpy()
    except TypeError:  # no dtype of numpy: requests will be told
        return False
    return dtype.kind in _KINDS and dtype.isnative and (dtype.kind != "f" or dtype.itemsize in {4, 8})
