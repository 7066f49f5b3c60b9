"""The MLmodel file: what a model directory says of itself, in every form that MLflow has written since 2018.

`read_mlmodel` is for who deploys: it also looks whether the files that the MLmodel names are there. `parse_mlmodel` reads the
file alone, for who loads the model and would rather hear from the loader what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, Optional, Union

import yaml

from deployer_scoring.documents import load_yaml
from deployer_scoring.errors import MLModelError, SchemaError
from deployer_scoring.model.own_paths import forward, leads_out
from deployer_scoring.model.text import exists, read_bytes
from deployer_scoring.schema.signature import ModelSignature, ParamSchema, Schema

FILE = "MLmodel"
FLAVOR = "python_function"
_PLACE = f"flavors.{FLAVOR}"
_DEEPEST = 4  # flavors.python_function.artifacts.NAME.path
# Under these keys mlflow's flavors keep, each in its own block, the path of what they load.
_OWN_PATHS = (
    "data",
    "model_data",
    "model_binary",
    "pickled_model",
    "saved_model_dir",
    "model_path",
    "serialized_explainer",
    "adapter_weights",
    "peft",
)


@dataclass(frozen=True)
class PythonFunction:
    """The `python_function` flavor: how to load and call the model.

    Paths are relative to the model's directory, with forward slashes.
    """

    loader_module: str
    data: Optional[str] = None
    code: Optional[str] = None
    environments: Mapping[str, str] = field(default_factory=dict)
    """Environment files by manager: `conda` and `virtualenv`. The older form, one string, is `conda`."""
    python_version: Optional[str] = None
    model_config: Mapping[str, Any] = field(default_factory=dict)
    predict_fn: str = "predict"
    predict_stream_fn: Optional[str] = None
    """The method that streams; None where the model doesn't."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The whole flavor as written, for keys that only a loader module knows."""


class Named(NamedTuple):
    """A file or folder that an MLmodel names.

    Attributes:
        key: where it does so, "flavors.keras.data".
        path: relative to the model's directory.
        needed: whether the model certainly can't be loaded without it.
        advice: what to do where it is absent.
        environment: whether it says what the model needs, and holds nothing of the model.
        there: whether it is.
    """

    key: str
    path: str
    needed: bool
    advice: str
    environment: bool = False
    there: bool = True


@dataclass(frozen=True)
class MLModel:
    """A model directory, as its MLmodel describes it."""

    directory: Path
    pyfunc: PythonFunction
    flavors: Mapping[str, Mapping[str, Any]]
    """All flavors as written, python_function among them; unknown ones are kept and mean nothing to us."""
    signature: Optional[ModelSignature] = None
    model_uuid: Optional[str] = None
    model_id: Optional[str] = None
    run_id: Optional[str] = None
    mlflow_version: Optional[str] = None
    artifact_path: Optional[str] = None
    utc_time_created: Optional[str] = None
    model_size_bytes: Optional[int] = None
    saved_input_example_info: Optional[Mapping[str, Any]] = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_signature_from_type_hint: bool = False
    type_hint_from_example: bool = False

    @property
    def framework(self) -> str:
        """The first flavor beside python_function, or else the loader module's package: sklearn, xgboost, my_package."""
        return next((name for name in self.flavors if name != FLAVOR), self.pyfunc.loader_module.split(".")[0])

    @property
    def named(self) -> tuple[Named, ...]:
        """The files and folders that the MLmodel names; each time, it is looked whether they are there."""
        return tuple(each._replace(there=_is_there(self.directory, each.path)) for each in _named(self))

    @property
    def data_path(self) -> Path:
        """What the loader module is given: the flavor's `data`, or the directory where it names none (MLflow's rule)."""
        return self.directory / self.pyfunc.data if self.pyfunc.data is not None else self.directory

    @property
    def code_path(self) -> Optional[Path]:
        """The folder with the model's own modules; None where it has none."""
        return self.directory / self.pyfunc.code if self.pyfunc.code else None


def read_mlmodel(directory: Path) -> MLModel:
    """Read a model directory and look whether everything that its MLmodel names is there.

    Raises:
        MLModelError: No such directory or MLmodel file, broken YAML (with the line), no python_function flavor, no loader module, an
            invalid signature, or a data, code or artifact file that is named but absent, where that loader module certainly opens it.
    """
    model = parse_mlmodel(directory)
    for each in model.named:
        if leads_out(each.path):
            raise MLModelError(FILE, each.key, f"leads out of the model's directory: {each.path}", "Save the model again.")
        if each.needed and not each.there:
            raise MLModelError(FILE, each.key, f"the file {each.path} is not in the model's directory", each.advice)
    return model


