"""What a loader hands to the server: the object that predicts, and what may be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from deployer_scoring.loaders.own_modules import OwnModules
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.schema.datatypes import DataType

_NUMBERS = frozenset({DataType.double, DataType.float, DataType.long, DataType.integer})


@dataclass(frozen=True)
class Loaded:
    """A model in memory. The defaults are what is safe for a model of which nothing is known."""

    implementation: Any
    """Has the methods that the MLmodel names (predict_fn, predict_stream_fn)."""
    row_wise: bool = False
    """No row of the input influences another row's prediction: requests may be joined into one predict, to 1e-12 relative."""
    prompt: bool = False
    """Only code of known libraries runs in predict, so a short predict may run where it must not wait for anything else."""
    matrix: bool = False
    """predict gives the same answer to a 2-D array with the columns in the signature's order as to the DataFrame."""
    native: bool = False
    """Loaded without the loader module that the MLmodel names, so without mlflow."""
    forks: bool = True
    """The model still predicts in a process forked after it was loaded."""
    modules: Optional[OwnModules] = None
    """Those of the model's code folder, where other models may come into the process."""

    def method(self, name: str) -> Any:
        """A method of the model, called where its own modules are in their place.

        Raises:
            AttributeError: It has none of this name.
        """
        function = getattr(self.implementation, name)
        return function if self.modules is None else self.modules.keeping(function)


class Unusual(Exception):
    """A native loader's word for a model that it leaves to the loader module: the message says why."""


def numeric_columns(model: MLModel) -> bool:
    """Whether the input is named columns of numbers, none of them optional: what frames are converted to a matrix of, too.

    Libraries make one array of a frame of several numeric types, in the type that holds them all, as numpy's result_type says.
    """
    inputs = model.signature.inputs if model.signature else None
    if inputs is None or inputs.is_tensor_spec() or not inputs.has_input_names() or model.is_signature_from_type_hint or model.type_hint_from_example:
        return False
    return all(column.required and isinstance(column.type, DataType) and column.type in _NUMBERS for column in inputs.columns)


def column_names(model: MLModel) -> list[str]:
    """The names of the signature's columns in their order."""
    inputs = model.signature.inputs if model.signature else None
    return [str(name) for name in inputs.input_names()] if inputs else []
