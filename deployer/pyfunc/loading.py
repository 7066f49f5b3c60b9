"""Models loaded from wherever they are (`mlflow.pyfunc.load_model`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployer.models.loading import fetched
from deployer_scoring.format import loading
from deployer_scoring.format.loading import PyFuncModel


def load_model(model_uri: str | Path, suppress_warnings: bool = False, model_config: Any = None) -> PyFuncModel:
    """Load a model.

    Args:
        model_uri: Every URI that deploys: a path, `file:`, `s3:`, `gs:`, `wasbs:`, `abfss:`, `http(s):`, `runs:`, `models:`,
            `mlflow-artifacts:`. What isn't on this machine is fetched into the cache.
        suppress_warnings: Don't tell that the Python or a package is another than the model was saved with.
        model_config: Overrides keys of the config that the model was saved with: a dictionary, or the path of a YAML file.

    Raises:
        ConfigInvalid, ModelNotFound, ModelInvalid, ExtraMissing, ...: as `deployer.artifacts.fetch`.
        deployer_scoring.errors.LoadError: It can't be loaded here.
    """
    return loading.load_model(fetched(model_uri), suppress_warnings, model_config)


def load_pyfunc(model_uri: str | Path, suppress_warnings: bool = False) -> PyFuncModel:
    """`load_model` by its name of 2019."""
    return load_model(model_uri, suppress_warnings)
