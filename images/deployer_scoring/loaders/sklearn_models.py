"""scikit-learn models without mlflow.sklearn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployer_scoring.loaders.loaded import Loaded, Unusual
from deployer_scoring.loaders.pickles import read_object
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "sklearn"
# What a model may be saved to answer with instead of predict.
_ANSWERS = ("predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")


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


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the sklearn flavor.

    Raises:
        Unusual: It has a config, or no sklearn flavor.
        LoadError: Its format is forbidden by the environment.
    """
    if config:
        raise Unusual("the sklearn flavor takes no config")
    return Loaded(SklearnModel(read_estimator(model)), native=True)


def read_estimator(model: MLModel) -> Any:
    """The estimator itself. Models saved without a sklearn flavor beside the pyfunc one are pickles."""
    path = model.data_path if model.data_path.is_file() else model.data_path / _model_path(model)
    return read_object(Path(path), model.flavors.get(FLAVOR, {}), default="pickle")


def _model_path(model: MLModel) -> str:
    path = model.pyfunc.options.get("model_path")
    if not isinstance(path, str):
        raise Unusual("the MLmodel names no file with the estimator")
    return path
