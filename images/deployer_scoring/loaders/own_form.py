"""A model in its flavor's own form: the estimator, booster or graph that was saved, not the pyfunc around it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from deployer_scoring.errors import LoadError, MLModelError
from deployer_scoring.loaders.loaded import Unusual
from deployer_scoring.loaders.loading import one_line
from deployer_scoring.loaders.own_modules import own_modules
from deployer_scoring.model.mlmodel import FILE, MLModel, parse_mlmodel

# Where mlflow names the module otherwise than the flavor.
_MLFLOW_MODULES = {"python_function": "pyfunc", "keras": "tensorflow"}


def load_own_form(directory: Path, flavor: str) -> Any:
    """The object that a flavor saved: an sklearn estimator, an XGBoost booster or model, a LightGBM one, an ONNX ModelProto, and so on.

    Args:
        directory: The model's directory.
        flavor: One of the flavors in its MLmodel.

    Raises:
        MLModelError: The model has no such flavor, or its MLmodel is broken.
        LoadError: A library that it takes isn't here, or it can't be loaded.
    """
    model = parse_mlmodel(directory)
    if flavor not in model.flavors:
        raise MLModelError(FILE, "flavors", f"the model has no flavor {flavor}, only {', '.join(model.flavors)}")
    try:
        if model.code_path is None or not model.code_path.is_dir():
            return _load(model, flavor)
        with own_modules(model.code_path).in_turn():
            return _load(model, flavor)
    except LoadError:
        raise
    except ModuleNotFoundError as error:
        raise LoadError(f"the {flavor} form of a model needs the package {error.name}, which isn't installed here") from error
    except Exception as error:
        raise LoadError(one_line(error)) from error


def _load(model: MLModel, flavor: str) -> Any:
    try:
        return _NATIVE.get(flavor, _no_loader)(model)
    except Unusual:
        return _by_mlflow(model, flavor)


def _no_loader(model: MLModel) -> Any:
    raise Unusual("this package has no loader for it")


def _sklearn(model: MLModel) -> Any:
    from deployer_scoring.loaders.pickles import read_object

    own = model.flavors["sklearn"]
    return read_object(model.directory / str(own.get("pickled_model")), own, default="pickle")


def _xgboost(model: MLModel) -> Any:
    from deployer_scoring.loaders.xgboost_models import read_model

    return read_model(model)


def _lightgbm(model: MLModel) -> Any:
    from deployer_scoring.loaders.lightgbm_models import read_model

    return read_model(model)


def _onnx(model: MLModel) -> Any:
    import onnx

    path = str(model.directory / str(model.flavors["onnx"]["data"]))
    onnx.checker.check_model(path)
    return onnx.load(path)


def _catboost(model: MLModel) -> Any:
    from deployer_scoring.loaders.catboost_models import read_model

    return read_model(model)


def _statsmodels(model: MLModel) -> Any:
    from statsmodels.iolib.api import load_pickle

    from deployer_scoring.loaders.pickles import refuse_forbidden

    path = model.directory / str(model.flavors["statsmodels"]["data"])
    refuse_forbidden(path)
    return load_pickle(str(path))


_NATIVE: Mapping[str, Callable[[MLModel], Any]] = {
    "sklearn": _sklearn,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "catboost": _catboost,
    "statsmodels": _statsmodels,
}


def _by_mlflow(model: MLModel, flavor: str) -> Any:
    if importlib.util.find_spec("mlflow") is None:
        raise LoadError(f"the {flavor} form of a model is loaded by mlflow.{flavor}, and mlflow isn't installed here: pip install mlflow")
    return importlib.import_module(f"mlflow.{_MLFLOW_MODULES.get(flavor, flavor)}").load_model(str(model.directory))
