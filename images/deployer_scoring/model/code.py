"""Models from code: a script that makes the model and names it with `set_model`, run each time that the model is loaded."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from deployer_scoring.documents import load_yaml
from deployer_scoring.errors import LoadError
from deployer_scoring.model.text import read_text


class _Said:
    """What the script that runs now has said, and the config that it may ask for."""

    model: Any = None
    config: Optional[Mapping[str, Any]] = None


def set_model(model: Any) -> None:
    """Name the model of the script that this is called in.

    Args:
        model: An instance of a PythonModel, or a function of one argument.

    Raises:
        TypeError: Neither.
    """
    if isinstance(model, type) or not (callable(model) or hasattr(model, "predict")):
        raise TypeError(f"set_model takes an instance of a PythonModel or a function, not {model!r}")
    _Said.model = model


class ModelConfig:
    """The config of a model from code: what it was saved or loaded with, or else that of its development.

    Args:
        development_config: A dictionary, or the path of a YAML file, for when the script is run by itself.

    Raises:
        FileNotFoundError: Neither is there.
    """

    def __init__(self, *, development_config: Union[str, Mapping[str, Any], None] = None) -> None:
        given = _Said.config or development_config
        if given is None:
            raise FileNotFoundError("the model has no config: pass model_config when saving it, or development_config here")
        self._values = dict(given) if isinstance(given, Mapping) else read_config(Path(given))

    def get(self, key: str) -> Any:
        """The value of a key.

        Raises:
            KeyError: No such key.
        """
        return self._values[key]

    def to_dict(self) -> dict[str, Any]:
        return dict(self._values)


def load_code(path: Path, config: Optional[Mapping[str, Any]] = None) -> Any:
    """Run a script and give the model that it sets, be it by our `set_model` or by mlflow's.

    Args:
        path: The script.
        config: What ModelConfig in the script says.

    Raises:
        LoadError: The script fails or sets no model; the cause is chained.
    """
    _Said.model, _Said.config = None, config or None
    _forget_mlflow_s()
    name = f"code_model_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is no Python script")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # known by name: classes of the script find their module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LoadError(f"the model's script {path.name} failed: {type(error).__name__}: {error}") from error
    finally:
        _Said.config = None
    said = _Said.model if _Said.model is not None else _mlflow_s()
    if said is None:
        raise LoadError(f"the model's script {path.name} sets no model: it ends with set_model(MyModel())")
    return said


def read_config(path: Path) -> dict[str, Any]:
    """A config from a YAML file.

    Raises:
        ValueError: Not YAML, or no mapping.
        FileNotFoundError: No such file.
    """
    try:
        document = load_yaml(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f"the config {path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"the config {path} is no mapping")
    return document


def _forget_mlflow_s() -> None:
    if (place := sys.modules.get("mlflow.models.model")) is not None:
        place.__dict__["__mlflow_model__"] = None


def _mlflow_s() -> Any:
    return getattr(sys.modules.get("mlflow.models.model"), "__mlflow_model__", None)