def parse_mlmodel(directory: Path) -> MLModel:
    """Read the MLmodel file of a directory, and nothing else.

    Raises:
        MLModelError: As `read_mlmodel`, but for the files that the MLmodel names.
    """
    document = _document(directory)
    flavors = {name: _forward(flavor, directory) for name, flavor in _flavors(document).items()}
    return MLModel(
        directory=directory,
        pyfunc=_python_function(flavors[FLAVOR]),
        flavors=flavors,
        signature=_signature(document.get("signature")),
        model_uuid=_text(document, "model_uuid"),
        model_id=_text(document, "model_id"),
        run_id=_text(document, "run_id"),
        mlflow_version=_text(document, "mlflow_version"),
        artifact_path=_text(document, "artifact_path"),
        utc_time_created=_text(document, "utc_time_created"),
        model_size_bytes=document["model_size_bytes"] if isinstance(document.get("model_size_bytes"), int) else None,
        saved_input_example_info=_mapping(document, "saved_input_example_info", "saved_input_example_info") or None,
        metadata=_mapping(document, "metadata", "metadata"),
        is_signature_from_type_hint=bool(document.get("is_signature_from_type_hint")),
        type_hint_from_example=bool(document.get("type_hint_from_example")),
    )


def _document(directory: Path) -> Mapping[str, Any]:
    advice = "A model is a directory that holds an MLmodel file, as mlflow's save_model and log_model write it."
    if not directory.is_dir():
        raise MLModelError(str(directory), None, "is not a directory" if directory.exists() else "there is no such directory", advice)
    try:
        document = load_yaml(read_bytes(directory / FILE).decode("utf-8-sig"), twice=False)
    except FileNotFoundError:
        raise MLModelError(FILE, None, f"there is no such file in {directory}", advice) from None
    except OSError as error:
        raise MLModelError(FILE, None, f"can't be read: {error.strerror or error}", "Look at the file's type and permissions.") from error
    except UnicodeDecodeError as error:
        raise MLModelError(FILE, None, f"is not UTF-8 text: {error}", "Save the model again.") from error
    except yaml.YAMLError as error:
        raise _broken_yaml(FILE, error) from error
    if not isinstance(document, dict):
        raise MLModelError(FILE, None, f"holds {'nothing' if document is None else 'no mapping'}", advice)
    return document


def _broken_yaml(file: str, error: yaml.YAMLError) -> MLModelError:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    place = f"{file}:{mark.line + 1}" if mark is not None else file
    return MLModelError(place, None, f"is not valid YAML: {' '.join(problem.split())}", "Correct the line, or save the model again.")


