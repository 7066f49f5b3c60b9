"""The base of models that users write: MLflow's `mlflow.pyfunc.PythonModel`, for environments without mlflow.

In pickles these stand under MLflow's names (`MLFLOW_NAMES`), so that each side loads what the other saved: the format room renames them
when it writes, the loaders map them back when they read.
"""

from __future__ import annotations

import functools
import inspect
import logging
import typing
from types import MethodType
from typing import Any, Callable, Optional

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.datatypes import AnyType, Array, DataType, Map, Object, Property, SparkMLVector
from deployer_scoring.schema.hinted import held_against
from deployer_scoring.schema.hints import InvalidHint, TypeFromExample, UnsupportedHint, input_schema, says_nothing_of_columns
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorInfo, TensorSpec

_log = logging.getLogger(__name__)


class TypeHints:
    """The hints of a predict's input and output; None where there is none."""

    def __init__(self, input: Any = None, output: Any = None) -> None:  # noqa: A002  MLflow's names
        self.input, self.output = input, output

    def __repr__(self) -> str:
        return f"<input: {self.input}, output: {self.output}>"


class PythonModelContext:
    """What a model was saved with, when it is loaded and each time that it predicts."""

    def __init__(self, artifacts: dict[str, str], model_config: Optional[dict[str, Any]]) -> None:
        self._artifacts, self._model_config = artifacts, model_config

    @property
    def artifacts(self) -> dict[str, str]:
        """The absolute path of each artifact, by name."""
        return self._artifacts

    @property
    def model_config(self) -> Optional[dict[str, Any]]:
        """The model's config with what was overridden when it was loaded."""
        return self._model_config


