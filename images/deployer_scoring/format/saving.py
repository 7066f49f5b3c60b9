"""Models saved as directories that this package and MLflow load alike (MLflow's `mlflow.pyfunc.save_model`).

Two workflows, never mixed: a Python object, function or script with its artifacts, or a loader module with its data. The directory is made
beside its place and moved there when it is whole.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional, Union
from urllib.parse import unquote, urlsplit

from deployer_scoring.errors import ScoringError
from deployer_scoring.format.code import CODE, copy_any, copy_code, copy_script
from deployer_scoring.format.environments import (
    Environment,
    environment_of,
    environment_of_conda,
    get_default_pip_requirements,
    parsed,
)
from deployer_scoring.format.examples import InputExample, example_of
from deployer_scoring.format.flavor import add_to_model
from deployer_scoring.format.metadata import Model
from deployer_scoring.format.needs import requirements_of
from deployer_scoring.format.packages import version_of
from deployer_scoring.format.pickling import write_pickle
from deployer_scoring.format.signing import sign
from deployer_scoring.model.code import load_code, read_config
from deployer_scoring.model.mlmodel import FILE, FLAVOR
from deployer_scoring.model.requirements import CONDA, PYTHON_ENV
from deployer_scoring.python_model import FunctionPythonModel, PythonModel
from deployer_scoring.schema.signature import ModelSignature

PathLike = Union[str, Path]
Fetch = Callable[[str, Path], Path]

_PICKLE, _ARTIFACTS, _DATA = "python_model.pkl", "artifacts", "data"
_PICKLED_LOADER, _CODE_LOADER = "mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"
# mlflow's own kinds of models, whose flavor writes more than python_function.
_MLFLOW_S = frozenset({"ChatModel", "ChatAgent", "ResponsesAgent"})


class SavingError(ScoringError, ValueError):
    """A model that can't be saved as asked; nothing was written."""


