"""scikit-learn models without mlflow.sklearn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deployer_scoring.loaders.deferred import defer
from deployer_scoring.loaders.estimators import fitted_names, nature_of, without_names
from deployer_scoring.loaders.linear import is_plain, product_of
from deployer_scoring.loaders.loaded import Loaded, Unusual, column_names, numeric_columns
from deployer_scoring.loaders.pickles import read_object
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "sklearn"
# What a model may be saved to answer with instead of predict.
_ANSWERS = ("predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")
_MATRIX_ANSWERS = ("predict_proba", "predict_log_proba")


class SklearnModel:
    """An estimator behind the methods that MLflow gives it."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        for name in _ANSWERS:
            if (method := getattr(estimator, name, None)) is not None:
                setattr(self, name, method)

    def predict(self, data: Any, params: Any = None) -> Any:
        """The estimator's prediction; params say nothing to it."""
        return self.estimator.predict(data)


class MatrixModel(SklearnModel):
    """An estimator that takes arrays in place of frames: those go to a copy that doesn't warn of missing names."""

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self._nameless = without_names(estimator)
        self._product = product_of(self._nameless)
        self._width = getattr(estimator, "n_features_in_", 0)
        for name in _MATRIX_ANSWERS:
            if hasattr(estimator, name):
                setattr(self, name, partial(self._answer, name))

    def predict(self, data: Any, params: Any = None) -> Any:
        """The estimator's prediction; params say nothing to it."""
        if self._product is not None and is_plain(data, self._width):
            return self._product(np.asfortranarray(data))
        return self._answer("predict", data)

    def _answer(self, name: str, data: Any) -> Any:
        if isinstance(data, np.ndarray):  # column by column, as a frame holds its numbers: products of matrices round otherwise by rows
            return getattr(self._nameless, name)(np.asfortranarray(data))
        return getattr(self.estimator, name)(data)


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the sklearn flavor.

    Raises:
        Unusual: It has a config, or no sklearn flavor.
        LoadError: Its format is forbidden by the environment.
    """
    if config:
        raise Unusual("the sklearn flavor takes no config")
    defer("scipy.stats")
    estimator = read_estimator(model)
    nature = nature_of(estimator)
    matrix = nature.arrays and model.pyfunc.predict_fn in {"predict", *_MATRIX_ANSWERS} and _fits(estimator, model)
    made = MatrixModel(estimator) if matrix else SklearnModel(estimator)
    return Loaded(made, row_wise=nature.row_wise, prompt=nature.known, matrix=matrix)


def _fits(estimator: Any, model: MLModel) -> bool:
    """Whether the signature's columns in their order are those that the estimator was fitted on."""
    return numeric_columns(model) and fitted_names(estimator) in (None, column_names(model))


def read_estimator(model: MLModel) -> Any:
    """The estimator itself. Models saved without a sklearn flavor beside the pyfunc one are pickles."""
    path = model.data_path if model.data_path.is_file() else model.data_path / _model_path(model)
    return read_object(Path(path), model.flavors.get(FLAVOR, {}), default="pickle")


def _model_path(model: MLModel) -> str:
    path = model.pyfunc.options.get("model_path")
    if not isinstance(path, str):
        raise Unusual("the MLmodel names no file with the estimator")
    return path