def _flavors(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    flavors = {name: flavor for name, flavor in _mapping(document, "flavors", "flavors").items() if isinstance(flavor, dict)}
    for place, mapping in (("flavors", flavors), *((f"flavors.{name}", flavor) for name, flavor in flavors.items())):
        if odd := [key for key in mapping if not isinstance(key, str)]:
            raise MLModelError(FILE, place, f"has a key that is no text: {odd[0]!r}", "Save the model again.")
    if FLAVOR not in flavors and isinstance(document.get(FLAVOR), dict):
        flavors[FLAVOR] = document[FLAVOR]
    if FLAVOR not in flavors:
        others = ", ".join(flavors) or "none"
        raise MLModelError(
            FILE,
            _PLACE,
            f"the model has no {FLAVOR} flavor, only {others}" if flavors else f"the model has no {FLAVOR} flavor, nor any other",
            "Save it with a flavor of mlflow that writes one (mlflow.sklearn, mlflow.pyfunc and most others do).",
        )
    return flavors


def _forward(value: Any, directory: Path, depth: int = 0) -> Any:
    """A flavor whose paths may have been written on Windows, with those that lead to something here."""
    if isinstance(value, str):
        return forward(value, directory) if "\\" in value else value
    if isinstance(value, dict) and depth < _DEEPEST:
        return {key: _forward(each, directory, depth + 1) for key, each in value.items()}
    return value


def _python_function(flavor: Mapping[str, Any]) -> PythonFunction:
    loader = flavor.get("loader_module", flavor.get("main"))
    if not isinstance(loader, str) or not loader.strip():
        raise MLModelError(
            FILE,
            f"{_PLACE}.loader_module",
            "is missing" if loader is None else f"is not the name of a module: {loader!r}",
            "It names the module whose _load_pyfunc loads the model. Save the model again.",
        )
    streams = bool(flavor.get("streamable"))
    return PythonFunction(
        loader_module=loader.strip(),
        data=_path(flavor, "data"),
        code=_path(flavor, "code"),
        environments=_environments(flavor.get("env")),
        python_version=_text(flavor, "python_version"),
        model_config=_mapping(flavor, "config", f"{_PLACE}.config"),
        predict_fn=_text(flavor, "predict_fn") or "predict",
        predict_stream_fn=(_text(flavor, "predict_stream_fn") or "predict_stream") if streams else None,
        options=dict(flavor),
    )


def _environments(env: object) -> Mapping[str, str]:
    if env is None:
        return {}
    if isinstance(env, str):
        return {"conda": env}
    if isinstance(env, dict) and all(isinstance(path, str) for path in env.values()):
        return {str(manager): path for manager, path in env.items()}
    raise MLModelError(FILE, f"{_PLACE}.env", "is neither a file's name nor a mapping of them", "Save the model again.")


def _signature(value: object) -> Optional[ModelSignature]:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MLModelError(FILE, "signature", "is not a mapping", "Save the model again, or set its signature with mlflow.models.set_signature.")
    inputs, outputs, params = (value.get(part) for part in ("inputs", "outputs", "params"))
    return ModelSignature(
        inputs=_asked("inputs", inputs) if inputs else None,
        outputs=_schema("outputs", outputs) if outputs else None,
        params=_params(params) if params else None,
    )


def _schema(part: str, text: object) -> Schema:
    try:
        return Schema.from_json(str(text))
    except SchemaError as error:
        raise _bad_signature(part, error) from error


def _asked(part: str, text: object) -> Schema:
    schema = _schema(part, text)
    if levels := [each.name for each in schema.inputs if isinstance(each.name, list)]:  # MLflow infers them, and then fails at any data
        raise _bad_signature(part, SchemaError(f"the name of a column is one text, not levels of names: {levels[0]!r}"))
    return schema


def _params(text: object) -> ParamSchema:
    try:
        return ParamSchema.from_json(str(text))
    except SchemaError as error:
        raise _bad_signature("params", error) from error


def _bad_signature(part: str, error: SchemaError) -> MLModelError:
    return MLModelError(FILE, f"signature.{part}", str(error), "Set the signature again with mlflow.models.set_signature.")


def _named(model: MLModel) -> Iterator[Named]:
    """What the MLmodel names: of the python_function flavor, and of the block of the flavor that mlflow loads the model by."""
    flavor, loader = model.pyfunc.options, model.pyfunc.loader_module
    known = loader.startswith("mlflow.")
    incomplete = "The copy of the model is not complete: fetch or save it again."
    for key in ("code", "python_model", "data", "model_path"):
        if path := _relative(flavor.get(key)):
            # What a path means is the loader's affair: sktime's "model" is model.zip.
            yield Named(f"{_PLACE}.{key}", path, known or key == "code", incomplete)
    artifacts = flavor.get("artifacts")
    for name, info in artifacts.items() if isinstance(artifacts, dict) else ():
        if path := _relative(info.get("path") if isinstance(info, dict) else None):
            yield Named(f"{_PLACE}.artifacts.{name}.path", path, known, incomplete)
    alone = not any(_relative(flavor.get(key)) for key in ("data", "model_path"))
    own = loader.split(".")[1] if known else ""
    for key in _OWN_PATHS:
        if path := _relative(model.flavors.get(own, {}).get(key)):
            yield Named(f"flavors.{own}.{key}", path, alone, incomplete)
    for manager, path in model.pyfunc.environments.items():
        key = f"{_PLACE}.env" if len(model.pyfunc.environments) == 1 else f"{_PLACE}.env.{manager}"
        yield Named(key, path, False, "It lists what the model needs: save the model again, or write the file.", environment=True)


def _is_there(directory: Path, path: str) -> bool:
    """Whether a path that an MLmodel names is there; Paddle's are what its files' names begin with."""
    place = directory / path
    return exists(place) or (exists(place.parent / ".") and any(each.name.startswith(f"{place.name}.pd") for each in place.parent.iterdir()))


def _relative(value: object) -> Optional[str]:
    """A path within the model's directory; None for what isn't one (absolute paths stem from the machine that saved the model)."""
    if not isinstance(value, str) or not value or "://" in value or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute():
        return None
    return value


def _path(flavor: Mapping[str, Any], key: str) -> Optional[str]:
    value: Union[object, None] = flavor.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MLModelError(FILE, f"{_PLACE}.{key}", f"is not a path: {value!r}", "Save the model again.")
    if leads_out(value):
        raise MLModelError(FILE, f"{_PLACE}.{key}", f"leads out of the model's directory: {value}", "Save the model again.")
    return value


def _text(document: Mapping[str, Any], key: str) -> Optional[str]:
    """A scalar as text: YAML reads an unquoted 3.8 as a number and a time as a datetime."""
    value = document.get(key)
    if isinstance(value, (dict, list, set, bytes)):
        raise MLModelError(FILE, key, f"is no text: {value!r}", "Save the model again.")
    return None if value is None else str(value)


def _mapping(document: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MLModelError(FILE, place, "is not a mapping", "Save the model again.")
    return value
