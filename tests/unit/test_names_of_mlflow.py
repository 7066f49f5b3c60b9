"""MLflow's names, where MLflow has them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import deployer.models
import deployer.pyfunc

_ROOT = Path(__file__).parents[2]
NAMES = {
    "deployer.pyfunc": [
        *("PythonModel", "PythonModelContext", "PyFuncModel", "save_model", "log_model", "load_model", "load_pyfunc", "add_to_model"),
        *("get_default_conda_env", "get_default_pip_requirements", "spark_udf", "FLAVOR_NAME"),
    ],
    "deployer.pyfunc.model": ["PythonModel", "PythonModelContext"],
    "deployer.pyfunc.utils": ["pyfunc"],
    "deployer.models": [
        *("Model", "ModelSignature", "ModelConfig", "infer_signature", "set_model", "load", "predict"),
        *("validate_serving_input", "convert_input_example_to_serving_input"),
    ],
    "deployer.models.model": ["Model"],
    "deployer.models.signature": ["ModelSignature", "infer_signature"],
    "deployer.types": ["Schema", "ColSpec", "TensorSpec", "ParamSchema", "ParamSpec", "DataType"],
    "deployer.types.schema": [
        *("Schema", "ColSpec", "TensorSpec", "ParamSchema", "ParamSpec", "DataType", "Array", "Object", "Map", "AnyType", "Property"),
    ],
    "deployer.types.type_hints": ["TypeFromExample"],
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_a_name_of_mlflow_is_there(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("module", [deployer.pyfunc, deployer.models])
def test_every_public_name_is_there_and_no_other(module: Any) -> None:
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert not hasattr(module, "no_such_name")


def test_importing_them_loads_none_of_what_making_models_needs() -> None:
    heavy = "numpy", "pandas", "cloudpickle", "mlflow", "httpx", "fsspec", "deployer_scoring.format.saving"
    script = f"import sys, deployer.pyfunc, deployer.models, deployer.types; print([name for name in {heavy} if name in sys.modules])"
    variables = {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'images'}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_changing_the_import_of_mlflow_is_enough() -> None:
    script = "import deployer as mlflow; print(mlflow.pyfunc.PythonModel.__name__, mlflow.types.Schema.__name__, mlflow.models.set_model.__name__)"
    variables = {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'images'}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "PythonModel Schema set_model\n"


def test_a_model_is_read_from_wherever_it_is(tmp_path: Path) -> None:
    deployer.pyfunc.save_model(tmp_path / "m", python_model=lambda model_input: model_input)
    for place in (tmp_path / "m", str(tmp_path / "m" / "MLmodel"), (tmp_path / "m").as_uri()):
        assert isinstance(deployer.models.Model.load(place), deployer.models.Model)
    assert deployer.pyfunc.load_model((tmp_path / "m").as_uri()).predict([1]) == [1]
    assert deployer.models.load(tmp_path / "m").predict([1]) == [1]
    assert deployer.models.validate_serving_input(tmp_path / "m", {"inputs": [1, 2]}).tolist() == [1, 2]


def test_logging_without_mlflow_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployer_scoring.errors import LoadError

    monkeypatch.setitem(sys.modules, "mlflow.models", None)
    with pytest.raises(LoadError, match="pip install mlflow-skinny"):
        deployer.pyfunc.log_model(name="m", python_model=lambda model_input: model_input)


def test_two_models_keep_the_modules_of_one_name_that_they_were_saved_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    models = []
    for name in "ab":
        module = tmp_path / name / "our_only_module.py"
        module.parent.mkdir()
        module.write_text(f"class Loaded:\n    def predict(self, data):\n        return [{name!r}]\ndef _load_pyfunc(path):\n    return Loaded()\n")
        deployer.pyfunc.save_model(tmp_path / f"model_{name}", loader_module="our_only_module", code_paths=[str(module)])
        models.append(deployer.pyfunc.load_model(tmp_path / f"model_{name}"))
    assert [models[at].predict([1]) for at in (0, 1, 0)] == [["a"], ["b"], ["a"]]
    del sys.modules["our_only_module"]
