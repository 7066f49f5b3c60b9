"""A model directory to an object that predicts.

Flavors that can do without mlflow are loaded by a module of this package each (`_NATIVE`), with the answers that the loader module named
in their MLmodel would give: mlflow costs 2.4 s and 150 MB to import. Every other model, and each one that has something unusual about
it, is loaded by its loader module as MLflow does it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from deployer_scoring.errors import LoadError, MLModelError
from deployer_scoring.loaders.loaded import Loaded, Unusual
from deployer_scoring.loaders.own_modules import own_modules
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.requirements import requirements

__all__ = ["Loaded", "forks", "load", "needs_no_mlflow", "one_line"]

_log = logging.getLogger(__name__)

# Loader modules that are replaced, by the module here that does it with a function load(model, config).
_NATIVE = {
    "mlflow.sklearn": "sklearn_models",
    "mlflow.xgboost": "xgboost_models",
    "mlflow.lightgbm": "lightgbm_models",
    "mlflow.catboost": "catboost_models",
    "mlflow.onnx": "onnx_models",
    "mlflow.pyfunc.model": "python_models",
    "mlflow.pyfunc.loaders.code_model": "python_models",
}
# Flavors and packages that hold threads, a driver or a virtual machine once a model is loaded, none of which a forked process has.
_NOT_FORKING = frozenset({"tensorflow", "keras", "jax", "h2o", "spark", "pyspark", "johnsnowlabs", "paddle", "paddlepaddle", "ray", "vllm"})

# Set by MLflow's own server: type hints are checked less strictly where requests come from JSON.
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
# In both, later ones win: JSON objects that override keys of the flavor's `config`.
_CONFIG_OVERRIDES = ("MLFLOW_PYFUNC_INFERENCE_CONFIG", "SERVING_MODEL_CONFIG")


def needs_no_mlflow(loader_module: str) -> bool:
    """Whether models of this loader module are loaded here without mlflow, unless there is something unusual about them."""
    return loader_module in _NATIVE


def load(model: MLModel, *, alone: bool = True) -> Loaded:
    """Load a model, natively where that is known to give the same answers, else by its loader module.

    The model's code folder goes first on sys.path, for good: a model imports from it while it predicts, too.

    Args:
        model: Its description.
        alone: No other model comes into this process. Else models that have other code by the same names keep their own (`own_modules`).

    Raises:
        LoadError: Anything that went wrong, an exit included; the message is the cause's type and message, on one line.
    """
    os.environ.setdefault(_SERVING, "true")
    try:
        return _load_alone(model) if alone else _load_among_others(model)
    except (LoadError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a loader that calls sys.exit must not end the server without a word
        raise LoadError(one_line(error)) from error


def forks(model: MLModel) -> bool:
    """Whether processes forked after the model is loaded can predict with it, as far as its flavors and requirements tell."""
    try:
        required = {re.split(r"[^A-Za-z0-9]", requirement, maxsplit=1)[0].lower() for requirement in requirements(model.directory)}
    except MLModelError:
        required = set()
    return not _NOT_FORKING.intersection(model.flavors) and not _NOT_FORKING.intersection(required)


def one_line(error: BaseException) -> str:
    """An exception's type and message on one line, as Python prints it last."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _load_alone(model: MLModel) -> Loaded:
    if model.code_path is not None:
        sys.path.insert(0, str(model.code_path))
    return _load(model)


def _load_among_others(model: MLModel) -> Loaded:
    if model.code_path is None or not model.code_path.is_dir():
        return _load(model)
    modules = own_modules(model.code_path)
    with modules.in_turn():
        return replace(_load(model), modules=modules)


def _load(model: MLModel) -> Loaded:
    if not model.data_path.exists() and any(each.needed and not each.there for each in model.named):
        raise LoadError(f"{model.data_path} is not there, though the MLmodel names it as the model's data")
    config = _config(model.pyfunc.model_config)
    loaded = _natively(model, config) or _by_loader_module(model, config)
    if not hasattr(loaded.implementation, model.pyfunc.predict_fn):
        what = type(loaded.implementation).__name__
        raise LoadError(f"what {model.pyfunc.loader_module} loaded, {what}, has no method {model.pyfunc.predict_fn}")
    return loaded


def _natively(model: MLModel, config: Mapping[str, Any]) -> Optional[Loaded]:
    """The model loaded without mlflow; None where its loader module is to do it."""
    name = _NATIVE.get(model.pyfunc.loader_module)
    if name is None:
        return None
    try:
        loader = importlib.import_module(f"deployer_scoring.loaders.{name}")
        loaded: Loaded = replace(loader.load(model, config), native=True, forks=forks(model))
    except Unusual as reason:
        _log.info("loading by %s: %s", model.pyfunc.loader_module, reason)
        return None
    return loaded


def _by_loader_module(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    flavor = model.pyfunc
    module = importlib.import_module(flavor.loader_module)
    load_pyfunc = getattr(module, "_load_pyfunc", None) or getattr(module, "load_pyfunc", None)
    if load_pyfunc is None:
        raise LoadError(f"the loader module {flavor.loader_module} has neither _load_pyfunc nor load_pyfunc")
    implementation = load_pyfunc(str(model.data_path), config) if config else load_pyfunc(str(model.data_path))
    return Loaded(implementation, forks=forks(model))


def _config(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The model's config with what the environment overrides; keys that the model was not saved with are ignored, as MLflow ignores them."""
    config = dict(saved)
    for name in _CONFIG_OVERRIDES:
        try:
            given = json.loads(os.environ.get(name) or "{}")
        except ValueError as error:
            raise LoadError(f"the environment variable {name} is not JSON: {error}") from error
        config.update({key: value for key, value in given.items() if key in saved})
    return config
