"""Pickles that stand under MLflow's names."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any, List

import pytest

from deployer_scoring.format.pickling import globals_of, write_pickle
from deployer_scoring.python_model import MLFLOW_NAMES, PythonModel, PythonModelContext
from deployer_scoring.schema.datatypes import Array, DataType, Object, Property
from deployer_scoring.schema.hints import TypeFromExample
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec

MODULE = "deployer_scoring.python_model"


class Reader(pickle.Unpickler):
    """Reads as an environment does that has MLflow's names and not ours."""

    def find_class(self, module: str, name: str) -> Any:
        assert not module.startswith("deployer"), f"{module}.{name} is not there"
        return MLFLOW_NAMES[module, name] if module.startswith("mlflow") else super().find_class(module, name)


def written(value: Any, path: Path) -> bytes:
    write_pickle(value, path)
    return path.read_bytes()


def read(path: Path) -> Any:
    with path.open("rb") as file:
        return Reader(file).load()


def local_class() -> Any:
    """A class that no module has, so that it goes into the pickle itself."""

    class Echo(PythonModel):
        def predict(self, context: PythonModelContext, model_input: List[int], params: Any = None) -> List[int]:
            return [*model_input, self.more]  # type: ignore[attr-defined]

    return Echo


def test_a_model_and_its_type_hints_stand_under_mlflow_s_names(tmp_path: Path) -> None:
    model = local_class()()
    model.more = 3
    found = globals_of(written(model, tmp_path / "m.pkl"))
    assert ("mlflow.pyfunc.model", "PythonModel") in found
    assert ("mlflow.pyfunc.utils.data_validation", "pyfunc") in found
    assert not [name for name in found if name[0].startswith("deployer")]
    assert read(tmp_path / "m.pkl").predict(None, [1]) == [1, 3]


def test_strings_of_the_user_stay_as_they_are_though_they_look_like_our_names(tmp_path: Path) -> None:
    model = local_class()()
    model.more = [MODULE, "PythonModel", f"{MODULE}\nPythonModel", {"PythonModel": MODULE}]
    written(model, tmp_path / "m.pkl")
    assert read(tmp_path / "m.pkl").more == model.more


def test_what_does_not_name_us_is_written_as_cloudpickle_writes_it(tmp_path: Path) -> None:
    import cloudpickle

    value = {"a": [1, 2.5, b"x" * 100_000]}
    assert written(value, tmp_path / "v.pkl") == cloudpickle.dumps(value)
    assert [file.name for file in tmp_path.iterdir()] == ["v.pkl"]


def test_large_and_shared_values_come_back_whole(tmp_path: Path) -> None:
    shared = ["x"] * 3
    model = local_class()()
    model.more, model.same, model.blob = shared, shared, bytes(range(256)) * 5000
    model.index = {str(number): number for number in range(20_000)}
    written(model, tmp_path / "m.pkl")
    back = read(tmp_path / "m.pkl")
    assert back.more is back.same
    assert (back.blob, back.index) == (model.blob, model.index)
    assert [file.name for file in tmp_path.iterdir()] == ["m.pkl"]


def test_the_hint_of_the_example_s_form_is_a_global(tmp_path: Path) -> None:
    assert globals_of(written([TypeFromExample, "TypeFromExample"], tmp_path / "h.pkl")) == {("mlflow.types.type_hints", "TypeFromExample")}
    assert read(tmp_path / "h.pkl") == [TypeFromExample, "TypeFromExample"]


POINT = Object([Property("x", "double"), Property("tags", Array("string"), required=False)])
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("long", "a"), ColSpec(POINT, "b", required=False)]),
    outputs=Schema([TensorSpec("float32", (-1, 2))]),
    params=ParamSchema([ParamSpec("top", "long", 3), ParamSpec("names", "string", ["x"], (-1,))]),
)


def test_a_signature_within_a_model_is_pickled_as_calls_of_mlflow_s_constructors(tmp_path: Path) -> None:
    written([SIGNATURE, DataType.long], tmp_path / "s.pkl")
    assert read(tmp_path / "s.pkl") == [SIGNATURE, DataType.long]


def as_mlflow(*objects: tuple[str, str, dict[str, Any]]) -> bytes:
    """A pickle of objects whose classes are named, of protocol 2, made by hand."""
    body = b"\x80\x02]("
    for module, name, state in objects:
        body += f"c{module}\n{name}\n".encode() + b")\x81" + pickle.dumps(state, 2)[2:-1] + b"b"
    return body + b"e."


def test_the_state_that_mlflow_pickles_is_understood(tmp_path: Path) -> None:
    data = as_mlflow(
        ("mlflow.types.schema", "ColSpec", {"_name": "a", "_required": False, "_type": 3}),
        ("mlflow.types.schema", "Array", {"_dtype": DataType.string.name}),
        ("mlflow.models.signature", "ModelSignature", {"inputs": None, "outputs": None, "params": None, "_ModelSignature__x": True}),
    )
    data = data.replace(b"K\x03", b"cmlflow.types.schema\nDataType\nK\x03\x85R")  # its enumeration is pickled by position
    (tmp_path / "s.pkl").write_bytes(data)
    assert read(tmp_path / "s.pkl") == [ColSpec("long", "a", required=False), Array("string"), ModelSignature()]


def test_a_file_that_is_no_pickle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"opcode|exhausted|string"):
        globals_of(b"not a pickle")


def test_what_was_renamed_is_a_well_formed_pickle(tmp_path: Path) -> None:
    model = local_class()()
    model.more = 1
    opcodes = [opcode.name for opcode, _, _ in pickletools.genops(written(model, tmp_path / "m.pkl"))]
    assert {"GLOBAL", "STACK_GLOBAL"} <= set(opcodes)
    assert "FRAME" not in opcodes
    assert opcodes[-1] == "STOP"
