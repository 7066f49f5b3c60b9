"""A model directory to an object that predicts.

Every model is loaded by the loader module that its MLmodel names, as MLflow does it; mlflow itself is imported only where the loader
module needs it. `load_implementation` is the one place to choose another way for flavors that load without.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from deployer_scoring.errors import LoadError
from deployer_scoring.model.mlmodel import MLModel

# Set by MLflow's own server: type hints are checked less strictly where requests come from JSON.
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
# In both, later ones win: JSON objects that override keys of the flavor's `config`.
_CONFIG_OVERRIDES = ("MLFLOW_PYFUNC_INFERENCE_CONFIG", "SERVING_MODEL_CONFIG")


def load_implementation(model: MLModel) -> Any:
    """What the model's loader module gives: an object with a predict method (or the one that the flavor names).

    The model's code folder goes first on sys.path, for good: a model imports from it while it predicts, too.

    Raises:
        LoadError: Anything that went wrong, an exit included; the message is the cause's type and message, on one line.
    """
    os.environ.setdefault(_SERVING, "true")
    try:
        return _by_loader_module(model)
    except LoadError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a loader that calls sys.exit must not end the server without a word
        raise LoadError(one_line(error)) from error


def one_line(error: BaseException) -> str:
    """An exception's type and message on one line, as Python prints it last."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _by_loader_module(model: MLModel) -> Any:
    flavor = model.pyfunc
    if model.code_path is not None:
        sys.path.insert(0, str(model.code_path))
    if not model.data_path.exists():
        raise LoadError(f"{model.data_path} is not there, though the MLmodel names it as the model's data")
    module = importlib.import_module(flavor.loader_module)
    load = getattr(module, "_load_pyfunc", None) or getattr(module, "load_pyfunc", None)
    if load is None:
        raise LoadError(f"the loader module {flavor.loader_module} has neither _load_pyfunc nor load_pyfunc")
    config = _config(flavor.model_config)
    implementation = load(str(model.data_path), config) if config else load(str(model.data_path))
    if not hasattr(implementation, flavor.predict_fn):
        raise LoadError(f"what {flavor.loader_module} loaded, {type(implementation).__name__}, has no method {flavor.predict_fn}")
    return implementation


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
