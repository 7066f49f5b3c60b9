"""Every form of MLmodel file, and what is wrong with one."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployer_scoring
from deployer_scoring.errors import MLModelError
from deployer_scoring.model.mlmodel import FLAVOR, parse_mlmodel, read_mlmodel

COLUMNS = '[{"name": "x", "type": "double"}]'


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(document: Any, *files: str) -> Path:
        (tmp_path / "MLmodel").write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("")
        return tmp_path

    return write


def flavored(**flavor: Any) -> dict[str, Any]:
    return {"flavors": {FLAVOR: {"loader_module": "a.loader", **flavor}}}


@pytest.mark.parametrize(
    ("document", "part", "expected"),
    [
        (flavored(), "loader_module", "a.loader"),
        ({"flavors": {FLAVOR: {"main": "a.loader"}}}, "loader_module", "a.loader"),
        ({FLAVOR: {"loader_module": "a.loader"}}, "loader_module", "a.loader"),
        ({FLAVOR: {"loader_module": "a.loader"}, "flavors": {"sklearn": {}}}, "loader_module", "a.loader"),
        (flavored(data="model.pkl"), "data", "model.pkl"),
        (flavored(model_path="model.pkl"), "data", None),
        (flavored(code="code"), "code", "code"),
        (flavored(code=None), "code", None),
        (flavored(env="conda.yaml"), "environments", {"conda": "conda.yaml"}),
        (flavored(env={"conda": "conda.yaml", "virtualenv": "env.yaml"}), "environments", {"conda": "conda.yaml", "virtualenv": "env.yaml"}),
        (flavored(), "environments", {}),
        (flavored(python_version="3.8.2"), "python_version", "3.8.2"),
        (flavored(python_version=3.8), "python_version", "3.8"),
        (flavored(config={"a": 1}), "model_config", {"a": 1}),
        (flavored(), "predict_fn", "predict"),
        (flavored(predict_fn="predict_proba"), "predict_fn", "predict_proba"),
        (flavored(streamable=True), "predict_stream_fn", "predict_stream"),
        (flavored(streamable=True, predict_stream_fn="flow"), "predict_stream_fn", "flow"),
        (flavored(streamable=False), "predict_stream_fn", None),
        (flavored(artifacts={"a": 1}), "options", {"loader_module": "a.loader", "artifacts": {"a": 1}}),
    ],
)
def test_the_python_function_flavor_is_read_in_every_form(write: Any, document: Any, part: str, expected: object) -> None:
    assert getattr(parse_mlmodel(write(document)).pyfunc, part) == expected


def test_everything_else_that_a_model_says_of_itself_is_read(write: Any) -> None:
    model = parse_mlmodel(
        write(
            {
                **flavored(),
                "run_id": "r1",
                "model_uuid": "u1",
                "mlflow_version": "2.9.1",
                "model_id": None,
                "model_size_bytes": 12,
                "metadata": {"team": "a"},
                "saved_input_example_info": {"type": "dataframe"},
                "utc_time_created": "2026-01-02 03:04:05.000001",
                "signature": {"inputs": COLUMNS, "outputs": None, "params": None},
                "an_unknown_key": {"of": "tomorrow"},
            }
        )
    )
    assert (model.run_id, model.model_uuid, model.mlflow_version, model.model_id) == ("r1", "u1", "2.9.1", None)
    assert (model.model_size_bytes, model.metadata, model.saved_input_example_info) == (12, {"team": "a"}, {"type": "dataframe"})
    assert model.utc_time_created == "2026-01-02 03:04:05.000001"
    assert model.signature is not None
    assert str(model.signature.inputs) == "[x: double]"
    assert model.signature.outputs is None


def test_a_model_without_a_signature_has_none(write: Any) -> None:
    assert parse_mlmodel(write(flavored())).signature is None


@pytest.mark.parametrize(
    ("flavors", "framework"),
    [
        ({"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {"sklearn_version": "1"}}, "sklearn"),
        ({"xgboost": {}, "python_function": {"loader_module": "mlflow.xgboost"}}, "xgboost"),
        ({"python_function": {"loader_module": "my_package.loading"}}, "my_package"),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model"}}, "mlflow"),
    ],
)
def test_the_framework_is_the_other_flavor_or_the_loader_s_package(write: Any, flavors: Any, framework: str) -> None:
    assert parse_mlmodel(write({"flavors": flavors})).framework == framework


def test_the_loader_is_given_the_data_or_else_the_directory(write: Any) -> None:
    directory = write(flavored(data="data/model.pkl", code="code"))
    assert parse_mlmodel(directory).data_path == directory / "data" / "model.pkl"
    assert parse_mlmodel(directory).code_path == directory / "code"
    bare = parse_mlmodel(write(flavored(model_path="model.skops")))
    assert (bare.data_path, bare.code_path) == (directory, None)


@pytest.mark.parametrize(
    ("document", "file", "key", "said"),
    [
        ("flavors:\n  python_function: [\n", "MLmodel:3", None, "not valid YAML"),
        ("a: b: c\n", "MLmodel:1", None, "not valid YAML"),
        ("- a\n- b\n", "MLmodel", None, "no mapping"),
        ("", "MLmodel", None, "nothing"),
        ({"flavors": {"sklearn": {}}}, "MLmodel", "flavors.python_function", "only sklearn"),
        ({"run_id": "x"}, "MLmodel", "flavors.python_function", "nor any other"),
        ({"flavors": ["python_function"]}, "MLmodel", "flavors", "not a mapping"),
        ({"flavors": {FLAVOR: {"data": "x"}}}, "MLmodel", "flavors.python_function.loader_module", "is missing"),
        ({"flavors": {FLAVOR: {"loader_module": 5}}}, "MLmodel", "flavors.python_function.loader_module", "not the name of a module"),
        (flavored(data="/etc/passwd"), "MLmodel", "flavors.python_function.data", "leads out"),
        (flavored(code="../code"), "MLmodel", "flavors.python_function.code", "leads out"),
        (flavored(data=5), "MLmodel", "flavors.python_function.data", "not a path"),
        (flavored(env=["conda.yaml"]), "MLmodel", "flavors.python_function.env", "neither"),
        (flavored(config="x"), "MLmodel", "flavors.python_function.config", "not a mapping"),
        ({**flavored(), "signature": {"inputs": "[{]"}}, "MLmodel", "signature.inputs", "not valid JSON"),
        ({**flavored(), "signature": {"outputs": '[{"type": "text"}]'}}, "MLmodel", "signature.outputs", "'text' is not a type"),
        ({**flavored(), "signature": {"params": '[{"name": "a"}]'}}, "MLmodel", "signature.params", "default"),
        ({**flavored(), "signature": "x"}, "MLmodel", "signature", "not a mapping"),
        ({**flavored(), "metadata": "x"}, "MLmodel", "metadata", "not a mapping"),
    ],
)
def test_a_broken_mlmodel_is_refused_by_file_and_key(write: Any, document: Any, file: str, key: Any, said: str) -> None:
    with pytest.raises(MLModelError) as caught:
        parse_mlmodel(write(document))
    assert (caught.value.file, caught.value.key) == (file, key)
    assert said in caught.value.message
    assert caught.value.advice


@pytest.mark.parametrize(
    ("flavor", "key", "path"),
    [
        ({"data": "model.pkl"}, "flavors.python_function.data", "model.pkl"),
        ({"model_path": "model.skops"}, "flavors.python_function.model_path", "model.skops"),
        ({"code": "code"}, "flavors.python_function.code", "code"),
        ({"python_model": "python_model.pkl"}, "flavors.python_function.python_model", "python_model.pkl"),
        ({"artifacts": {"w": {"path": "artifacts/w", "uri": "s3://b/w"}}}, "flavors.python_function.artifacts.w.path", "artifacts/w"),
    ],
)
def test_a_file_that_is_named_but_absent_is_refused_when_reading_and_not_when_loading(write: Any, flavor: Any, key: str, path: str) -> None:
    flavor = {**flavor, "loader_module": "mlflow.sklearn"}
    directory = write(flavored(**flavor))
    with pytest.raises(MLModelError) as caught:
        read_mlmodel(directory)
    assert caught.value.key == key
    assert path in caught.value.message
    assert parse_mlmodel(directory).pyfunc.options.items() >= flavor.items()
    write(flavored(**flavor), path)
    assert read_mlmodel(directory) == parse_mlmodel(directory)


@pytest.mark.parametrize(
    ("loader", "key"),
    [
        ("keras", "data"),
        ("tensorflow", "saved_model_dir"),
        ("transformers", "model_binary"),
        ("pytorch", "model_data"),
        ("spark", "model_data"),
        ("johnsnowlabs", "model_data"),
        ("catboost", "data"),
        ("prophet", "data"),
        ("diviner", "model_binary"),
        ("dspy", "model_path"),
        ("shap", "serialized_explainer"),
    ],
)
def test_a_path_in_the_block_of_the_flavor_that_loads_the_model_is_looked_for(write: Any, loader: str, key: str) -> None:
    document = flavored(loader_module=f"mlflow.{loader}")
    document["flavors"].update({loader: {key: "there"}, "another": {key: "absent"}})
    with pytest.raises(MLModelError, match="the file there is not in") as caught:
        read_mlmodel(write(document))
    assert caught.value.key == f"flavors.{loader}.{key}"
    assert read_mlmodel(write(document, "there"))


def test_what_a_path_means_to_a_loader_that_nobody_knows_is_not_judged(write: Any) -> None:
    model = read_mlmodel(write(flavored(loader_module="sktime.utils.mlflow_sktime", model_path="model")))
    assert [(each.path, each.needed, each.there) for each in model.named] == [("model", False, False)]


def test_paths_of_paddle_are_what_its_files_names_begin_with(write: Any) -> None:
    document = flavored(loader_module="mlflow.paddle", model_path="model")
    document["flavors"]["paddle"] = {"pickled_model": "model"}
    with pytest.raises(MLModelError, match="the file model is not in"):
        read_mlmodel(write(document))
    assert read_mlmodel(write(document, "model.pdmodel"))


@pytest.mark.parametrize("env", ["conda.yaml", {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}])
def test_a_model_without_its_environment_s_files_is_read(write: Any, env: Any) -> None:
    assert not any(each.there for each in read_mlmodel(write(flavored(env=env))).named)


def test_a_path_of_the_machine_that_saved_the_model_is_not_looked_for(write: Any) -> None:
    assert read_mlmodel(write(flavored(model_path="/home/someone/model.pkl")))


def test_a_directory_that_is_none_and_one_without_an_mlmodel_are_told_apart(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "absent", "no such directory"), (tmp_path, "no such file")):
        with pytest.raises(MLModelError, match=said):
            read_mlmodel(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(MLModelError, match="not a directory"):
        read_mlmodel(tmp_path / "file")
    (tmp_path / "MLmodel").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(MLModelError, match="not UTF-8"):
        read_mlmodel(tmp_path)


def test_a_model_and_its_errors_can_be_copied_and_pickled(write: Any) -> None:
    model = parse_mlmodel(write({**flavored(), "signature": {"inputs": COLUMNS}}))
    assert pickle.loads(pickle.dumps(model)) == copy.deepcopy(model) == model
    error = MLModelError("MLmodel", "flavors", "is wrong", "Mend it.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "MLmodel, flavors: is wrong. Mend it."


def test_reading_models_imports_neither_numpy_nor_pandas() -> None:
    modules = "deployer_scoring.model.mlmodel, deployer_scoring.schema.signature, deployer_scoring.model.requirements, deployer_scoring.model.locate"
    program = f"import sys, {modules}; print(*({{'numpy', 'pandas', 'mlflow', 'uvicorn'}} & set(sys.modules)))"
    path = str(Path(deployer_scoring.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {program}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_runtime_has_the_version_of_the_tool() -> None:
    version = Path(__file__).parents[4] / "deployer" / "version.py"
    assert f'__version__ = "{deployer_scoring.__version__}"' in version.read_text()
