"""Models logged to an MLflow tracking server, by mlflow's own client where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional

from deployer_scoring.errors import LoadError


def log(flavor: Any, *, described: Callable[..., Any], artifact_path: Optional[str] = None, name: Optional[str] = None, **options: Any) -> Any:
    """Save a model by a flavor and log the directory to the tracking server; in the run that is active, or in a new one with mlflow 2.

    Args:
        flavor: A module or object with `save_model(path, mlflow_model=, **options)`.
        described: Makes what the flavor takes as `mlflow_model`, of the keys of an MLmodel file that are known already.
        artifact_path, name: What the model is called in its run; one of them, the first is the older word.
        options: Those of mlflow's Model.log (registered_model_name, await_registration_for, params, tags, step, model_id, ...) and
            of the flavor's save_model.

    Returns:
        mlflow's ModelInfo: model_uri, run_id, registered_model_version and more.

    Raises:
        LoadError: mlflow isn't installed here.
        MlflowException: What the server says.
    """
    try:
        from mlflow.models import Model as MlflowModel
    except ImportError as error:
        raise LoadError("logging a model needs mlflow's client, which isn't installed: pip install mlflow-skinny; or save_model to a path") from error
    place = {"name": name} if name is not None else {"artifact_path": artifact_path}
    if name is not None and not _has_names(MlflowModel):
        place = {"artifact_path": name}
    return MlflowModel.log(flavor=_Flavor(flavor, described), **{"artifact_path": None, **place}, **options)


def _has_names(kind: Any) -> bool:
    """Whether this mlflow calls models by names: since version 3."""
    import inspect

    return "name" in inspect.signature(kind.log).parameters


class _Flavor:
    """A flavor as mlflow's Model.log calls one: what it wrote is read back into mlflow's own description of the model."""

    __name__ = "deployer.pyfunc"

    def __init__(self, flavor: Any, described: Callable[..., Any]) -> None:
        self._flavor, self._described = flavor, described

    def save_model(self, path: str, mlflow_model: Any, flavor_name: Any = None, **options: Any) -> None:
        metadata = options.pop("metadata", None) or mlflow_model.metadata
        model = self._described(
            artifact_path=mlflow_model.artifact_path,
            run_id=mlflow_model.run_id,
            model_uuid=mlflow_model.model_uuid,
            model_id=getattr(mlflow_model, "model_id", None),
            metadata=metadata,
        )
        self._flavor.save_model(path=path, mlflow_model=model, **options)
        written = type(mlflow_model).load(str(Path(path)))
        mlflow_model.__dict__.update(written.__dict__)
