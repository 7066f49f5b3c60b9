"""Model directories written: both workflows, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, List

import pandas as pd
import pytest
import yaml

from deployer_scoring.errors import LoadError, SchemaError, ScoringError
from deployer_scoring.format.loading import load_model
from deployer_scoring.format.metadata import Model
from deployer_scoring.format.saving import SavingError, save_model
from deployer_scoring.model.mlmodel import read_mlmodel
from deployer_scoring.python_model import PythonModel
from deployer_scoring.schema.hints import InvalidHint, TypeFromExample
from deployer_scoring.schema.signature import ColSpec, ModelSignature, Schema

FRAME = pd.DataFrame({"a": [1.0, 2.0]})
LOADER = "class Constant:\n    def predict(self, data):\n        return [7] * len(data)\n\n\ndef _load_pyfunc(path):\n    return Constant()\n"


class Doubling(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return 2 * model_input


class Reading(PythonModel):
    """Reads its artifact."""

    text = ""

    def load_context(self, context: Any) -> None:
        self.text = Path(context.artifacts["words"]).read_text()

    def predict(self, context: Any, model_input: Any) -> Any:
        return [self.text] * len(model_input)


def flavor(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((directory / "MLmodel").read_text())["flavors"]["python_function"]
    return found


def test_a_saved_model_is_valid_and_predicts(tmp_path: Path) -> None:
    written = save_model(tmp_path / "m", python_model=Doubling(), input_example=FRAME, metadata={"team": "churn"}, model_config={"depth": 3})
    assert read_mlmodel(tmp_path / "m").metadata == {"team": "churn"}
    assert load_model(tmp_path / "m").predict(FRAME).equals(2 * FRAME)
    assert Model.load(tmp_path / "m") == written
    assert flavor(tmp_path / "m")["config"] == {"depth": 3}


def test_the_example_s_run_does_not_touch_the_object_at_hand(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("hello")
    model = Reading()
    save_model(tmp_path / "m", python_model=model, artifacts={"words": str(tmp_path / "words.txt")}, input_example=FRAME)
    assert model.text == ""
    assert load_model(tmp_path / "m").predict(FRAME) == ["hello", "hello"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give python_model"),
        ({"artifacts": {"a": "b"}}, "give python_model"),
        ({"loader_module": "m", "python_model": Doubling()}, "loader_module and python_model belong to both"),
        ({"data_path": "d", "python_model": Doubling()}, "data_path and python_model belong to both"),
        ({"loader_module": "m", "artifacts": {"a": "b"}}, "loader_module and artifacts belong to both"),
        ({"python_model": Doubling}, "an instance of a PythonModel"),
        ({"python_model": 5}, "an instance of a PythonModel"),
        ({"python_model": lambda a, b: a}, "takes one argument, the input; <lambda> takes 2"),
        ({"python_model": "no/such/script"}, "there is no script no/such/script"),
        ({"python_model": Doubling(), "pip_requirements": [], "conda_env": {}}, "conda_env and pip_requirements say the same thing"),
        ({"python_model": Doubling(), "code_paths": "code.py"}, "code_paths is a list"),
        ({"python_model": Doubling(), "code_paths": ["a.py"], "code_path": ["b.py"]}, "give one of them"),
        ({"python_model": Doubling(), "code_paths": ["a.py"], "infer_code_paths": True}, "give it or code_paths"),
        ({"python_model": Doubling(), "code_paths": ["no_such.py"]}, "code_paths: there is no no_such.py"),
        ({"python_model": Doubling(), "artifacts": {"a": "no_such.txt"}}, r"artifacts\['a'\]: there is no no_such.txt"),
        ({"python_model": Doubling(), "artifacts": {"a": "s3://bucket/a"}}, "not on this machine"),
        ({"loader_module": "m", "data_path": "no_such"}, "data_path: there is no no_such"),
        ({"python_model": Doubling(), "model_config": {1: 2}}, "keys are strings"),
        ({"python_model": Doubling(), "model_config": {"a": object()}}, "what JSON can't"),
        ({"python_model": Doubling(), "model_config": "no_such.yaml"}, "no_such.yaml"),
        ({"python_model": Doubling(), "pip_requirements": "no_such.txt"}, "no_such.txt can't be read"),
        ({"python_model": Doubling(), "conda_env": "no_such.yaml"}, "no_such.yaml can't be read"),
        ({"python_model": Doubling(), "input_example": object()}, "an example is a DataFrame"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ScoringError, match=said):
        save_model(tmp_path / "m", **given)
    assert [*tmp_path.iterdir()] == []


def test_an_error_at_any_step_leaves_nothing(tmp_path: Path) -> None:
    unpicklable = Doubling()
    unpicklable.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(SavingError, match=r"Doubling can't be pickled: .*lock.* set_model"):
        save_model(tmp_path / "m", python_model=unpicklable)
    signature = ModelSignature(Schema([ColSpec("long", "b")]))
    with pytest.raises(SchemaError, match="the input example doesn't fit the signature: the input lacks 'b'"):
        save_model(tmp_path / "m", python_model=Doubling(), signature=signature, input_example=FRAME)
    assert [*tmp_path.iterdir()] == []


def test_a_path_that_is_taken_is_not_overwritten_an_empty_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").touch()
    (tmp_path / "file").touch()
    for taken in ("full", "file"):
        with pytest.raises(SavingError, match="is there already"):
            save_model(tmp_path / taken, python_model=Doubling())
    (tmp_path / "empty").mkdir()
    save_model(tmp_path / "empty", python_model=Doubling())
    save_model(tmp_path / "deep" / "er", python_model=Doubling())
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["kept"]
    assert (tmp_path / "empty" / "MLmodel").exists() and (tmp_path / "deep" / "er" / "MLmodel").exists()


def test_the_directory_is_as_open_as_others_are(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_model(tmp_path / "m", python_model=Doubling())
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750


def test_a_loader_module_has_its_data_and_code(tmp_path: Path) -> None:
    (tmp_path / "constant_loader.py").write_text(LOADER)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.txt").write_text("w")
    code, data = [str(tmp_path / "constant_loader.py")], str(tmp_path / "weights")
    save_model(tmp_path / "m", loader_module="constant_loader", data_path=data, code_path=code)
    assert {key: flavor(tmp_path / "m")[key] for key in ("loader_module", "data", "code", "streamable")} == {
        "loader_module": "constant_loader",
        "data": "data/weights",
        "code": "code",
        "streamable": False,
    }
    assert (tmp_path / "m" / "data" / "weights" / "w.txt").read_text() == "w"
    assert load_model(tmp_path / "m").predict(FRAME) == [7, 7]


def test_artifacts_of_one_name_do_not_overwrite_each_other_and_one_file_is_kept_once(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.txt").write_text(folder)
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "leaf").write_text("leaf")
    one, two = (str(tmp_path / folder / "w.txt") for folder in ("one", "two"))
    artifacts = {"one": one, "two": two, "again": one, "tree": (tmp_path / "tree").as_uri()}
    save_model(tmp_path / "m", python_model=Doubling(), artifacts=artifacts)
    saved = flavor(tmp_path / "m")["artifacts"]
    assert saved["one"]["path"] == saved["again"]["path"] == "artifacts/w.txt"
    assert (tmp_path / "m" / saved["two"]["path"]).read_text() == "two"
    assert (tmp_path / "m" / saved["tree"]["path"] / "deep" / "leaf").read_text() == "leaf"
    assert saved["tree"]["uri"] == artifacts["tree"]


def test_artifacts_of_any_uri_are_fetched_by_who_knows_how(tmp_path: Path) -> None:
    def fetch(uri: str, folder: Path) -> Path:
        (folder / "fetched").write_text(uri)
        return folder / "fetched"

    save_model(tmp_path / "m", python_model=Reading(), artifacts={"words": "s3://bucket/words"}, fetch=fetch)
    assert load_model(tmp_path / "m").predict([1]) == ["s3://bucket/words"]


class Hinted(PythonModel):
    def predict(self, model_input: List[str], params: Any = None) -> List[int]:
        return [len(each) for each in model_input]


class Wrong(PythonModel):
    def predict(self, model_input: List[str]) -> List[int]:
        return ["no number"]  # type: ignore[list-item]


class Formed(PythonModel):
    def predict(self, model_input: TypeFromExample) -> Any:  # type: ignore[valid-type]
        return [type(model_input).__name__]


class Failing(PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        raise ValueError("always")


def signature_of(directory: Path) -> Any:
    return Model.load(directory).signature


def test_the_signature_comes_from_type_hints_first(tmp_path: Path) -> None:
    other = ModelSignature(Schema([ColSpec("double", "a")]))
    save_model(tmp_path / "m", python_model=Hinted(), signature=other, input_example=(["a"], {"times": 2}))
    signature = signature_of(tmp_path / "m")
    assert str(signature.inputs) == "[string]" and str(signature.outputs) == "[long]" and str(signature.params) == "[times: long = 2]"
    assert signature.is_from_type_hint


def test_an_output_that_is_not_of_its_hint_is_any(tmp_path: Path) -> None:
    save_model(tmp_path / "m", python_model=Wrong(), input_example=["a"])
    assert str(signature_of(tmp_path / "m").outputs) == "[any]"


def test_the_signature_comes_from_the_example_where_there_are_no_hints(tmp_path: Path) -> None:
    save_model(tmp_path / "m", python_model=Doubling(), input_example=FRAME)
    assert repr(signature_of(tmp_path / "m").inputs) == repr(signature_of(tmp_path / "m").outputs) == "['a': double (required)]"
    save_model(tmp_path / "n", python_model=Formed(), input_example=["a"])
    assert signature_of(tmp_path / "n").is_type_hint_from_example
    assert load_model(tmp_path / "n").predict(["a"]) == ["list"]


def test_a_model_that_fails_for_its_example_is_saved_without_a_signature(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_model(tmp_path / "m", python_model=Failing(), input_example=FRAME)
    assert signature_of(tmp_path / "m") is None
    assert "no signature from the input example: ValueError: always" in caplog.text


def test_a_hint_that_breaks_the_rules_is_refused_where_the_class_is_made() -> None:
    with pytest.raises(InvalidHint, match=r"list needs the one type of its elements.*Or remove the hint from"):

        class Bare(PythonModel):
            def predict(self, model_input: list) -> Any:  # type: ignore[type-arg]
                return model_input


SCRIPT = """
from deployer_scoring.model.code import ModelConfig, set_model
from deployer_scoring.python_model import PythonModel

