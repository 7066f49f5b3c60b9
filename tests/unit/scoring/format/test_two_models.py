"""Models of one process whose code folders hold modules of the same names."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import pytest

from deployer_scoring.format.loading import PyFuncModel, load_model
from deployer_scoring.format.saving import save_model
from deployer_scoring.loaders.loading import load
from deployer_scoring.loaders.own_form import load_own_form
from deployer_scoring.loaders.own_modules import forget
from deployer_scoring.model.mlmodel import parse_mlmodel

MODEL = "from deployer_scoring.python_model import PythonModel\nclass M(PythonModel):\n    def predict(self, context, model_input, params=None):\n"
STREAM = "    def predict_stream(self, context, model_input, params=None):\n"
Code = Dict[str, str]


@pytest.fixture(autouse=True)
def process(tmp_path: Path) -> Iterator[None]:
    paths, modules = [*sys.path], {*sys.modules}
    yield
    forget(tmp_path)
    sys.path[:] = paths
    for name in {*sys.modules} - modules:
        if name.startswith("twin"):
            del sys.modules[name]


def written(folder: Path, code: Code, name: str) -> Path:
    for file, source in code.items():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.replace("NAME", repr(name)))
    return folder


def saved(tmp_path: Path, name: str, code: Code, **options: Any) -> Path:
    """A model of the class M in twin_model, pickled by reference."""
    project = written(tmp_path / f"project_{name}", code, name)
    before = {*sys.modules}
    sys.path.insert(0, str(project))
    try:
        made = importlib.import_module("twin_model").M()
        code_paths = [str(path) for path in project.iterdir() if path.name != "__pycache__"]
        save_model(tmp_path / name, python_model=made, code_paths=code_paths, **options)
    finally:
        sys.path.remove(str(project))
        for each in {*sys.modules} - before:
            if str(getattr(sys.modules[each], "__file__", "")).startswith(str(tmp_path.absolute())):
                del sys.modules[each]
    return tmp_path / name


EAGER = {"twin_model.py": f"import twin_values\n{MODEL}        return [twin_values.value]\n", "twin_values.py": "value = NAME\n"}
LAZY = {"twin_model.py": f"{MODEL}        import twin_values\n        return [twin_values.value]\n", "twin_values.py": "value = NAME\n"}
DYNAMIC = {
    "twin_model.py": f"import importlib\n{MODEL}        return [importlib.import_module('twin_values').value]\n",
    "twin_values.py": "value = NAME\n",
}
PACKAGE = {
    "twin_model.py": f"from twin_package.deep import answer\n{MODEL}        return answer()\n",
    "twin_package/__init__.py": "from .deep import answer\n",
    "twin_package/deep/__init__.py": "def answer():\n    from ..values import value\n"
    "    from twin_package.deep import late\n    return [value[:1] + late.rest]\n",
    "twin_package/deep/late.py": "rest = ''\n",
    "twin_package/values.py": "value = NAME\n",
}
NAMESPACE = {
    "twin_model.py": f"{MODEL}        from twin_space.values import value\n        return [value]\n",
    "twin_space/values.py": "value = NAME\n",
}
PICKLED = {
    "twin_model.py": f"import pickle\nfrom twin_values import Value\n{MODEL}        return [pickle.loads(pickle.dumps(Value())).value]\n",
    "twin_values.py": "class Value:\n    value = NAME\n",
}
BY_FILE = {
    "twin_model.py": f"from pathlib import Path\n{MODEL}        return [(Path(__file__).parent / 'twin.txt').read_text()]\n",
    "twin.txt": "NAME",
}
# Of an installed package that is imported and is Python through and through.
INSTALLED = {
    "twin_model.py": f"{MODEL}        from iniconfig import value\n        return [value]\n",
    "iniconfig.py": "value = NAME\n",
}


def names(model: PyFuncModel) -> Any:
    return [each.strip("'") for each in model.predict([1])]


@pytest.mark.parametrize("code", [EAGER, LAZY, DYNAMIC, PACKAGE, NAMESPACE, PICKLED, BY_FILE, INSTALLED])
def test_each_keeps_its_own(tmp_path: Path, code: Code) -> None:
    import iniconfig

    a, b, c = (load_model(saved(tmp_path, name, code)) for name in "abc")
    assert [names(model) for model in (a, b, c, b, a, a, c)] == [["a"], ["b"], ["c"], ["b"], ["a"], ["a"], ["c"]]
    again = load_model(tmp_path / "b")
    assert [names(again), names(a)] == [["b"], ["a"]]
    assert sys.modules["iniconfig"] is iniconfig


@pytest.mark.parametrize("code", [EAGER, LAZY, PICKLED])
def test_what_is_only_used_in_the_end_is_each_one_s_own(tmp_path: Path, code: Code) -> None:
    a, b = (load_model(saved(tmp_path, name, code)) for name in "ab")
    assert [names(b), names(a)] == [["b"], ["a"]]


def test_a_loader_module_in_the_code_folder(tmp_path: Path) -> None:
    code = {
        "twin_loader.py": "class Loaded:\n    def predict(self, data):\n        import twin_values\n        return [twin_values.value]\n"
        "def _load_pyfunc(path):\n    return Loaded()\n",
        "twin_values.py": "value = NAME\n",
    }
    made = []
    for name in "ab":
        project = written(tmp_path / f"project_{name}", code, name)
        save_model(tmp_path / name, loader_module="twin_loader", code_paths=[str(path) for path in project.iterdir()])
        made.append(load_model(tmp_path / name))
    assert [names(made[at]) for at in (0, 1, 0)] == [["a"], ["b"], ["a"]]


@pytest.mark.parametrize("importing", ["", "        import twin_values\n"])
def test_models_from_code(tmp_path: Path, importing: str) -> None:
    first = "" if importing else "import twin_values\n"
    for name in "ab":
        project = written(tmp_path / f"project_{name}", {"twin_values.py": "value = NAME\n"}, name)
        script = tmp_path / f"{name}.py"
        script.write_text(
            f"from deployer_scoring.model.code import set_model\n{first}{MODEL}{importing}        return [twin_values.value]\nset_model(M())\n"
        )
        sys.path.insert(0, str(project))
        save_model(tmp_path / name, python_model=str(script), code_paths=[str(project / "twin_values.py")])
        sys.path.remove(str(project))
        sys.modules.pop("twin_values", None)
    made = [load_model(tmp_path / name) for name in "ab"]
    assert [names(made[at]) for at in (0, 1, 0)] == [["a"], ["b"], ["a"]]


def test_streams_that_run_by_turns(tmp_path: Path) -> None:
    body = "        for _ in range(2):\n            import twin_values\n            yield twin_values.value\n"
    code = {**LAZY, "twin_model.py": LAZY["twin_model.py"] + STREAM + body}
    a, b = (load_model(saved(tmp_path, name, code)) for name in "ab")
    assert [*zip(a.predict_stream([1]), b.predict_stream([1]))] == [("a", "b"), ("a", "b")]


@pytest.mark.parametrize("code", [EAGER, LAZY, PICKLED])
def test_threads(tmp_path: Path, code: Code) -> None:
    """The second is loaded while the first predicts."""
    a, second = load_model(saved(tmp_path, "a", code)), saved(tmp_path, "b", code)
    wrong: list[Any] = []

    def predicting(model: Optional[PyFuncModel], name: str) -> None:
        model = model or load_model(second)
        wrong.extend(answer for answer in (names(model) for _ in range(300)) if answer != [name])

    threads = [threading.Thread(target=predicting, args=(model, name)) for model, name in [(a, "a"), (a, "a"), (None, "b"), (None, "b")]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_loading_waits_for_a_predict_that_has_begun(tmp_path: Path) -> None:
    slow = {**LAZY, "twin_model.py": f"import time\n{MODEL}        time.sleep(0.3)\n        import twin_values\n        return [twin_values.value]\n"}
    a, second = load_model(saved(tmp_path, "a", slow)), saved(tmp_path, "b", slow)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(names(a)))
    thread.start()
    b = load_model(second)
    thread.join()
    assert [answers, names(b)] == [[["a"]], ["b"]]


def test_a_model_that_predicts_by_another(tmp_path: Path) -> None:
    a = load_model(saved(tmp_path, "a", LAZY))
    outer = f"from deployer_scoring.format.loading import load_model\n{MODEL}        inner = load_model({str(tmp_path / 'a')!r}).predict([1])\n"
    code = {**LAZY, "twin_model.py": outer + "        import twin_values\n        return [twin_values.value, *inner]\n"}
    assert names(load_model(saved(tmp_path, "b", code))) == ["b", "a"]
    assert names(a) == ["a"]


def test_one_model_has_its_modules_at_their_plain_place(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, "a", EAGER)).unwrap_python_model()
    import twin_model  # type: ignore[import-not-found]

    assert type(model) is twin_model.M
    assert isinstance(pickle.loads(pickle.dumps(model)), twin_model.M)


def test_models_of_the_same_code_share_it(tmp_path: Path) -> None:
    first = load_model(saved(tmp_path, "a", EAGER))
    second, copied = load_model(tmp_path / "a"), load_model((tmp_path / "a").rename(tmp_path / "moved"))
    kinds = {type(each.unwrap_python_model()) for each in (first, second, copied)}
    assert len(kinds) == 1
    other, again = load_model(saved(tmp_path, "b", EAGER)), load_model(tmp_path / "b")
    assert type(other.unwrap_python_model()) is type(again.unwrap_python_model())
    assert names(first) == ["a"]


def test_code_imported_from_the_project_is_the_model_s_where_it_was_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = {"twin_model.py": MODEL.replace("deployer_scoring.python_model", "deployer.pyfunc") + "        return ['a']\n"}
    project = written(tmp_path / "project", guarded, "a")
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setitem(sys.modules, "deployer.pyfunc", sys.modules["deployer_scoring.python_model"])
    import twin_model

    save_model(tmp_path / "m", python_model=twin_model.M(), code_paths=[str(project / "twin_model.py")])
    assert (tmp_path / "m" / "code" / "twin_model.py").read_text() != guarded["twin_model.py"]
    assert type(load_model(tmp_path / "m").unwrap_python_model()) is twin_model.M
    (tmp_path / "m" / "code" / "twin_model.py").write_text(guarded["twin_model.py"].replace("'a'", "'later'"))
    assert names(load_model(tmp_path / "m")) == ["later"]
    assert sys.modules["twin_model"] is twin_model


def test_saving_leaves_no_modules_of_a_folder_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = {*sys.modules}
    saved(Path(), "a", LAZY, input_example=[1])
    saved(tmp_path, "b", LAZY, input_example=[1])
    assert {name for name in {*sys.modules} - before if name.startswith("twin")} == set()
    assert [names(load_model(tmp_path / name)) for name in "ba"] == [["b"], ["a"]]


def test_a_code_folder_keeps_its_hands_off_the_standard_library(tmp_path: Path) -> None:
    import types

    code = {**EAGER, "types.py": "value = NAME\n"}
    a, b = (load_model(saved(tmp_path, name, code)) for name in "ab")
    assert [names(a), names(b)] == [["a"], ["b"]]
    assert sys.modules["types"] is types


def test_own_forms(tmp_path: Path) -> None:
    for name in "ab":
        folder = written(tmp_path / name / "code", {"twin_values.py": "class Value:\n    name = NAME\n"}, name).parent
        (folder / "MLmodel").write_text(
            "flavors:\n  python_function: {loader_module: mlflow.sklearn, code: code, model_path: model.pkl}\n"
            "  sklearn: {pickled_model: model.pkl, serialization_format: pickle}\n"
        )
        (folder / "model.pkl").write_bytes(b"ctwin_values\nValue\n(t\x81.")
    assert [load_own_form(tmp_path / name, "sklearn").name for name in "ab"] == ["a", "b"]


def test_alone_in_its_process_a_model_s_methods_are_its_own(tmp_path: Path) -> None:
    """Nothing stands between the server and predict."""
    loaded = load(parse_mlmodel(saved(tmp_path, "a", EAGER)))
    assert loaded.modules is None
    assert loaded.method("predict") == loaded.implementation.predict
