"""The `python_function` flavor written into an MLmodel."""

from __future__ import annotations

import copy
import platform
from typing import Any, Optional

from deployer_scoring.format.metadata import Model
from deployer_scoring.model.mlmodel import FLAVOR


def add_to_model(  # noqa: PLR0917  MLflow's arguments in MLflow's order
    model: Model,
    loader_module: str,
    data: Optional[str] = None,
    code: Optional[str] = None,
    conda_env: Optional[str] = None,
    python_env: Optional[str] = None,
    model_config: Optional[dict[str, Any]] = None,
    model_code_path: Optional[str] = None,
    **kwargs: Any,
) -> Model:
    """Say in an MLmodel how to load the model as a Python function; a directory of any other form becomes one.

    Args:
        model: The MLmodel to change.
        loader_module: The module whose `_load_pyfunc(path)` loads it.
        data, code, conda_env, python_env, model_code_path: Paths relative to the model's directory.
        model_config: What `_load_pyfunc` is given as its second argument.
        kwargs: More keys of the flavor, as YAML has them.

    Returns:
        The same MLmodel.
    """
    env = {key: value for key, value in (("conda", conda_env), ("virtualenv", python_env)) if value}
    optional = {"code": code, "data": data, "env": env, "config": model_config, "model_code_path": model_code_path}
    given = {key: value for key, value in optional.items() if value}
    return model.add_flavor(FLAVOR, **copy.deepcopy(kwargs), loader_module=loader_module, python_version=platform.python_version(), **given)