times = ModelConfig(development_config={"times": 1}).get("times")


class Times(PythonModel):
    def predict(self, context, model_input):
        return model_input * times


set_model(Times())
"""


def test_a_script_is_kept_as_a_script_and_run_with_its_config(tmp_path: Path) -> None:
    (tmp_path / "times.py").write_text(SCRIPT)
    (tmp_path / "config.yaml").write_text("times: 3\n")
    save_model(tmp_path / "m", python_model=tmp_path / "times.py", model_config=tmp_path / "config.yaml", input_example=FRAME)
    assert flavor(tmp_path / "m")["model_code_path"] == "times.py"
    assert not [*(tmp_path / "m").rglob("__pycache__"), *(tmp_path / "m").glob("*.pkl")]
    assert load_model(tmp_path / "m").predict(FRAME).equals(3 * FRAME)
    assert load_model(tmp_path / "m", model_config={"times": 5}).predict(FRAME).equals(5 * FRAME)


def test_a_script_that_fails_or_sets_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text("x = 1\n")
    (tmp_path / "failing.py").write_text("1 / 0\n")
    with pytest.raises(LoadError, match=r"nothing\.py sets no model"):
        save_model(tmp_path / "m", python_model=str(tmp_path / "nothing.py"))
    with pytest.raises(LoadError, match=r"failing\.py failed: ZeroDivisionError"):
        save_model(tmp_path / "m", python_model=str(tmp_path / "failing.py"))
    with pytest.raises(ScoringError, match=r"there is .*failing\.py"):
        save_model(tmp_path / "m", python_model=str(tmp_path / "failing"))
    assert not (tmp_path / "m").exists()


def test_a_model_streams_where_it_has_the_method_or_says_so(tmp_path: Path) -> None:
    class Streaming(Doubling):
        def predict_stream(self, context: Any, model_input: Any, params: Any = None) -> Any:
            yield from model_input

    save_model(tmp_path / "m", python_model=Streaming())
    save_model(tmp_path / "n", python_model=Doubling())
    save_model(tmp_path / "o", python_model=Streaming(), streamable=False)
    assert [flavor(tmp_path / name)["streamable"] for name in "mno"] == [True, False, False]
    assert [*load_model(tmp_path / "m").predict_stream([["a", "b"]])] == ["a", "b"]
