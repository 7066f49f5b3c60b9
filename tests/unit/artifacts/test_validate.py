"""Errors that name the file and the key; facts of valid models."""

import io
import zipfile
from pathlib import Path

import pytest

from deployer.artifacts import content_digest, fetch, files, validate
from deployer.errors import ModelInvalid, ModelNotFound


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
        ('"type": "double", "name"', '"type": "doubled", "name"', "MLmodel, signature.inputs: 'doubled' is not a type"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(model: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelInvalid, match=f"can't be served: {message}") as caught:
        validate(edited(model, old, new), "models:/churn/3")
    assert caught.value.message.startswith("models:/churn/3 ")
    assert caught.value.advice


def test_a_model_without_any_file_of_its_environment_is_valid(model: Path) -> None:
    for name in ("requirements.txt", "conda.yaml", "python_env.yaml"):
        (model / name).unlink()
        assert validate(model).python_version == "3.11.7"
    assert validate(model).requirements == ()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


@pytest.mark.parametrize("path", ["MLmodel", "requirements.txt", "conda.yaml", "data/model.pkl", "data/ÿ/deep.bin", "code/helper.py"])
def test_a_pointer_in_place_of_a_file_that_is_needed_is_refused_with_the_command_that_fetches_it(model: Path, path: str) -> None:
    (model / path).write_bytes(POINTER)
    with pytest.raises(ModelInvalid, match=f"can't be served: {path} is a Git LFS pointer, not the file") as caught:
        validate(model)
    assert "git lfs pull" in caught.value.advice


def test_a_pointer_that_nothing_names_stops_nothing(model: Path) -> None:
    (model / "notebooks").mkdir()
    (model / "notebooks" / "old.pkl").write_bytes(POINTER)
    assert validate(model)


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"N.")  # of no time, so that every process names its tests alike
    return packed.getvalue()


ONNX = b"\x08\x08\x12\x04test\x3a\x03abc\x42\x02\x10\x11"
SOUND = {
    "a.pkl": [b"N.", b"(lp0\n.", b"\x80\x04N.", b"\x1f\x8b\x08", b"ZF0x1", b"S'text'\np0\n.", b"ccollections\nOrderedDict\n(tR.", zipped(), b"I1\n."],
    "a.pt": [zipped(), b"\x80\x02N.", b"\0" * 257 + b"ustar"],
    "a.onnx": [ONNX],
    "a.json": [b'{"a": 1}', b"[1]\n", b"\xef\xbb\xbf{}", b'{"a": 1}\n[2]', b"12", b'"x"', b"null"],
    "a.xgb": [b'{"learner"', b"{L\0", b"binf\0", b"\0\0\0?\x04\0\0\0"],
    "a.ubj": [b"{L\0"],
    "a.parquet": [b"PAR1........PAR1"],
    "a.h5": [b"\x89HDF\r\n\x1a\n", b"\0" * 1024 + b"\x89HDF\r\n\x1a\n"],
    "a.keras": [zipped(), b"\x89HDF\r\n\x1a\n"],
    "a.zip": [zipped(), b"PK\x05\x06" + bytes(18)],
    "a.npy": [b"\x93NUMPY\1"],
    "a.safetensors": [b"\x02\0\0\0\0\0\0\0{}"],
    "a.txt": [b"tree"],
    "a.bin": [b"anything"],
}
WRONG = {
    "a.pkl": [b"a text", b"I am a text\nof two lines", b"Some words", b"<html>", b"{}", b"\0\0", zipped()[:-10]],
    "a.joblib": [b"hello"],
    "a.pt": [b"a text", zipped()[:-10], b"{}"],
    "a.pth": [b"hello"],
    "a.onnx": [b"a text", ONNX[:-1], ONNX + b"hello", b"{}"],
    "a.json": [b"a text", b'{"a": ', b"[1,"],
    "a.xgb": [b"hello world"],
    "a.ubj": [b"hello"],
    "a.parquet": [b"hello", b"PAR1....", b"PAR1........more"],
    "a.h5": [b"hello"],
    "a.keras": [b"hello", zipped()[:-10]],
    "a.zip": [b"hello", zipped()[:50]],
    "a.npy": [b"hello"],
    "a.safetensors": [b"hello", b"\xff\0\0\0\0\0\0\0{}"],
}


@pytest.mark.parametrize(("name", "content"), [(name, each) for name, listed in SOUND.items() for each in listed])
def test_a_file_that_may_be_what_its_name_says_is_taken(model: Path, name: str, content: bytes) -> None:
    (model / "data" / name).write_bytes(content)
    assert validate(model)


@pytest.mark.parametrize(("name", "content"), [(name, each) for name, listed in WRONG.items() for each in [*listed, b""]])
def test_a_file_that_can_t_be_what_its_name_says_is_refused_where_it_is_loaded_and_nowhere_else(model: Path, name: str, content: bytes) -> None:
    (model / name).write_bytes(content)
    (model / "code" / name).write_bytes(content)
    assert validate(model)
    (model / "data" / name).write_bytes(content)
    with pytest.raises(ModelInvalid, match=f"can't be served: data/{name} is ") as caught:
        validate(model)
    assert caught.value.advice


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
