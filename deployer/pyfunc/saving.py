"""Models saved to a directory, or logged to a tracking server (`mlflow.pyfunc.save_model`, `log_model`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial, update_wrapper
from typing import Any

from deployer.artifacts.download import fetch_artifact
from deployer_scoring.format import saving
from deployer_scoring.format.metadata import Model

save_model = partial(saving.save_model, fetch=fetch_artifact)
update_wrapper(save_model, saving.save_model)


def log_model(  # noqa: PLR0917  MLflow's arguments in MLflow's order
    artifact_path: str | None = None,
    loader_module: str | None = None,
    data_path: str | None = None,
    code_paths: list[str] | None = None,
    infer_code_paths: bool = False,
    conda_env: str | Mapping[str, Any] | None = None,
    python_model: Any = None,
    artifacts: Mapping[str, str] | None = None,
    registered_model_name: str | None = None,
    signature: Any = None,
    input_example: Any = None,
    *,
    name: str | None = None,
    **options: Any,
) -> Any:
    """Save a model and log it to the tracking server that mlflow is set to (MLFLOW_TRACKING_URI).

    Args:
        artifact_path, name: What it is called in its run; `name` since MLflow 3.
        registered_model_name: It is registered under this name, too.
        options: `code_path`, `pip_requirements`, `extra_pip_requirements`, `metadata`, `model_config`, `streamable` as `save_model`;
            `await_registration_for`, `params`, `tags`, `step`, `model_id`, ... as mlflow's Model.log.

    Returns:
        mlflow's ModelInfo.

    Raises:
        LoadError: mlflow's client isn't installed: mlflow-skinny is enough.
        SavingError: as `save_model`.
    """
    return Model.log(
        artifact_path,
        sys.modules[__name__],
        registered_model_name,
        name=name,
        loader_module=loader_module,
        data_path=data_path,
        code_paths=code_paths,
        infer_code_paths=infer_code_paths,
        conda_env=conda_env,
        python_model=python_model,
        artifacts=artifacts,
        signature=signature,
        input_example=input_example,
        **options,
    )
