"""Which loader a model gets, what stands in for mlflow meanwhile, and what is known of a model before it is loaded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Dict, List

import cloudpickle
import pandas as pd
import pytest

from deployer_scoring.errors import InvalidInput, LoadError, MLModelError
from deployer_scoring.loaders.deferred import defer
from deployer_scoring.loaders.loaded import Loaded, Unusual, numeric_columns
from deployer_scoring.loaders.loading import forks, load
from deployer_scoring.loaders.own_form import load_own_form
from deployer_scoring.loaders.pickles import read_object
from deployer_scoring.loaders.standin import asks_for_more, standing_in
from deployer_scoring.loaders.threads import allow_threads, single_threaded
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.python_model import PythonModel


def model(directory: Path, text: str) -> MLModel:
    (directory / "MLmodel").write_text(text)
    return parse_mlmodel(directory)


def python_model(directory: Path, more: str = "", loader: str = "mlflow.pyfunc.model") -> MLModel:
    return model(directory, f"flavors: {{python_function: {{loader_module: {loader}, python_model: python_model.pkl{more}}}}}\n")


def pickled(directory: Path, pickle: bytes) -> MLModel:
    (directory / "python_model.pkl").write_bytes(pickle)
    return python_model(directory)


@pytest.fixture
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)


# GLOBAL 'mlflow.pyfunc.model PythonModel', called without arguments.
BASE = b"cmlflow.pyfunc.model\nPythonModel\n)R."
ELSEWHERE = b"cmlflow.sklearn\nload_model\n."


def test_a_pickle_s_base_class_of_mlflow_is_ours(tmp_path: Path) -> None:
    loaded = load(pickled(tmp_path, BASE))
    assert loaded.native
    assert type(loaded.implementation.python_model) is PythonModel
    assert (loaded.row_wise, loaded.prompt, loaded.matrix) == (False, False, False)


def test_a_pickle_that_names_more_of_mlflow_is_left_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_mlflow: None) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it weren't installed
    with pytest.raises(LoadError, match=r"ModuleNotFoundError: No module named 'mlflow\.pyfunc'"):
        load(pickled(tmp_path, ELSEWHERE))


class Told(PythonModel):
    def load_context(self, context: object) -> None:
        self.told = (context.artifacts, context.model_config)  # type: ignore[attr-defined]

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> object:
        return [self.told, params]


cloudpickle.register_pickle_by_value(sys.modules[__name__])


def test_a_model_gets_its_artifacts_as_absolute_paths_and_its_config_as_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python_model.pkl").write_bytes(cloudpickle.dumps(Told()))
    monkeypatch.setenv("MLFLOW_PYFUNC_INFERENCE_CONFIG", '{"a": 2, "unknown": 3}')
    loaded = load(python_model(tmp_path, ", artifacts: {x: {path: artifacts/x.bin, uri: /somewhere/else}}, config: {a: 1, b: 5}"))
    told = ({"x": str(tmp_path / "artifacts/x.bin")}, {"a": 2, "b": 5})
    assert loaded.implementation.predict(None, params={"p": 1}) == [told, {"p": 1}]


def test_pickles_are_refused_where_the_environment_forbids_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(LoadError, match=r"python_model\.pkl can run code while it is loaded, and MLFLOW_ALLOW_PICKLE_DESERIALIZATION forbids"):
        load(pickled(tmp_path, BASE))


def test_an_unknown_serialization_format_is_left_to_the_loader_module(tmp_path: Path) -> None:
    with pytest.raises(Unusual, match="the serialization format is dill"):
        read_object(tmp_path / "model.pkl", {"serialization_format": "dill"}, default="pickle")


def test_a_model_that_lacks_the_method_it_is_asked_by_is_refused(tmp_path: Path) -> None:
    (tmp_path / "python_model.pkl").write_bytes(BASE)
    with pytest.raises(LoadError, match=r"what mlflow\.pyfunc\.model loaded, LoadedPythonModel, has no method predict_proba"):
        load(python_model(tmp_path, ", predict_fn: predict_proba"))


class Upper(PythonModel):
    def predict(self, model_input: List[str], params: object = None) -> object:
        return model_input


class Records(PythonModel):
    def predict(self, model_input: List[Dict[str, str]], params: object = None) -> object:
        return model_input


@pytest.mark.parametrize(
    ("made", "frame", "wanted"),
    [
        (Upper(), {"n": [1, 2], "t": ["a", "b"]}, ["a", "b"]),
        (Records(), {"q": ["a"], "r": ["b"]}, [{"q": "a", "r": "b"}]),
    ],
)
def test_a_frame_becomes_the_list_that_the_type_hint_asks_for(tmp_path: Path, made: PythonModel, frame: object, wanted: object) -> None:
    (tmp_path / "python_model.pkl").write_bytes(cloudpickle.dumps(made))
    assert load(python_model(tmp_path)).implementation.predict(pd.DataFrame(frame)) == wanted


@pytest.mark.parametrize(("frame", "said"), [({"t": []}, "the input has no rows"), ({"n": [1]}, "no column of the input holds strings")])
def test_a_frame_that_holds_no_strings_for_the_type_hint_is_the_request_s_fault(tmp_path: Path, frame: object, said: str) -> None:
    (tmp_path / "python_model.pkl").write_bytes(cloudpickle.dumps(Upper()))
    with pytest.raises(InvalidInput, match=said):
        load(python_model(tmp_path)).implementation.predict(pd.DataFrame(frame))


SCRIPT = """
from __future__ import annotations
import mlflow
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context: mlflow.pyfunc.PythonModelContext, model_input, params=None):
        return [2 * value for value in model_input]