def fetch_local(uri: str, folder: Path) -> Path:
    """The file or folder that a path or `file:` URI names.

    Raises:
        SavingError: Another kind of URI.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if len(parts.scheme) > 1:
        raise SavingError(f"the artifact {uri} is not on this machine: download it first, or save with deployer.pyfunc, which does")
    return Path(uri)


def save_model(  # noqa: PLR0917  MLflow's arguments in MLflow's order
    path: PathLike,
    loader_module: Optional[str] = None,
    data_path: Optional[PathLike] = None,
    code_paths: Optional[list[str]] = None,
    infer_code_paths: bool = False,
    conda_env: Union[PathLike, Mapping[str, Any], None] = None,
    mlflow_model: Optional[Model] = None,
    python_model: Any = None,
    artifacts: Optional[Mapping[str, str]] = None,
    signature: Optional[ModelSignature] = None,
    input_example: Any = None,
    pip_requirements: Union[PathLike, Iterable[str], None] = None,
    extra_pip_requirements: Union[PathLike, Iterable[str], None] = None,
    metadata: Optional[dict[str, Any]] = None,
    model_config: Union[PathLike, dict[str, Any], None] = None,
    streamable: Optional[bool] = None,
    *,
    code_path: Optional[list[str]] = None,
    fetch: Fetch = fetch_local,
) -> Model:
    """Save a model to a directory that isn't there yet, or is empty.

    Args:
        path: The directory.
        loader_module: The module whose `_load_pyfunc(data_path)` loads the model; with data_path, and without python_model and artifacts.
        data_path: A file or folder for the loader module; copied.
        code_paths: Files and folders of code that the model imports; copied, and first on sys.path where it is loaded. `code_path` is its
            older name.
        infer_code_paths: Copy the modules below the current directory that the model imports, instead.
        conda_env, pip_requirements, extra_pip_requirements: One of them: a whole conda environment, all requirements, or some beside those
            that are found in the model. Without any, requirements are found, and pinned to the versions installed here.
        mlflow_model: An MLmodel to complete.
        python_model: An instance of a PythonModel, a function of one argument, or the path of a script that calls set_model.
        artifacts: Files and folders by name: paths, or URIs that `fetch` knows. Copied; `context.artifacts` has their paths.
        signature: What the model takes and gives; else made from type hints of predict, or from the example and what is predicted for it.
        input_example: Data, or (data, params).
        metadata: Kept in the MLmodel.
        model_config: A dictionary, or the path of a YAML file; `context.model_config`.
        streamable: Whether the model streams; else it does where it has a predict_stream.
        fetch: Brings an artifact: (URI, empty folder) to its path.

    Returns:
        The MLmodel that was written.

    Raises:
        SavingError: Arguments that don't go together, a path that is taken, something that isn't there or can't be pickled, an example that
            doesn't fit the signature. Nothing is left at the path.
        SchemaError, InvalidHint: An example, or a type hint of predict, that has no schema.
        LoadError: The script fails.
    """
    _check_workflow(loader_module, data_path, python_model, artifacts)
    _check_environment(conda_env, pip_requirements, extra_pip_requirements)
    if isinstance(code_paths or [], (str, Path)) or (code_path is not None and code_paths is not None):
        raise SavingError("code_paths is a list of files and folders; code_path is its older name: give one of them")
    if infer_code_paths and (code_paths or code_path):
        raise SavingError("infer_code_paths finds the code by itself: give it or code_paths")
    config = _config(model_config)
    example = None if input_example is None else example_of(input_example)
    with _whole(Path(path)) as directory:
        save = _Saving(directory, mlflow_model or Model(), [*(code_paths or code_path or ())], config)
        if loader_module is not None:
            save.loader(loader_module, data_path, bool(streamable))
        else:
            save.python_model(python_model, artifacts or {}, streamable, fetch)
        if metadata is not None:
            save.model.metadata = metadata
        save.example(example)
        save.code(infer_code_paths)
        save.signed(signature, example)
        save.environment(conda_env, pip_requirements, extra_pip_requirements)
    return save.model


class _Saving:
    """One directory in the making."""

    def __init__(self, directory: Path, model: Model, code_paths: list[str], config: Optional[dict[str, Any]]) -> None:
        self.directory, self.model, self._code_paths, self._config = directory, model, code_paths, config
        self._python_model: Any = None
        self._modules: list[str] = []

    def loader(self, module: str, data_path: Optional[PathLike], streamable: bool) -> None:
        data = None
        if data_path is not None:
            data = f"{_DATA}/{Path(data_path).resolve().name}"
            copy_any(Path(data_path), self.directory / data, "data_path")
        self._modules.append(module)
        self._flavor(module, data=data, streamable=streamable)

    def python_model(self, given: Any, artifacts: Mapping[str, str], streamable: Optional[bool], fetch: Fetch) -> None:
        if isinstance(given, (str, Path)):
            self._from_code(Path(given), artifacts, streamable, fetch)
            return
        self._python_model = _as_model(given)
        try:
            write_pickle(self._python_model, self.directory / _PICKLE)
        except Exception as error:  # anything may be within a model
            raise SavingError(
                f"{type(given).__name__} can't be pickled: {type(error).__name__}: {error}. Load what can't be in load_context, or give"
                " python_model the path of a script that makes the model and calls set_model"
            ) from error
        more = {"python_model": _PICKLE, "cloudpickle_version": version_of("cloudpickle")}
        self._flavor(_PICKLED_LOADER, streamable=self._streams(streamable), **more, **self._artifacts(artifacts, fetch))

    def example(self, example: Optional[InputExample]) -> None:
        if example is not None:
            example.save(self.directory)
            self.model.saved_input_example_info = dict(example.info)
        self.model.model_size_bytes = sum(each.stat().st_size for each in self.directory.rglob("*") if each.is_file()) or None

    def code(self, infer: bool) -> None:
        if infer:
            from deployer_scoring.format.own_code import copy_own_code

            copy_own_code(self.directory, self._python_model, self._modules)
        elif self._code_paths:
            copy_code(self._code_paths, self.directory)
        self.model.flavors[FLAVOR]["code"] = CODE if (self.directory / CODE).is_dir() else None

    def signed(self, signature: Optional[ModelSignature], example: Optional[InputExample]) -> None:
        self.model.save(self.directory / FILE)
        if self._python_model is None:
            self.model.signature = signature or self.model.signature
        else:
            self.model.signature = sign(self.directory, self._python_model, signature or self.model.signature, example)
        self.model.save(self.directory / FILE)

    def environment(self, conda_env: Any, pip_requirements: Any, extra_pip_requirements: Any) -> None:
        self._environment(conda_env, pip_requirements, extra_pip_requirements).save(self.directory)

    def _environment(self, conda_env: Any, pip_requirements: Any, extra_pip_requirements: Any) -> Environment:
        if conda_env is not None:
            return environment_of_conda(conda_env)
        if pip_requirements is not None:
            return environment_of(_lines(pip_requirements))
        found = {*requirements_of(self.directory, self._python_model, [*self._modules, *self._modules_of_data()]), *get_default_pip_requirements()}
        return environment_of([*sorted(found), *_lines(extra_pip_requirements or ())])

    def _modules_of_data(self) -> list[str]:
        """The library whose objects the model is given."""
        schema = self.model.signature.inputs if self.model.signature and not self.model.signature.is_from_type_hint else None
        return [] if schema is None else ["numpy" if schema.is_tensor_spec() else "pandas"]

    def _from_code(self, script: Path, artifacts: Mapping[str, str], streamable: Optional[bool], fetch: Fetch) -> None:
        name = copy_script(script, self.directory)
        self._python_model = _as_model(load_code(script.resolve(), self._config))
        more = {"model_code_path": name, "cloudpickle_version": version_of("cloudpickle")}
        self._flavor(_CODE_LOADER, streamable=self._streams(streamable), **more, **self._artifacts(artifacts, fetch))

    def _streams(self, asked: Optional[bool]) -> bool:
        if asked is not None:
            return asked
        kind = type(self._python_model)
        return all(getattr(kind, "predict_stream", None) is not vars(base).get("predict_stream") for base in kind.__mro__ if _is_base(base))

    def _artifacts(self, artifacts: Mapping[str, str], fetch: Fetch) -> dict[str, Any]:
        """Copy the artifacts; what two of one name bring goes to folders of their own."""
        saved: dict[str, dict[str, str]] = {}
        paths: dict[str, str] = {}
        for name, uri in artifacts.items():
            if str(uri) not in paths:
                with tempfile.TemporaryDirectory() as folder:
                    source = fetch(str(uri), Path(folder))
                    taken = {each.partition("/")[2].casefold() for each in paths.values()}
                    own = source.resolve().name
                    place = own if own.casefold() not in taken else f"{len(paths)}/{own}"
                    copy_any(source, self.directory / _ARTIFACTS / place, f"artifacts[{name!r}]")
                paths[str(uri)] = f"{_ARTIFACTS}/{place}"
            saved[name] = {"path": paths[str(uri)], "uri": str(uri)}
        return {"artifacts": saved} if saved else {}

    def _flavor(self, loader: str, **more: Any) -> None:
        add_to_model(self.model, loader, conda_env=CONDA, python_env=PYTHON_ENV, model_config=self._config, **more)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A fresh directory that takes its place when the block ends well, and is gone when it doesn't."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SavingError(f"{path} is there already, and is not overwritten: save to another path, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield made
        made.chmod(0o777 & ~_umask())
        os.replace(made, path)  # noqa: PTH105  onto an empty directory, too
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_workflow(loader_module: Optional[str], data_path: Any, python_model: Any, artifacts: Any) -> None:
    first = {"loader_module": loader_module, "data_path": data_path}
    second = {"python_model": python_model, "artifacts": artifacts}
    of_first, of_second = ([name for name, value in each.items() if value is not None] for each in (first, second))
    if of_first and of_second:
        raise SavingError(
            f"a model is saved by a loader module with its data, or as a python_model with its artifacts; {' and '.join(of_first + of_second)}"
            " belong to both"
        )
    if loader_module is None and python_model is None:
        raise SavingError("give python_model (an instance of a PythonModel, a function, a script), or loader_module (a module with _load_pyfunc)")


def _check_environment(conda_env: Any, pip_requirements: Any, extra_pip_requirements: Any) -> None:
    given = {"conda_env": conda_env, "pip_requirements": pip_requirements, "extra_pip_requirements": extra_pip_requirements}
    if len(names := [name for name, value in given.items() if value is not None]) > 1:
        raise SavingError(f"{' and '.join(names)} say the same thing in two ways: give one of them")


def _config(given: Any) -> Optional[dict[str, Any]]:
    if given is None:
        return None
    if isinstance(given, (str, Path)):
        try:
            return read_config(Path(given))
        except (OSError, ValueError) as error:
            raise SavingError(f"model_config: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise SavingError("model_config is a dictionary whose keys are strings, or the path of a YAML file")
    try:
        json.dumps(given)
    except (TypeError, ValueError) as error:
        raise SavingError(f"model_config holds what JSON can't: {error}") from error
    return given


def _lines(requirements: Any) -> list[str]:
    """Requirements as lines, with those of the files that they name."""
    wanted, constraints = parsed(requirements)
    return wanted if not constraints else list(requirements) if not isinstance(requirements, (str, Path)) else [f"-r {requirements}"]


def _as_model(given: Any) -> Any:
    bases = [each.__name__ for each in type(given).__mro__ if each.__module__.startswith("mlflow.")]
    if _MLFLOW_S.intersection(bases):
        raise SavingError(f"{type(given).__name__} is a {bases[0]}: save it with mlflow.pyfunc, which writes its signature too")
    if isinstance(given, PythonModel) or "PythonModel" in bases:
        return given
    if isinstance(given, type) or not callable(given):
        raise SavingError(f"python_model is an instance of a PythonModel, a function or the path of a script, not {given!r}")
    if (count := len(inspect.signature(given).parameters)) != 1:
        raise SavingError(f"a function as python_model takes one argument, the input; {getattr(given, '__name__', given)} takes {count}")
    return FunctionPythonModel(given)


def _is_base(kind: type) -> bool:
    return kind is PythonModel or (kind.__name__ == "PythonModel" and kind.__module__ == "mlflow.pyfunc.model")
