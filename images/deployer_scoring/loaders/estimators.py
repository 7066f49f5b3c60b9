"""What may be done with a scikit-learn estimator, told from the classes of all that it holds.

Only classes and functions of libraries whose predict is known count; one object of a user's own in a pipeline, and nothing is assumed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

_LIBRARIES = frozenset({"builtins", "collections", "copyreg", "functools", "lightgbm", "numpy", "pandas", "scipy", "sklearn", "xgboost"})

# Packages of scikit-learn whose classes predict and transform each row by itself, to 1e-12. Not among them: what measures distances or
# kernels between rows by matrix products (neighbors, gaussian_process, kernel_ridge, ...), whose rounding depends on the batch.
_BY_ROW = frozenset({
    "calibration", "compose", "discriminant_analysis", "dummy", "ensemble", "feature_extraction", "feature_selection", "frozen", "impute",
    "isotonic", "linear_model", "model_selection", "multiclass", "multioutput", "naive_bayes", "neural_network", "pipeline", "preprocessing",
    "random_projection", "svm", "tree",
})  # fmt: skip
_BY_ROW_TOO = frozenset({"PCA", "IncrementalPCA", "TruncatedSVD", "FastICA", "KMeans", "MiniBatchKMeans"})
# Rows influence each other while it iterates, or neighbours again.
_NOT_BY_ROW = frozenset({"IterativeImputer", "KNNImputer"})
# Applies a function to all rows at once; only element by element is it known to go by rows.
_APPLY = {"FunctionTransformer": ("func",), "TransformedTargetRegressor": ("func", "inverse_func")}
# Select columns by name or treat a frame's columns by their types.
_BY_NAME = frozenset({"ColumnTransformer", "FunctionTransformer", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder", "DictVectorizer"})


@dataclass(frozen=True)
class Nature:
    """What is known of an estimator: see `Loaded`'s attributes of the same names."""

    known: bool
    row_wise: bool
    arrays: bool
    """Takes an array in place of the DataFrame that it was fitted on, columns in the same order."""


def nature_of(estimator: Any) -> Nature:
    """Look through an estimator and all that it holds."""
    held = list(_held(estimator))
    known = all(_is_known(each) for each in held)
    parts = [each for each in held if _package(each) == "sklearn"]
    return Nature(
        known=known,
        row_wise=known and all(_goes_by_row(each) for each in parts),
        arrays=known and not any(_class(each) in _BY_NAME or "_sklearn_output_config" in _attributes(each) for each in parts),
    )


def fitted_names(estimator: Any) -> Any:
    """The names of the columns that an estimator was fitted on; None where it was fitted on an array."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def without_names(value: Any) -> Any:
    """An estimator that predicts from arrays without a warning that they have no names; all but names is shared with the given one."""
    if isinstance(value, (list, tuple)):
        copies = [without_names(each) for each in value]
        return type(value)(copies) if any(new is not old for new, old in zip(copies, value)) else value
    if _package(value) != "sklearn":
        return value
    attributes = _attributes(value)
    changed = {name: new for name, old in attributes.items() if (new := without_names(old)) is not old}
    if not changed and "feature_names_in_" not in attributes:
        return value
    made = copy.copy(value)
    vars(made).update(changed)
    vars(made).pop("feature_names_in_", None)
    return made


def _held(root: Any) -> Iterator[Any]:
    """The object and everything in it that isn't plain data, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or each is None or isinstance(each, (str, bytes, bool, int, float, complex, np.generic)):
            continue
        seen.add(id(each))
        if isinstance(each, (list, tuple, set, frozenset)):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
        if isinstance(each, np.ndarray):
            waiting.extend(each.flat if each.dtype == object else ())
        elif isinstance(each, partial):
            waiting.extend([each.func, *each.args, *each.keywords.values()])
        else:
            yield each
            waiting.extend(_attributes(each).values() if _package(each) == "sklearn" else ())


def _attributes(value: Any) -> dict[str, Any]:
    return {} if isinstance(value, (type, FunctionType)) else getattr(value, "__dict__", {})


def _package(value: Any) -> str:
    """The package of an object's class; of a class or function itself, its own."""
    module = value.__module__ if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)) else type(value).__module__
    return str(module or "builtins").partition(".")[0]


def _class(value: Any) -> str:
    return type(value).__name__


def _is_known(value: Any) -> bool:
    return _package(value) in _LIBRARIES


def _goes_by_row(part: Any) -> bool:
    if not hasattr(part, "get_params") or isinstance(part, type):
        return True
    if not all(_is_elementwise(getattr(part, name, None)) for name in _APPLY.get(_class(part), ())):
        return False
    if _class(part) == "DummyClassifier":
        return part.strategy in {"most_frequent", "prior", "constant"}
    names = type(part).__module__.split(".")
    return _class(part) in _BY_ROW_TOO or (len(names) > 1 and names[1] in _BY_ROW and _class(part) not in _NOT_BY_ROW)


def _is_elementwise(function: Any) -> bool:
    return function is None or isinstance(function, np.ufunc)