assert issubclass(Doubled, PythonModel)
mlflow.models.set_model(Doubled())
"""


def test_a_script_that_imports_mlflow_runs_against_a_stand_in_that_is_gone_afterwards(tmp_path: Path, without_mlflow: None) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    loaded = load(python_model(tmp_path, ", model_code_path: /where/it/was/saved/script.py", loader="mlflow.pyfunc.loaders.code_model"))
    assert loaded.native
    assert loaded.implementation.predict([1, 2.5]) == [2, 5.0]
    assert not any(name.partition(".")[0] == "mlflow" for name in sys.modules)


def test_a_function_that_a_script_sets_is_a_model(tmp_path: Path, without_mlflow: None) -> None:
    (tmp_path / "script.py").write_text("from mlflow.models import set_model\nset_model(lambda model_input: len(model_input))\n")
    assert load(python_model(tmp_path, ", model_code_path: script.py")).implementation.predict([1, 2]) == 2


def test_a_script_that_fails_says_so_by_name(tmp_path: Path, without_mlflow: None) -> None:
    (tmp_path / "script.py").write_text("1 / 0\n")
    with pytest.raises(LoadError, match=r"script\.py failed: ZeroDivisionError: division by zero"):
        load(python_model(tmp_path, ", model_code_path: script.py"))


@pytest.mark.parametrize(
    ("source", "more"),
    [
        (SCRIPT, False),
        ("import mlflow.pyfunc\nclass M(mlflow.pyfunc.model.PythonModel): pass", False),
        ("from mlflow.models import ModelConfig\nModelConfig(development_config={}).get('x')", False),
        ("import os\nos.environ.get('mlflow.sklearn')", False),
        ("from mlflow.types.schema import Schema, ColSpec", False),
        ("import mlflow as m\nclass M(m.pyfunc.PythonModel): pass", False),
        ("import mlflow as m\nm.start_run()", True),
        ("import mlflow.pyfunc as p\nclass M(p.ChatModel): pass", True),
        ("import mlflow.sklearn", True),
        ("from mlflow import sklearn", True),
        ("import mlflow\n@mlflow.trace\ndef f(): pass", True),
        ("import mlflow\ndef f():\n    mlflow.langchain.autolog()", True),
        ("from mlflow.exceptions import MlflowException", True),
        ("from mlflow.pyfunc import ChatModel", True),
        ("def broken(:", False),
    ],
)
def test_scripts_that_use_more_of_mlflow_than_its_base_class_are_told_by_their_text(source: str, more: bool) -> None:
    assert asks_for_more(source) is more


def test_the_stand_in_leaves_an_imported_mlflow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", sys)  # any module
    with standing_in():
        assert sys.modules["mlflow"] is sys


def test_asking_whether_mlflow_is_there_finds_the_stand_in_without_importing_mlflow(without_mlflow: None) -> None:
    with standing_in():
        assert importlib.util.find_spec("mlflow.pyfunc") is not None
        assert not hasattr(importlib.import_module("mlflow"), "__file__")
        assert importlib.import_module("mlflow.pyfunc").PythonModel is PythonModel
    assert "mlflow.pyfunc" not in sys.modules


NUMBERS = '[{"type": "double", "name": "x"}, {"type": "double", "name": "y"}]'
LOADER = "flavors: {python_function: {loader_module: m}%s}\n"


@pytest.mark.parametrize(
    ("inputs", "more", "fits"),
    [
        (NUMBERS, "", True),
        (NUMBERS.replace("double", "integer"), "", True),
        (NUMBERS.replace("double", "long", 1), "", True),
        (NUMBERS.replace("double", "boolean"), "", False),
        (NUMBERS.replace('"y"', '"y", "required": false'), "", False),
        ('[{"type": "double"}, {"type": "double"}]', "", False),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]', "", False),
        (NUMBERS, "type_hint_from_example: true\n", False),
    ],
)
def test_only_named_required_columns_of_numbers_make_a_matrix(tmp_path: Path, inputs: str, more: str, fits: bool) -> None:
    assert numeric_columns(model(tmp_path, LOADER % "" + f"signature: {{inputs: '{inputs}'}}\n{more}")) is fits


@pytest.mark.parametrize(
    ("flavors", "requirements", "survives"),
    [
        ("", "numpy\npandas==2.0\n", True),
        (", sklearn: {}", "", True),
        (", pytorch: {}", "torch\n", True),
        (", tensorflow: {}", "", False),
        (", spark: {}", "", False),
        ("", "tensorflow-cpu>=2\n", False),
        ("", "h2o == 3.46\n", False),
        ("", "h2owave\n", True),
    ],
)
def test_which_models_survive_a_fork_is_told_before_they_are_loaded(tmp_path: Path, flavors: str, requirements: str, survives: bool) -> None:
    (tmp_path / "requirements.txt").write_text(requirements)
    assert forks(model(tmp_path, LOADER % flavors)) is survives


def test_openmp_s_threads_are_set_for_what_is_loaded_later() -> None:
    environ = {"OMP_NUM_THREADS": "8"}
    single_threaded(environ)
    assert environ == {"OMP_NUM_THREADS": "1"}
    allow_threads(1, environ)
    assert environ == {"OMP_NUM_THREADS": "1"}


def test_nothing_is_assumed_of_a_model_unless_its_loader_says_so() -> None:
    assert Loaded(None) == Loaded(None, row_wise=False, prompt=False, matrix=False, native=False, forks=True)


def test_a_form_whose_flavor_the_model_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    model(tmp_path, LOADER % ", sklearn: {}")
    with pytest.raises(MLModelError, match="the model has no flavor xgboost, only python_function, sklearn"):
        load_own_form(tmp_path, "xgboost")


def test_a_form_whose_library_is_not_here_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    model(tmp_path, LOADER % ", catboost: {data: model.cb, model_type: CatBoostRegressor}")
    with pytest.raises(LoadError, match="the catboost form of a model needs the package catboost, which isn't installed here"):
        load_own_form(tmp_path, "catboost")


@pytest.fixture
def deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose import writes a file, put off."""
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("")
    source = f"open({str(tmp_path / 'imported')!r}, 'w').close()\nclass Kind: pass\ndef double(x): return 2 * x\n_private = 5\n"
    (package / "__init__.py").write_text(source)
    (package / "below.py").write_text("from outer.inner import double\nvalue = double(4)\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    defer("outer.inner")
    yield tmp_path / "imported"
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "outer"]:
        del sys.modules[name]


USES = {
    "called": "assert double(2) == 4",
    "subclassed": "class Own(Kind): pass\nassert Own.__mro__[1].__name__ == 'Kind'",
    "held against": "assert not isinstance(3, Kind)",
    "asked for an attribute": "assert Kind.__name__ == 'Kind'",
    "asked for a private name": "import outer\nassert outer.inner._private == 5",
    "a module of it imported": "import outer.inner.below\nassert outer.inner.below.value == 8 == outer.inner.double(4)",
    "a name from a module of it": "from outer.inner.below import value\nassert value == 8",
}


@pytest.mark.parametrize("use", USES)
def test_a_deferred_package_is_imported_when_it_is_used(deferred: Path, use: str) -> None:
    scope: dict[str, object] = {"__name__": "using"}
    exec("from outer.inner import double, Kind\nimport outer.inner\nfrom outer import inner", scope)
    assert not deferred.exists()
    exec(USES[use], scope)
    assert deferred.exists()


def test_a_package_that_is_not_there_or_imported_already_is_not_deferred(deferred: Path) -> None:
    defer("not_there_at_all.inner")
    defer("os.path")
    assert "not_there_at_all.inner" not in sys.modules
    assert sys.modules["os.path"].join("a", "b") == "a/b"
