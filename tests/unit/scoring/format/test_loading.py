"""A loaded model as users hold it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, List

import pandas as pd
import pytest

from deployer_scoring.errors import InvalidInput, LoadError
from deployer_scoring.format.loading import PyFuncModel, load_model, load_pyfunc
from deployer_scoring.format.saving import save_model
from deployer_scoring.python_model import PythonModel
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema

FRAME = pd.DataFrame({"a": [1, 2]})
SIGNATURE = ModelSignature(Schema([ColSpec("double", "a")]), params=ParamSchema([ParamSpec("by", "double", 2)]))


class Times(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if (model_input["a"] < 0).any():
            raise KeyError("negative")
        return [str(model_input["a"].dtype), *(model_input["a"] * params["by"]), context.model_config]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(tmp_path / "m", python_model=Times(), signature=SIGNATURE, model_config={"depth": 1})
    return tmp_path / "m"


def test_data_and_params_are_held_against_the_signature(saved: Path) -> None:
    model = load_model(saved)
    assert model.predict(FRAME.astype("int32")) == ["float64", 2.0, 4.0, {"depth": 1}]
    assert model.predict({"a": [1.0]}, params={"by": 3}) == ["float64", 3.0, {"depth": 1}]
    with pytest.raises(InvalidInput, match="lacks 'a'"):
        model.predict(pd.DataFrame({"b": [1.0]}))
    with pytest.raises(InvalidInput, match="params: by"):
        model.predict(FRAME.astype("float64"), params={"by": "x"})


def test_the_model_s_own_errors_come_as_they_are(saved: Path) -> None:
    with pytest.raises(KeyError, match="negative"):
        load_model(saved).predict(pd.DataFrame({"a": [-1.0]}))


def test_what_a_loaded_model_tells_of_itself(saved: Path) -> None:
    model = load_pyfunc(saved.as_uri())
    assert isinstance(model, PyFuncModel)
    assert model.loader_module == "mlflow.pyfunc.model"
    assert model.metadata.signature == SIGNATURE
    assert model.metadata.flavors["python_function"]["config"] == {"depth": 1}
    assert type(model.unwrap_python_model()).__name__ == "Times"
    assert model == load_model(saved)
    assert repr(model) == "mlflow.pyfunc.loaded_model:\n  flavor: mlflow.pyfunc.model\n"
    assert model.input_example is None
    with pytest.raises(NotImplementedError):
        model.get_raw_model()
    with pytest.raises(LoadError, match="doesn't stream"):
        model.predict_stream([1])


def test_the_config_is_overridden_where_it_was_saved(saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "config.yaml").write_text("depth: 5\n")
    assert load_model(saved, model_config=str(tmp_path / "config.yaml")).model_config == {"depth": 5}
    model = load_model(saved, model_config={"depth": 3, "unknown": 1})
    assert model.predict(FRAME.astype("float64"))[-1] == {"depth": 3}
    assert "saved without these keys of its config, so they are ignored: unknown" in caplog.text


def test_another_python_or_package_is_told_unless_suppressed(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    mlmodel = saved / "MLmodel"
    python = mlmodel.read_text().partition("python_version: ")[2].partition("\n")[0]
    mlmodel.write_text(mlmodel.read_text().replace(f"python_version: {python}", "python_version: 3.7.1"))
    (saved / "requirements.txt").write_text("pandas==0.25.0\nno-such-package==1.0\nnumpy\nmlflow==1.0\n")
    with caplog.at_level(logging.WARNING):
        load_model(saved, suppress_warnings=True)
    assert caplog.text == ""
    load_model(saved)
    assert "saved with Python 3.7.1" in caplog.text
    assert f"pandas 0.25.0 ({pd.__version__} here); no-such-package 1.0 (absent here)" in caplog.text


def test_a_function_is_a_model(tmp_path: Path) -> None:
    def halved(model_input: Any) -> Any:
        return [each / 2 for each in model_input]

    halved.__annotations__.update({"model_input": List[float], "return": List[float]})

    save_model(tmp_path / "m", python_model=halved)
    model = load_model(tmp_path / "m")
    assert model.predict([1.0, 3.0]) == [0.5, 1.5]
    assert model.predict(pd.DataFrame({"x": [5.0]})) == [2.5]
    with pytest.raises(InvalidInput, match="in row 1: a number was expected, not a string"):
        model.predict(["x"])
