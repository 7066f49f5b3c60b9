"""Loading by a loader module, and calling what it loaded the way it wants to be called."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.errors import InvalidInput, LoadError, ModelFailure
from deployer_scoring.loaders.loading import Loaded, load
from deployer_scoring.model.mlmodel import MLModel, PythonFunction, parse_mlmodel
from deployer_scoring.python_model import MlflowError, PythonModel, validate_model_input
from deployer_scoring.schema.signature import ColSpec, DataType, ModelSignature, ParamSchema, ParamSpec, Schema
from deployer_scoring.scorer import Scorer
from deployer_scoring.wire.inference_codec import Route

X = ModelSignature(Schema((ColSpec(DataType.double, "x"),)), None, ParamSchema((ParamSpec("top", DataType.long, 3),)))
BODY = b'{"inputs": {"x": [1.5]}}'


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Writes a model whose code folder has this source; its module name is the test's own, so that no test sees another's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"loader_{abs(hash(request.node.nodeid))}"

    def saved(source: str, more: str = "") -> MLModel:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / f"{name}.py").write_text(textwrap.dedent(source))
        (tmp_path / "data").write_text("42")
        flavor = f"flavors:\n  python_function:\n    loader_module: {name}\n    code: code\n    data: data\n{more}"
        (tmp_path / "MLmodel").write_text(flavor)
        return parse_mlmodel(tmp_path)

    yield saved
    sys.modules.pop(name, None)


@pytest.mark.parametrize("function", ["_load_pyfunc", "load_pyfunc"])
def test_a_loader_of_either_name_is_given_the_data(saved: Any, function: str) -> None:
    source = f"""
        class Model:
            def predict(self, data): return self.said
        def {function}(path):
            model = Model()
            model.said = open(path).read()
            return model
    """
    assert load(saved(source)).implementation.predict(None) == "42"


def test_a_model_with_config_gets_it_with_the_keys_that_the_environment_overrides(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_MODEL_CONFIG", '{"a": 5, "unknown": 6}')
    source = """
        class Model:
            def __init__(self, config): self.config = config
            def predict(self, data): ...
        def _load_pyfunc(path, config): return Model(config)
    """
    assert load(saved(source, "    config: {a: 1, b: 2}\n")).implementation.config == {"a": 5, "b": 2}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("x = 1", "has neither _load_pyfunc nor load_pyfunc"),
        ("def _load_pyfunc(path): raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("def _load_pyfunc(path): raise SystemExit(3)", "SystemExit: 3"),
        ("def _load_pyfunc(path): return object()", "object, has no method predict"),
        ("def _load_pyfunc(", "SyntaxError"),
    ],
)
def test_what_goes_wrong_while_loading_is_one_line(saved: Any, source: str, said: str) -> None:
    with pytest.raises(LoadError) as caught:
        load(saved(source))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_that_is_not_there_is_named(saved: Any) -> None:
    model = saved("def _load_pyfunc(path): ...")
    (model.directory / "data").unlink()
    model = replace(model, pyfunc=replace(model.pyfunc, loader_module="mlflow.sklearn"))
    with pytest.raises(LoadError, match="data is not there"):
        load(model)


def scorer(implementation: Any, signature: Any = X, **more: Any) -> Scorer:
    streams = "predict_stream" if hasattr(implementation, "predict_stream") else None
    return Scorer(MLModel(Path(), PythonFunction("a", predict_stream_fn=streams), {}, signature, **more), Loaded(implementation))


def test_a_predict_that_takes_params_gets_them_and_others_do_not() -> None:
    class Takes:
        def predict(self, data: Any, params: Any = None) -> Any:
            return params

    class Leaves:
        def predict(self, data: Any) -> Any:
            return data["x"].tolist()

    class Anything:
        def predict(self, data: Any, **params: Any) -> Any:
            return params

    assert json.loads(scorer(Takes()).answer(BODY, "application/json")) == {"predictions": {"top": 3}}
    assert json.loads(scorer(Leaves()).answer(BODY, "application/json")) == {"predictions": [1.5]}
    assert json.loads(scorer(Anything()).answer(BODY, "application/json")) == {"predictions": {}}


def test_another_method_than_predict_is_called_where_the_flavor_names_it() -> None:
    class Model:
        def predict_proba(self, data: Any) -> Any:
            return [0.5]

    assert Scorer(MLModel(Path(), PythonFunction("a", predict_fn="predict_proba"), {}), Loaded(Model())).predict([1]) == [0.5]


def test_the_model_s_exception_becomes_its_type_and_message() -> None:
    class Model:
        def predict(self, data: Any) -> Any:
            raise KeyError("a\nb")

    with pytest.raises(ModelFailure, match="KeyError: 'a") as caught:
        scorer(Model()).predict({"x": [1.5]})
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidInput), (404, InvalidInput), (500, ModelFailure)])
def test_an_exception_of_mlflow_inside_the_model_keeps_whose_fault_it_is(status: int, kind: type[Exception]) -> None:
    class MlflowException(Exception):
        error_code = "INVALID_PARAMETER_VALUE"

        def get_http_status_code(self) -> int:
            return status

    class Model:
        def predict(self, data: Any) -> Any:
            raise MlflowException("the type hint wants a string")

    with pytest.raises(kind, match="the type hint wants a string"):
        scorer(Model()).predict({"x": [1.5]})


@pytest.mark.parametrize("codec", ["invocations", "v2"])
def test_input_that_a_type_hint_refuses_is_the_request_s_fault(codec: str) -> None:
    class Model(PythonModel):
        def predict(self, model_input: List[int]) -> List[int]:  # type: ignore[override]
            if 7 in model_input:
                raise ValueError("seven")
            return model_input

    hinted = MLModel(Path(), PythonFunction("a"), {}, ModelSignature(Schema((ColSpec(DataType.long),))), is_signature_from_type_hint=True)
    asked = Scorer(hinted, Loaded(Model()))

    def answer(*values: Any) -> bytes:
        if codec == "invocations":
            return asked.answer(json.dumps({"inputs": values}).encode(), "application/json")
        kind = "BYTES" if isinstance(values[0], str) else "INT64"
        tensor = {"name": "x", "datatype": kind, "shape": [len(values)], "data": values}
        return asked.answer(json.dumps({"inputs": [tensor]}).encode(), str(Route("m", "1")), "v2")

    assert b"5" in answer(5)
    with pytest.raises(InvalidInput) as refused:
        answer("1", "a")
    assert refused.value.status == 400
    with pytest.raises(ModelFailure, match="seven"):
        answer(7)


def test_the_exception_of_mlflow_in_pickles_is_the_request_s_fault_only_where_it_says_so() -> None:
    class Model:
        def predict(self, data: Any) -> Any:
            raise error

    error = MlflowError("no")
    with pytest.raises(ModelFailure, match="no"):
        scorer(Model()).predict({"x": [1.5]})
    error = MlflowError("no", "INVALID_PARAMETER_VALUE")
    with pytest.raises(InvalidInput, match="no"):
        scorer(Model()).predict({"x": [1.5]})
    with pytest.raises(MlflowError) as refused:
        validate_model_input((["a"],), {}, 0, List[int], "model_input")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("inputs", "body", "seen"),
    [
        (X.inputs, {"inputs": {"x": [1.5]}}, {"x": 1.5}),
        (X.inputs, {"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}, {"x": 1.5}),
        (Schema((ColSpec(DataType.string),)), {"inputs": ["a"]}, "a"),
        (Schema((ColSpec(DataType.string),)), {"inputs": "a"}, "a"),
        (None, {"messages": ["a"]}, {"messages": ["a"]}),
        (None, {"inputs": [[1, 2]]}, [1, 2]),
    ],
)
def test_a_streaming_model_gets_the_one_row_as_a_json_value(inputs: Any, body: Any, seen: Any) -> None:
    class Model:
        def predict(self, data: Any) -> Any: ...

        def predict_stream(self, data: Any) -> Any:
            yield data
            yield np.float64(0.5)

    pieces = scorer(Model(), ModelSignature(inputs)).answer_in_pieces(json.dumps(body).encode(), "application/json")
    assert [json.loads(piece) for piece in pieces] == [seen, 0.5]


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ('"a"', 1.5),
        ("[1.5, 2.5]", [1.5, 2.5]),
        ('[{"x": 1.5}]', [{"x": 1.5}, {"x": 2.5}]),
        ("null", "frame"),
    ],
)
def test_a_model_typed_as_its_example_gets_its_input_in_that_shape(tmp_path: Path, example: str, expected: Any) -> None:
    (tmp_path / "input_example.json").write_text(example)

    class Model:
        def predict(self, data: Any) -> Any:
            return "frame" if isinstance(data, pd.DataFrame) else data

    info = {"artifact_path": "input_example.json", "type": "json_object"}
    model = MLModel(tmp_path, PythonFunction("a"), {}, X, saved_input_example_info=info, type_hint_from_example=True)
    assert Scorer(model, Loaded(Model())).predict(pd.DataFrame({"x": [1.5, 2.5]})) == expected
