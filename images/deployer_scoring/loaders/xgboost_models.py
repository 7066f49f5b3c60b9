"""XGBoost models without mlflow.xgboost: boosters, and models of its scikit-learn interface."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Callable, Optional

import numpy as np

from deployer_scoring.loaders.loaded import Loaded, Unusual, column_names, numeric_columns
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "xgboost"
_log = logging.getLogger(__name__)


class XGBoostModel:
    """A booster or an estimator of XGBoost, which takes frames and arrays, and those params that its own predict knows."""

    def __init__(self, model: Any, names: Optional[list[str]] = None) -> None:
        """Wrap a model.

        Args:
            model: The booster or estimator.
            names: What the columns of arrays are called; None where arrays come without names.
        """
        self.model = model
        self._predict, known = _predictor(model, names)
        self._known = frozenset(known) if known is not None else None

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's prediction; a param that its predict doesn't know is passed over with a warning."""
        return self._predict(data, **self._accepted(params)) if params else self._predict(data)

    def _accepted(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if self._known is None:
            return dict(params)
        if unknown := sorted(set(params) - self._known):
            _log.warning("the model's predict doesn't take these params, so they are ignored: %s", ", ".join(unknown))
        return {name: value for name, value in params.items() if name in self._known}


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the xgboost flavor.

    Raises:
        Unusual: It has a config, names no file, or its class isn't one of XGBoost's.
    """
    if config:
        raise Unusual("the xgboost flavor takes no config")
    made = read_model(model)
    names = column_names(model) if numeric_columns(model) and model.pyfunc.predict_fn == "predict" and _fits(made, column_names(model)) else None
    return Loaded(XGBoostModel(made, names), row_wise=True, prompt=True, matrix=names is not None)


def read_model(model: MLModel) -> Any:
    """The booster or estimator itself, made of the class that the flavor names (none was named before MLflow 1.22: a Booster)."""
    flavor = model.flavors.get(FLAVOR, {})
    file, name = flavor.get("data"), str(flavor.get("model_class", "xgboost.core.Booster"))
    if not isinstance(file, str) or not name.startswith("xgboost."):
        raise Unusual(f"a model of class {name} in the file {file}")
    module, _, kind = name.rpartition(".")
    made = getattr(importlib.import_module(module), kind)()
    made.load_model(str((model.data_path if model.data_path.is_dir() else model.data_path.parent) / file))
    return made


def _fits(model: Any, names: list[str]) -> bool:
    """Whether the columns in their order are those that the model was trained on."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return booster.feature_names in (None, names) and not {"c"}.intersection(booster.feature_types or ())


def _predictor(model: Any, names: Optional[list[str]]) -> tuple[Callable[..., Any], Any]:
    """How the model predicts, and the names of the params that it takes (None: any)."""
    import xgboost

    if isinstance(model, xgboost.Booster):

        def predict(data: Any, **params: Any) -> Any:
            named = {"feature_names": names} if isinstance(data, np.ndarray) else {}
            return model.predict(xgboost.DMatrix(data, **named), validate_features=True, **params)

        return predict, _names(model.predict)
    if isinstance(model, xgboost.XGBModel):
        call = partial(model.predict, validate_features=True)
        return call, _names(call)
    return model.predict, _names(model.predict)


def _names(method: Callable[..., Any]) -> Any:
    parameters = inspect.signature(method).parameters
    free = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return None if any(each.kind in free for each in parameters.values()) else list(parameters)
