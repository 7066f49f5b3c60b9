"""Models that users write in Python (`mlflow.pyfunc.PythonModel`), without mlflow.

A pickle names its base class as mlflow's; reading it, that and what else of mlflow `python_model.MLFLOW_NAMES` lists becomes ours. A pickle
that names anything else of mlflow is left to mlflow.
"""

from __future__ import annotations

import bz2
import gzip
import inspect
import logging
import lzma
import pickle
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.loaders.loaded import Loaded, Unusual
from deployer_scoring.loaders.pickles import refuse_forbidden
from deployer_scoring.loaders.standin import asks_for_more, standing_in
from deployer_scoring.model.code import load_code
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.python_model import MLFLOW_NAMES, FunctionPythonModel, PythonModelContext, takes_context

_OPENERS: Mapping[Optional[str], Callable[..., Any]] = {None: open, "lzma": lzma.open, "bzip2": bz2.open, "gzip": gzip.open}
# Bases whose models answer chats by wrappers of mlflow's own.
_CHATTING = frozenset({"ChatModel", "ChatAgent", "ResponsesAgent"})
_log = logging.getLogger(__name__)


class LoadedPythonModel:
    """A user's model with its context, called with as much as its methods take."""

    def __init__(self, python_model: Any, context: PythonModelContext, model: MLModel) -> None:
        self.python_model, self.context = python_model, context
        inputs = model.signature.inputs if model.signature else None
        self._unnamed = inputs is not None and len(inputs) == 1 and not inputs.has_input_names()
        self._hint = _hint(python_model)
        self._parameters = {name: inspect.signature(getattr(python_model, name)).parameters for name in ("predict", "predict_stream")}

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """The model's predictions."""
        return self._call("predict", model_input, params)

    def predict_stream(self, model_input: Any, params: Any = None) -> Any:
        """An iterator over the pieces of the model's answer."""
        return self._call("predict_stream", model_input, params)

    def _call(self, name: str, model_input: Any, params: Any) -> Any:
        parameters = self._parameters[name]
        if params and "params" not in parameters:
            _log.warning("the model's %s takes no params, so these are ignored: %s", name, ", ".join(params))
        given = {"params": params} if "params" in parameters else {}
        context = (self.context,) if takes_context(parameters) else ()
        return getattr(self.python_model, name)(*context, self._as_hinted(model_input), **given)

    def _as_hinted(self, data: Any) -> Any:
        """A frame as the list that the type hint of predict asks for: MLflow's rule for list[str] and list[dict[str, str]]."""
        if self._hint is None or not hasattr(data, "iloc") or not hasattr(data, "columns"):
            return data
        item = _item_of(self._hint)
        if item is str:
            texts = _text_column(data)
            if texts is None:
                raise InvalidInput("the model takes a list of strings, and no column of the input holds strings", error_code=INVALID_PARAMETER_VALUE)
            return data[texts].tolist()
        if (typing.get_origin(item), typing.get_args(item)) != (dict, (str, str)):
            return data
        if self._unnamed and (texts := _text_column(data)) is not None:
            return data[[texts]].to_dict(orient="records")
        if self._unnamed and len(data.columns) == 1:
            return data.to_dict("list")[0]
        return data.to_dict(orient="records")


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of a user's own class or function, and let it load its context.

    Raises:
        Unusual: It needs mlflow.
        LoadError: The environment forbids pickles.
    """
    with standing_in():
        python_model = _by_script(model, config) if "model_code_path" in model.pyfunc.options else _unpickled(model)
        _leave_chats(python_model)
        context = PythonModelContext(artifacts=_artifacts(model), model_config=dict(config) or None)
        python_model.load_context(context=context)
    return Loaded(LoadedPythonModel(python_model, context, model))


def _by_script(model: MLModel, config: Mapping[str, Any]) -> Any:
    """The model that the model's script sets; a function is made a model of."""
    script = model.data_path / Path(str(model.pyfunc.options["model_code_path"])).name
    source = script.read_text(encoding="utf-8")
    if asks_for_more(source) or "dbutils" in source:
        raise Unusual(f"the script {script.name} uses mlflow")
    made = load_code(script, config)
    return FunctionPythonModel(made, signature=model.signature) if callable(made) else made


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] != "mlflow":
            return super().find_class(module, name)
        if (module, name) not in MLFLOW_NAMES:
            raise Unusual(f"the pickle refers to {module}.{name}")
        return MLFLOW_NAMES[module, name]


def _unpickled(model: MLModel) -> Any:
    options = model.pyfunc.options
    file, compression = options.get("python_model"), options.get("python_model_compression")
    if not isinstance(file, str) or compression not in _OPENERS:
        raise Unusual(f"the model is in the file {file}, compressed by {compression}")
    path = model.data_path / file
    refuse_forbidden(path)
    with _OPENERS[compression](path, "rb") as stream:
        return _Unpickler(stream).load()


def _leave_chats(python_model: Any) -> None:
    """Raise Unusual for models that only mlflow's own wrappers can call."""
    for base in type(python_model).__mro__:
        if base.__name__ in _CHATTING and base.__module__.startswith("mlflow."):
            raise Unusual(f"the model is a {base.__name__}")
    hint = _hint(python_model)
    if isinstance(hint, type) and any(base.__module__.startswith("mlflow.") for base in hint.__mro__):
        raise Unusual(f"the model takes a {hint.__name__} of mlflow's")


def _artifacts(model: MLModel) -> dict[str, str]:
    """The absolute path of each artifact."""
    listed = model.pyfunc.options.get("artifacts") or {}
    return {name: str(Path(model.data_path) / info["path"]) for name, info in listed.items()}


def _item_of(hint: Any) -> Any:
    """What a hint for a list says of its items; None for other hints."""
    return next(iter(typing.get_args(hint)), None) if typing.get_origin(hint) is list else None


def _text_column(frame: Any) -> Any:
    """The first column whose first row holds a string; None where there is none.

    Raises:
        InvalidInput: The frame has no rows, so that nothing can be told.
    """
    if not len(frame):
        raise InvalidInput("the input has no rows", error_code=INVALID_PARAMETER_VALUE)
    return next((name for name, value in frame.iloc[0].items() if isinstance(value, str)), None)


def _hint(python_model: Any) -> Any:
    """The type hint of predict's input; None where there is none, or where the model isn't made of PythonModel."""
    return getattr(getattr(python_model, "predict_type_hints", None), "input", None)
