"""A saved model as an object that predicts: MLflow's `mlflow.pyfunc.PyFuncModel`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import unquote, urlsplit

import yaml

from deployer_scoring.errors import LoadError, ModelFailure
from deployer_scoring.format.metadata import Model
from deployer_scoring.loaders.loading import load
from deployer_scoring.model.code import read_config
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.model.requirements import requirements
from deployer_scoring.scorer import Scorer

_log = logging.getLogger(__name__)
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"


class PyFuncModel:
    """A loaded model: `predict` holds data against the signature first, as MLflow does."""

    def __init__(self, model: MLModel, scorer: Scorer) -> None:
        self._model, self._scorer, self._model_impl = model, scorer, scorer.loaded.implementation
        self._metadata: Optional[Model] = None

    def predict(self, data: Any, params: Optional[dict[str, Any]] = None) -> Any:
        """The model's predictions.

        Args:
            data: A DataFrame, Series, array, sparse matrix, list, dictionary or scalar.
            params: Values of the signature's params; the rest have their defaults.

        Raises:
            InvalidInput: The data or the params don't fit the signature. What the model itself raises comes as it is.
        """
        try:
            return self._scorer.predict(data, params)
        except ModelFailure as failure:
            raise failure.__cause__ or failure from None

    def predict_stream(self, data: Any, params: Optional[dict[str, Any]] = None) -> Iterator[Any]:
        """The pieces of the answer to one input.

        Raises:
            LoadError: The model doesn't stream.
            InvalidInput: As `predict`.
        """
        if not self._scorer.streams:
            raise LoadError("the model doesn't stream: it has no predict_stream")
        return _own_errors(self._scorer.stream(data, params))

    def unwrap_python_model(self) -> Any:
        """The user's own PythonModel.

        Raises:
            LoadError: The model is none.
        """
        model = getattr(self._model_impl, "python_model", None)
        if model is None:
            raise LoadError(f"the model was not saved as a PythonModel, but by {self.loader_module}")
        return model

    def get_raw_model(self) -> Any:
        """The library's own model, where the loader gives it away.

        Raises:
            NotImplementedError: It doesn't.
        """
        if not hasattr(self._model_impl, "get_raw_model"):
            raise NotImplementedError(f"{self.loader_module} does not give its own model away")
        return self._scorer.loaded.method("get_raw_model")()

    @property
    def metadata(self) -> Model:
        """The MLmodel file."""
        if self._metadata is None:
            self._metadata = Model.load(self._model.directory)
        return self._metadata

    @property
    def model_config(self) -> Mapping[str, Any]:
        """The flavor's config, as the model was loaded with it."""
        return self._model.pyfunc.model_config

    @property
    def loader_module(self) -> str:
        return self._model.pyfunc.loader_module

    @property
    def model_id(self) -> Optional[str]:
        return self._model.model_id

    @property
    def input_example(self) -> Any:
        """The example saved with the model; None without one."""
        return self.metadata.load_input_example(self._model.directory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PyFuncModel) and self.metadata == other.metadata

    def __hash__(self) -> int:
        return hash(self._model.directory)

    def __repr__(self) -> str:
        about = {"run_id": self._model.run_id, "artifact_path": self._model.artifact_path, "flavor": self.loader_module}
        return yaml.safe_dump({"mlflow.pyfunc.loaded_model": {key: value for key, value in about.items() if value is not None}})


def load_model(model_uri: Union[str, Path], suppress_warnings: bool = False, model_config: Any = None) -> PyFuncModel:
    """Load a model directory of this machine.

    Args:
        model_uri: A path or `file:` URI. `deployer.pyfunc.load_model` takes every other URI, too.
        suppress_warnings: Don't tell that the Python or a package is another than the model was saved with.
        model_config: Overrides keys of the config that the model was saved with: a dictionary, or the path of a YAML file.

    Raises:
        MLModelError: Not a valid model.
        LoadError: It can't be loaded here.
    """
    model = parse_mlmodel(_directory(str(model_uri)))
    config = _config(model.pyfunc.model_config, model_config)
    model = replace(model, pyfunc=replace(model.pyfunc, model_config=config))
    if not suppress_warnings:
        _warn(model)
    was_serving = os.environ.get(_SERVING)
    try:
        loaded = load(model, alone=False)
    finally:
        # Only a server reads JSON, where bytes and datetimes come as text.
        if was_serving is None:
            os.environ.pop(_SERVING, None)
    return PyFuncModel(model, Scorer(model, loaded))


def load_pyfunc(model_uri: Union[str, Path], suppress_warnings: bool = False) -> PyFuncModel:
    """`load_model` by its name of 2019."""
    return load_model(model_uri, suppress_warnings)


def _own_errors(pieces: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from pieces
    except ModelFailure as failure:
        raise failure.__cause__ or failure from None


def _directory(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path) if uri.lower().startswith("file:") else uri).expanduser().resolve()


def _config(saved: Mapping[str, Any], given: Any) -> dict[str, Any]:
    overrides = {} if given is None else dict(given) if isinstance(given, Mapping) else read_config(Path(given))
    if ignored := sorted(overrides.keys() - saved.keys()):
        _log.warning("the model was saved without these keys of its config, so they are ignored: %s", ", ".join(ignored))
    return {**saved, **{key: value for key, value in overrides.items() if key in saved}}


def _warn(model: MLModel) -> None:
    """Tell what is other here than where the model was saved."""
    from deployer_scoring.format.packages import mismatches

    saved, here = model.pyfunc.python_version, ".".join(map(str, sys.version_info[:3]))
    if saved and saved.split(".")[:2] != here.split(".")[:2]:
        _log.warning("the model was saved with Python %s, and this is %s: its pickles may not load", saved, here)
    if found := mismatches(requirements(model.directory)):
        _log.warning("the model was saved with other packages than are installed here: %s", "; ".join(found))
