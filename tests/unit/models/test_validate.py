"""Errors that name the file and the key; facts of valid models."""

from pathlib import Path

import pytest

from deployer.errors import ModelInvalid, ModelNotFound
from deployer.models import content_digest, fetch, files, validate


def edited(model: Path, old: str, new: str) -> Path:
    text = (model / "MLmodel").read_text()
    assert old in text
    (model / "MLmodel").write_text(text.replace(old, new))
    return model


def test_the_facts_of_a_model(model: Path) -> None:
    facts = validate(model, "models:/churn/3")
    assert facts.uri == "models:/churn/3"
    assert facts.framework == "sklearn 1.9.1"
    assert facts.python_version == "3.11.7"
    assert facts.requirements == ("mlflow==3.17.2", "scikit-learn==1.9.1")
    assert facts.run_id == "0123456789abcdef"
    assert facts.loader_module == "mlflow.sklearn"
    assert facts.digest == content_digest(files(model))
    assert facts.size == sum(file.size for file in files(model))
    assert facts.signature is not None
    assert set(facts.signature) == {"inputs", "outputs", "params"}


def test_requirements_come_from_conda_where_there_is_no_other_file(model: Path) -> None:
    (model / "requirements.txt").unlink()
    (model / "conda.yaml").write_text("dependencies: [python=3.11.7, scikit-learn=0.20.3, pip: ['xgboost==1.2']]")
    assert validate(model).requirements == ("scikit-learn==0.20.3", "xgboost==1.2")


def test_credentials_in_a_requirement_are_not_kept(model: Path) -> None:
    (model / "requirements.txt").write_text("ours @ https://user:geheim@example.com/ours-1.0-py3-none-any.whl\n")
    assert validate(model).requirements == ("ours @ https://example.com/ours-1.0-py3-none-any.whl",)


@pytest.mark.parametrize(
    ("old", "new", "framework"),
    [
        ("    sklearn_version: 1.9.1\n", "", "sklearn 1.9.1"),
        ("  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.9.1\n", "mlflow_version: 3.1.0\n", "pyfunc 3.1.0"),
        ("  sklearn:", "  xgboost:\n    xgb_version: 3.0\n  sklearn:", "xgboost 3.0"),
    ],
)
def test_the_framework_is_named_with_its_version(model: Path, old: str, new: str, framework: str) -> None:
    edited(model, old, new)
    if "mlflow_version" in new:
        edited(model, "mlflow.sklearn", "mlflow.pyfunc.model")
    assert validate(model).framework == framework


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("python_function", "r_function", "MLmodel, flavors.python_function: .* only r_function, sklearn"),
        ("    loader_module: mlflow.sklearn\n", "", "MLmodel, flavors.python_function.loader_module: is missing"),
        ("python_version: 3.11.7", "python_version: [", r"MLmodel:\d+: is not valid YAML"),
        ("data: data", "data: absent", "MLmodel, flavors.python_function.data: the file absent is not in"),
        ("conda: conda.yaml", "conda: absent.yaml", "MLmodel, flavors.python_function.env.conda: the file absent.yaml is not in"),
        ('"type": "double", "name"', '"type": "doubled", "name"', "MLmodel, signature.inputs: 'doubled' is not a type"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(model: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelInvalid, match=f"can't be served: {message}") as caught:
        validate(edited(model, old, new), "models:/churn/3")
    assert caught.value.message.startswith("models:/churn/3 ")
    assert caught.value.advice


def test_an_environment_without_its_requirements_is_refused(model: Path) -> None:
    (model / "requirements.txt").unlink()
    (model / "conda.yaml").unlink()
    edited(model, "      conda: conda.yaml\n", "")
    with pytest.raises(ModelInvalid, match=r"python_env.yaml, dependencies: the file requirements.txt is not in"):
        validate(model)


def test_a_broken_conda_file_is_named_with_its_line(model: Path) -> None:
    (model / "requirements.txt").unlink()
    (model / "conda.yaml").write_text("dependencies:\n  - [\n")
    with pytest.raises(ModelInvalid, match=r"conda.yaml:\d+: is not valid YAML"):
        validate(model)


def test_a_directory_that_is_no_model_says_where_one_is(model: Path) -> None:
    with pytest.raises(ModelInvalid, match="is not a model: it has no MLmodel file") as caught:
        fetch(str(model.parent))
    assert caught.value.advice == "there is one in churn: name that directory"


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"there is no directory .*absent"):
        fetch(str(tmp_path / "absent"))


def test_the_mlmodel_file_itself_is_not_the_model(model: Path) -> None:
    with pytest.raises(ModelInvalid, match="is the MLmodel file") as caught:
        fetch(str(model / "MLmodel"))
    assert str(model) in caught.value.advice


@pytest.mark.parametrize("form", ["{}", "{}/", "file:{}", "file://{}", "file://localhost{}"])
def test_a_local_model_is_used_where_it_is(model: Path, form: str) -> None:
    found = fetch(form.format(model))
    assert found.path == model
    assert found.facts.uri == form.format(model)