class PythonModel:
    """A model in Python: subclass it and write `predict`.

    `predict(self, context, model_input, params=None)`; `context` and `params` may be left out. Where the input has a type hint `list[X]`,
    data is held against it before predict sees it, and the model's signature is made from it.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("predict")
        if inspect.isfunction(own) and cls.__module__ != __name__:
            cls.predict = pyfunc(own)  # type: ignore[method-assign]

    def load_context(self, context: PythonModelContext) -> None:
        """Load what `context.artifacts` holds; called once, when the model is loaded."""

    def predict(self, context: Any, model_input: Any, params: Optional[dict[str, Any]] = None) -> Any:
        """The predictions for an input: a DataFrame, Series, array, list, dictionary or scalar."""
        raise NotImplementedError(f"{type(self).__name__} has no predict")

    def predict_stream(self, context: Any, model_input: Any, params: Optional[dict[str, Any]] = None) -> Any:
        """An iterator over the pieces of one answer."""
        raise NotImplementedError(f"{type(self).__name__} has no predict_stream")

    @property
    def predict_type_hints(self) -> TypeHints:
        saved: Optional[TypeHints] = self.__dict__.get("_predict_type_hints")  # pickled by MLflow
        return saved or type_hints(self.predict)


class FunctionPythonModel(PythonModel):
    """A function of one argument as a model (MLflow's `_FunctionPythonModel`)."""

    def __init__(self, func: Callable[[Any], Any], signature: Any = None) -> None:
        self.func, self.signature = pyfunc(func), signature

    @property
    def predict_type_hints(self) -> TypeHints:
        saved: Optional[TypeHints] = self.__dict__.get("_predict_type_hints")
        return saved or type_hints(self.func)

    def predict(self, model_input: Any, params: Optional[dict[str, Any]] = None) -> Any:  # type: ignore[override]
        return self.func(model_input)


class HintedPredict:
    """A predict whose input is held against its type hint first. As an object, not a closure, it has a pickled form that MLflow understands."""

    _is_pyfunc = True

    def __init__(self, func: Callable[..., Any], hint: Any) -> None:
        functools.update_wrapper(self, func)
        self.__wrapped__: Callable[..., Any] = func
        self.hint, self.parameter = hint, input_parameter(func)
        self._position = list(inspect.signature(func).parameters).index(self.parameter)
        # Resolved: in a pickle, the names that postponed annotations speak of are gone.
        func.__annotations__[self.parameter] = hint

    def __get__(self, instance: Any, owner: Optional[type] = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.parameter in kwargs:
            kwargs = {**kwargs, self.parameter: held_against(kwargs[self.parameter], self.hint)}
        elif len(args) > self._position:
            held = held_against(args[self._position], self.hint)
            args = (*args[: self._position], held, *args[self._position + 1 :])
        return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return pyfunc, (self.__wrapped__,)


def pyfunc(func: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: data is held against the type hint of the input before the function sees it. PythonModel applies it by itself.

    Raises:
        InvalidHint: The hint breaks the rules; one that is merely not supported is told in the log and changes nothing.
    """
    if getattr(func, "_is_pyfunc", False):
        return func
    hint = type_hints(func).input
    if hint is None or says_nothing_of_columns(hint):
        return func
    try:
        input_schema(hint)
    except InvalidHint as error:
        raise InvalidHint(f"{error}. Or remove the hint from {func.__qualname__}: then its input is not checked") from error
    except UnsupportedHint as error:
        _log.warning("data is not held against the type hint of %s: %s", func.__qualname__, error)
        return func
    return HintedPredict(func, hint)


def type_hints(func: Callable[..., Any]) -> TypeHints:
    """The hints of a predict method's or function's input and output; none where they can't be resolved."""
    if not hasattr(func, "__annotations__"):
        func = func.__call__  # type: ignore[operator]
    if not func.__annotations__:
        return TypeHints()
    try:
        hints = typing.get_type_hints(func)
    except Exception as error:  # a hint may name anything
        _log.warning("the type hints of %s can't be resolved: %s: %s", getattr(func, "__qualname__", func), type(error).__name__, error)
        return TypeHints()
    return TypeHints(hints.get(input_parameter(func)), hints.get("return"))


def input_parameter(func: Callable[..., Any]) -> str:
    """The name of the parameter that takes the input: the second where there is a context, else the first."""
    parameters = inspect.signature(func).parameters
    names = [name for name in parameters if name != "self"]
    position = 1 if takes_context(parameters) else 0
    if len(names) <= position:
        raise TypeError(f"{getattr(func, '__qualname__', func)} takes no input: it needs a parameter for it")
    return names[position]


def takes_context(parameters: typing.Mapping[str, Any]) -> bool:
    """Whether a predict with these parameters takes a context: one of that name, or two beside self and params."""
    return "context" in parameters or len([name for name in parameters if name not in {"self", "params"}]) == 2


def validate_model_input(args: Any, kwargs: Any, position: int, hint: Any, parameter: str) -> tuple[Any, Any]:
    """What the wrapped predicts in pickles of MLflow call by name (its `_validate_model_input`)."""
    try:
        if parameter in kwargs:
            return args, {**kwargs, parameter: held_against(kwargs[parameter], hint)}
        if len(args) > position:
            return (*args[:position], held_against(args[position], hint), *args[position + 1 :]), kwargs
    except InvalidInput as error:  # as the wrapped predict knows it, which takes others for a fault of its own
        raise MlflowError(str(error), error.error_code, row=error.row) from error
    return args, kwargs


class MlflowError(InvalidInput):
    """MLflow's exception, in pickles: the request's fault only where its code says so."""

    def __init__(self, message: str, error_code: Any = "INTERNAL_ERROR", row: Optional[int] = None, **_: Any) -> None:
        code = error_code if isinstance(error_code, str) else "INTERNAL_ERROR"
        super().__init__(message, error_code=code, status=400 if code == INVALID_PARAMETER_VALUE else 500, row=row)


class FuncInfo(typing.NamedTuple):
    """The hint and the name of a predict's input, in pickles of MLflow."""

    input_type_hint: Any
    input_param_name: str


_VALIDATION = "mlflow.pyfunc.utils.data_validation"
_SCHEMA = (DataType, Property, Object, Array, SparkMLVector, Map, AnyType, ColSpec, TensorInfo, TensorSpec, Schema, ParamSpec, ParamSchema)

MLFLOW_NAMES: dict[tuple[str, str], Any] = {
    ("mlflow.pyfunc.model", "PythonModel"): PythonModel,
    ("mlflow.pyfunc.model", "PythonModelContext"): PythonModelContext,
    ("mlflow.pyfunc.model", "_FunctionPythonModel"): FunctionPythonModel,
    (_VALIDATION, "pyfunc"): pyfunc,
    (_VALIDATION, "FuncInfo"): FuncInfo,
    (_VALIDATION, "_validate_model_input"): validate_model_input,
    ("mlflow.models.signature", "ModelSignature"): ModelSignature,
    ("mlflow.models.signature", "_TypeHints"): TypeHints,
    **{("mlflow.types.schema", each.__name__): each for each in _SCHEMA},
    ("mlflow.types.type_hints", "TypeFromExample"): TypeFromExample,
    ("mlflow.exceptions", "MlflowException"): MlflowError,
}
"""What stands for MLflow's module and name in pickles. A pickle that names anything else of mlflow needs mlflow."""
