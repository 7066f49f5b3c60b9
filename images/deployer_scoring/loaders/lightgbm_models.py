"""LightGBM models without mlflow.lightgbm: boosters, and models of its scikit-learn interface."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from deployer_scoring.loaders.loaded import Loaded, Unusual, column_names, numeric_columns
from deployer_scoring.loaders.pickles import read_object
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "lightgbm"
_BOOSTER = "lightgbm.basic.Booster"


class LightGBMModel:
    """A booster or an estimator of LightGBM."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's prediction; params say nothing to it."""
        if isinstance(data, np.ndarray) and data.dtype.kind in "iu":  # LightGBM makes those single, but a frame of them double
            data = data.astype(np.float64)
        return self.model.predict(data)


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the lightgbm flavor.

    Raises:
        Unusual: It has a config, or names no file.
        LoadError: Its format is forbidden by the environment.
    """
    if config:
        raise Unusual("the lightgbm flavor takes no config")
    made = read_model(model)
    known = type(made).__module__.startswith("lightgbm.")
    matrix = known and numeric_columns(model) and model.pyfunc.predict_fn == "predict" and _fits(made, column_names(model))
    if matrix:  # its estimators have no way to be asked without
        warnings.filterwarnings("ignore", message="X does not have valid feature names, but LGBM", category=UserWarning)
    return Loaded(LightGBMModel(made), row_wise=known, prompt=known, matrix=matrix)


def read_model(model: MLModel) -> Any:
    """The booster or estimator itself (no class was named before MLflow 1.23: a Booster)."""
    flavor = model.flavors.get(FLAVOR, {})
    file = flavor.get("data")
    if not isinstance(file, str):
        raise Unusual(f"the lightgbm flavor's file is {file}")
    path = (model.data_path if model.data_path.is_dir() else model.data_path.parent) / file
    if flavor.get("model_class", _BOOSTER) != _BOOSTER:
        return read_object(path, flavor, default="cloudpickle")
    from lightgbm import Booster

    return Booster(model_file=str(path))


def _fits(made: Any, names: list[str]) -> bool:
    """Whether the columns in their order are those that the model was trained on (LightGBM saves spaces as underscores), none categorical."""
    booster = getattr(made, "booster_", made)
    trained = [str(name).replace(" ", "_") for name in booster.feature_name()]
    return not booster.pandas_categorical and trained in ([name.replace(" ", "_") for name in names], [f"Column_{i}" for i in range(len(names))])
