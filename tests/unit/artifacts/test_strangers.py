"""Models of strangers, each wrong in one place: told as such at once, whatever is wrong, and never a fault of ours."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.cli.program import program
from deployer_scoring.model.mlmodel import read_mlmodel
from deployer_scoring.model.serving_example import serving_example
from deployer_scoring.server.protocols.openapi import document
from deployer_scoring.wire.decoding import Decoder

MLMODEL: dict[str, Any] = yaml.safe_load("""
artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
    python_version: 3.11.7
    data: data
    code: code
    model_path: model.pkl
    config: {a: 1}
    streamable: false
    predict_fn: predict
    artifacts: {a: {path: artifacts/a, uri: x}}
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
  sklearn: {sklearn_version: 1.9.1, pickled_model: model.pkl, code: null}
mlflow_version: 3.1.0
model_uuid: abc
model_id: m-1
run_id: r
model_size_bytes: 5
utc_time_created: "2026-01-01"
is_signature_from_type_hint: false
type_hint_from_example: false
metadata: {a: 1}
saved_input_example_info: {artifact_path: input_example.json, type: dataframe, pandas_orient: split, serving_input_path: serving_input_example.json}
signature: {inputs: '', outputs: '', params: ''}
""")
INPUTS: list[Any] = [
    {"type": "double", "name": "x", "required": True},
    {"type": "array", "items": {"type": "string"}, "name": "y"},
    {"type": "object", "properties": {"a": {"type": "long", "required": True}}, "name": "z"},
    {"type": "map", "values": {"type": "any"}, "name": "w"},
]
TENSORS: list[Any] = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}, "name": "t"}]
PARAMS: list[Any] = [
    {"name": "p", "type": "double", "default": 1.0, "shape": None},
    {"name": "q", "type": "datetime", "default": ["2026-01-01"], "shape": [-1]},
    {"name": "o", "type": "object", "properties": {"a": {"type": "long"}}, "default": {}},
]
FILES: dict[str, str] = {
    "conda.yaml": "name: x\nchannels: [a]\ndependencies: [python=3.11, pip, {pip: [numpy]}]\n",
    "python_env.yaml": "python: 3.11.7\nbuild_dependencies: [pip]\ndependencies: ['-r requirements.txt']\n",
    "requirements.txt": "numpy\n",
    "input_example.json": '{"columns": ["x", "y"], "data": [[1.0, ["a"]]]}',
    "serving_input_example.json": '{"dataframe_split": {"columns": ["x", "y"], "data": [[1.0, ["a"]]]}}',
    "code/helper.py": "ANSWER = 42\n",
    "data/rows": "1",
    "artifacts/a": "x",
}
PLAIN: list[Any] = [
    *(None, True, 0, -1, 3.8, float("nan"), float("inf"), 10**400, "", "x", "../up", "/abs", "a\0b", "\x1b[2J", "x" * 10_000),
    *([], ["a"], [[]], {}, {"a": 1}),
]
SOME: list[Any] = [None, -1, 10**400, "a\0b", [[]], {"a": 1}]
YAML_TOO: list[Any] = [*PLAIN, {1: 2}, {None: None}, b"bytes"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    for name in ("python_model.pkl", "model.pkl"):
        (directory / name).write_bytes(b"\x80\x04N.")
    _describe(directory, MLMODEL)
    return directory


def test_as_it_is_nothing_is_wrong(model: Path) -> None:
    assert _checked(model, "nothing") == 0


def _describe(directory: Path, document: Any, **signature: Any) -> None:
    parts = {"inputs": INPUTS, "outputs": TENSORS, "params": PARAMS, **signature}
    if isinstance(document, dict) and isinstance(document.get("signature"), dict):
        written = {part: json.dumps(value) if isinstance(value, list) else value for part, value in parts.items()}
        document = {**document, "signature": {**written, **{part: value for part, value in document["signature"].items() if value != ""}}}
    (directory / "MLmodel").write_text(yaml.dump(document, Dumper=_Dumper), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _checked(directory: Path, what: object) -> int:
    """The exit code of `deploy models check`; not 1, and within seconds."""
    begun = time.process_time()
    ended = CliRunner().invoke(program, ["models", "check", str(directory)], prog_name="deploy")
    assert ended.exit_code in (0, 2), (what, ended.output, ended.exception)
    if ended.exit_code == 2:
        assert "Error [model-invalid]" in ended.stderr or " error" in ended.stdout, (what, ended.output)
    assert time.process_time() - begun < 5, what
    return ended.exit_code


def _places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in inner:
        yield from _places(value, (*at, key))


def _put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize("place", _places(MLMODEL), ids=lambda place: ".".join(map(str, place)) or "all")
def test_any_value_at_any_key_of_an_mlmodel(place: tuple[Any, ...], model: Path) -> None:
    for value in YAML_TOO:
        _describe(model, _put(MLMODEL, place, value))
        _checked(model, (place, value))
    _describe(model, MLMODEL)


@pytest.mark.parametrize(("part", "document"), [("inputs", INPUTS), ("inputs", TENSORS), ("params", PARAMS)], ids=["columns", "tensors", "params"])
def test_any_value_at_any_key_of_a_signature(part: str, document: Any, model: Path) -> None:
    for place in _places(document):
        for value in SOME:
            changed = _put(document, place, value)
            _describe(model, MLMODEL, **{part: changed if isinstance(changed, list) else json.dumps(changed)})
            _checked(model, (part, place, value))
    _describe(model, MLMODEL)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".yaml", ".json"))])
def test_any_value_at_any_key_of_the_files_beside_it(name: str, model: Path) -> None:
    document = yaml.safe_load(FILES[name])
    for place in _places(document):
        for value in SOME if name.endswith(".json") else [*SOME, {1: 2}, b"bytes"]:
            changed = _put(document, place, value)
            (model / name).write_text(json.dumps(changed) if name.endswith(".json") else yaml.safe_dump(changed))
            _checked(model, (name, place, value))
    (model / name).write_text(FILES[name])


NAMES: list[Any] = ["", "a\0b", 1, True, 1.5, [], ["a", "b"], ["a", {"b": 1}], {"a": 1}, None]


@pytest.mark.parametrize("schema", [[INPUTS[0]], INPUTS, TENSORS], ids=["a column", "columns", "a tensor"])
def test_a_signature_that_is_taken_can_be_served(schema: list[dict[str, Any]], model: Path) -> None:
    for name in NAMES:
        _describe(model, MLMODEL, inputs=[{**schema[0], "name": name}, *schema[1:]])
        if _checked(model, name) == 0:
            described = read_mlmodel(model)
            Decoder(described)
            document(described)
            serving_example(described)
    _describe(model, MLMODEL, inputs=[{**schema[0], "name": ["a", "b"]}, *schema[1:]])
    assert _checked(model, "levels") == 2


TEXTS: Mapping[str, bytes] = {
    "empty": b"",
    "NULs": bytes(100),
    "junk": bytes(range(256)),
    "UTF-16": "flavors: {}".encode("utf-16"),
    "a mark": b"\xef\xbb\xbfnumpy",
    "aliases": b"a: &a [x, x]\n" + b"".join(b"%c: &%c [%s]\n" % (98 + at, 98 + at, b", ".join([b"*%c" % (97 + at)] * 10)) for at in range(9)),
    "objects": b'a: !!python/object/apply:os.system ["true"]\n',
    "lists in lists": b"[" * 100_000,
    "mappings in mappings": b"{a: " * 20_000,
    "keys twice": b"flavors: {}\nflavors: {}\n",
    "odd scalars": b"a: 2026-99-99\n",
    "digits": b"a: " + b"9" * 10_000,
    "a long number": b"9" * 10_000,
    "one line": b"x" * 5_000_000,
    "many lines": b"numpy\n" * 300_000,
    "broken lines": b"numpy" + b"\\\n" * 100_000,
    "parentheses": b"numpy; " + b"(" * 50_000,
    "a long specifier": b"numpy" + b">=1," * 20_000 + b"<2",
    "a long version": b"numpy==1!" + b"9" * 10_000 + b".0\n",
    "includes itself": b"-r requirements.txt\n",
    "includes a device": b"-r /dev/zero\n",
    "includes what is outside": b"-r ../../../../../../etc/passwd\n",
    "escapes": b"nu\x1b[2Jmpy\n",
    "half a pair": b'"\\ud800"',
    "Python's version": b'python: "3.%s"\n' % (b"9" * 5000),
    "nested code": b"x = " + b"(" * 5000,
    "signs": b"x = " + b"-" * 100_000 + b"1",
    "sums": b"x = " + b"1+" * 50_000 + b"1",
    "attributes": b"x = a" + b".a" * 50_000,
}


@pytest.mark.parametrize("name", ["MLmodel", *FILES, "model.pkl", "serving.json", "code/\u202eyp.x"])
def test_any_bytes_in_any_file(name: str, model: Path) -> None:
    file = model / name
    before = file.read_bytes() if file.exists() else None
    for kind, content in TEXTS.items():
        file.write_bytes(content)
        _checked(model, (name, kind))
        if name in ("conda.yaml", "python_env.yaml"):
            (model / "requirements.txt").rename(model / "aside")
            _checked(model, (name, kind))
            (model / "aside").rename(model / "requirements.txt")
    file.unlink() if before is None else file.write_bytes(before)


NODES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "an endless file": lambda path: path.symlink_to("/proc/self/pagemap"),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link up": lambda path: path.symlink_to(".."),
    "a link out": lambda path: path.symlink_to("/etc/passwd"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("name", ["MLmodel", *FILES, "model.pkl", "stray"])
def test_anything_but_a_file_in_the_place_of_one(name: str, model: Path) -> None:
    file = model / name
    if file.exists():
        file.rename(model.parent / "aside")
    for kind, make in NODES.items():
        make(file)
        code = _checked(model, (name, kind))
        if kind != "a folder":
            assert code == 2, (name, kind)
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    if (model.parent / "aside").exists():
        (model.parent / "aside").rename(file)


def test_a_device_itself_is_never_opened(model: Path) -> None:
    try:
        os.mknod(model / "stray", 0o020600, os.makedev(1, 5))
    except PermissionError:
        (model / "stray").write_text("")  # only root makes devices
    _checked(model, "a device")
    (model / "stray").unlink()


def test_names_and_folders_that_no_model_has(model: Path) -> None:
    deep = model / "data" / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    assert _checked(model, "deep folders") == 2
    for _ in range(200):
        deep.rmdir()
        deep = deep.parent
    odd = model / "data" / "\udcff\udcfe"
    odd.touch()
    assert _checked(model, "a name that is not UTF-8") == 2
    odd.unlink()
    for name in ("x" * 5000, "a\0b", "http://[x", "s3://", "models:/", "\udcff", "-" * 300, "file://host/x", "runs:/", "hf:/x", "~nobody/x"):
        ended = CliRunner().invoke(program, ["models", "check", "--", name], prog_name="deploy")
        assert ended.exit_code not in (0, 1), (name, ended.output)


def test_more_columns_than_a_model_has(model: Path) -> None:
    many = [{"type": "double", "name": f"c{at}"} for at in range(5_000)]
    params = [{"type": "double", "name": f"c{at}", "default": 1} for at in range(5_000)]
    fields = {"type": "object", "name": "o", "properties": {f"c{at}": {"type": "double"} for at in range(5_000)}}
    for part in ({"inputs": many}, {"params": params}, {"inputs": [fields]}, {"outputs": "[" * 1000 + "]" * 1000}):
        _describe(model, MLMODEL, **part)
        _checked(model, [*part])
    _describe(model, MLMODEL)


_ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])) | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(changes=st.lists(st.tuples(st.sampled_from([*_places(MLMODEL)][1:]), _ANY), min_size=1, max_size=3))
def test_anything_anywhere(changes: list[tuple[tuple[Any, ...], Any]], model: Path) -> None:
    document = MLMODEL
    for place, value in changes:
        try:
            document = _put(document, place, value)
        except (TypeError, KeyError):
            continue  # an earlier change took the place away
    try:
        _describe(model, document)
    except UnicodeEncodeError:
        return
    _checked(model, changes)
    _describe(model, MLMODEL)
