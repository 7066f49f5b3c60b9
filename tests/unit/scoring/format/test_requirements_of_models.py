"""What a model needs, found without running it, and the files that say so."""

from __future__ import annotations

import json  # noqa: F401  a model names it
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from deployer_scoring.errors import ScoringError
from deployer_scoring.format.environments import environment_of, environment_of_conda, get_default_conda_env, get_default_pip_requirements, parsed
from deployer_scoring.format.needs import requirements_of
from deployer_scoring.format.packages import mismatches, pinned, without_implied
from deployer_scoring.format.saving import save_model
from deployer_scoring.python_model import PythonModel

PANDAS, NUMPY = f"pandas=={pd.__version__}", f"numpy=={np.__version__}"


def helper(values: Any) -> Any:
    import yaml  # noqa: F401  only imported

    return np.asarray(values)


class Imports(PythonModel):
    def load_context(self, context: Any) -> None:
        import orjson  # noqa: F401  only imported

    def predict(self, context: Any, model_input: Any) -> Any:
        return helper(model_input)


def lines(directory: Path) -> list[str]:
    return [line for line in (directory / "requirements.txt").read_text().splitlines() if not line.startswith("mlflow")]


def names(found: list[str]) -> list[str]:
    return [line.partition("=")[0] for line in found]


def test_imports_within_methods_and_what_they_call_count(tmp_path: Path) -> None:
    assert names(requirements_of(tmp_path, Imports())) == ["numpy", "orjson", "pyyaml"]


def test_imports_of_code_and_globals_of_pickles_count_those_of_data_do_not(tmp_path: Path) -> None:
    (tmp_path / "code" / "mine").mkdir(parents=True)
    (tmp_path / "code" / "mine" / "__init__.py").write_text("from . import other\nimport yaml.nodes, json\nfrom mine.other import x\n")
    (tmp_path / "code" / "mine" / "other.py").write_text("try:\n    import no_such_module\nexcept ImportError:\n    x = 1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frame.pkl").write_bytes(__import__("pickle").dumps(pd.DataFrame({"a": [1]})))
    (tmp_path / "data" / "notes.py").write_text("import click\n")
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04 no pickle")
    assert requirements_of(tmp_path, modules=["mine.loader"]) == [PANDAS, pinned("pyyaml")]


def test_a_module_of_the_user_s_own_that_nothing_brings_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a_helper_of_mine.py").write_text("")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "script.py").write_text("import a_helper_of_mine, no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "a_helper_of_mine", __import__("a_helper_of_mine"))
    assert requirements_of(tmp_path / "m") == []
    assert f"the model imports a_helper_of_mine, which is in no installed package: add {tmp_path}/a_helper_of_mine.py" in caplog.text
    assert "no_such_module" not in caplog.text


class Reluctant(types.ModuleType):
    """A module that is made when it is first used, and can't be."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


class Proxy:
    """Stands for something that can't be had."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


class Circle:
    @property
    def __wrapped__(self) -> Any:
        return self


class Odd(PythonModel):
    circle, nothing, table = Circle(), None, pd.DataFrame({"a": [1]})


def odd() -> Odd:
    lazy, nameless, bare, gone = Reluctant("lazy"), types.ModuleType("x"), types.ModuleType("yaml"), types.SimpleNamespace(__module__="deleted")
    del nameless.__name__, bare.__spec__, bare.__loader__
    there = {"lazy": lazy, "proxy": Proxy(), "nameless": nameless, "bare": bare, "gone": gone, "nothing": None}
    predict = eval("lambda self, context, model_input: [lazy, proxy, nameless, bare, gone, nothing]", there)
    return type("More", (Odd,), {"predict": predict, "proxy": Proxy(), "lazy": lazy, "__module__": __name__})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", ["None", "Reluctant('absent')", "types.ModuleType('absent')", "Proxy()"])
def test_modules_of_any_sort_are_looked_at_without_a_stumble(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "absent", eval(module))
    (tmp_path / "names.pkl").write_bytes(b"\x80\x04cabsent\nThing\n.")
    assert names(requirements_of(tmp_path, odd(), modules=["absent", "absent.inner"])) == ["pyyaml"]


@pytest.mark.parametrize("operations", [b"NN\x93.", b"K\x01\x8c\x01a\x93.", b"\x8c\x02osN\x93.", b"](\x8c\x02os\x8c\x06system\x93e."])
def test_names_that_a_pickle_does_not_spell_out_are_no_module(operations: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.pkl").write_bytes(b"\x80\x04" + operations)
    assert requirements_of(tmp_path) == []


def test_a_package_that_another_one_requires_is_left_out() -> None:
    assert without_implied(["pandas", "numpy", "PyYAML"]) == {"pandas", "pyyaml"}


def test_what_is_found_is_pinned_and_extras_and_all_are_as_given(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0]})
    save_model(tmp_path / "m", python_model=lambda model_input: model_input, input_example=frame)
    assert lines(tmp_path / "m") == [*get_default_pip_requirements(), PANDAS]
    save_model(tmp_path / "n", python_model=lambda model_input: model_input, extra_pip_requirements=["pandas==1.0", "orjson"])
    assert lines(tmp_path / "n") == [*get_default_pip_requirements(), "pandas==1.0", "orjson"]
    save_model(tmp_path / "o", python_model=lambda model_input: model_input, pip_requirements=["numpy<3", "-c limits.txt"][:1])
    assert lines(tmp_path / "o") == ["numpy<3"]
    python = yaml.safe_load((tmp_path / "o" / "python_env.yaml").read_text())
    assert python["dependencies"] == ["-r requirements.txt"] and python["python"].startswith("3.")


def test_files_of_requirements_are_followed_and_constraints_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("# ours\nnumpy  # fast\n-r more.txt\n--constraint=limits.txt\n--index-url https://index/\n")
    (tmp_path / "more.txt").write_text("pandas>=1\\\n,<9\n")
    (tmp_path / "limits.txt").write_text("scipy<2\n")
    assert parsed(tmp_path / "all.txt") == (["numpy", "pandas>=1 ,<9", "--index-url https://index/"], ["scipy<2"])
    save_model(tmp_path / "m", python_model=lambda model_input: model_input, pip_requirements=str(tmp_path / "all.txt"))
    assert lines(tmp_path / "m")[-1] == "-c constraints.txt"
    assert (tmp_path / "m" / "constraints.txt").read_text() == "scipy<2"


def test_a_package_stands_there_once_with_what_says_more() -> None:
    found = environment_of(["mlflow==2.0", "numpy==1.0", "PyYAML", "numpy", "pyyaml==6", "a @ https://x/a.whl", "b; python_version < '3'", "b>1"])
    assert found.requirements == ("mlflow==2.0", "numpy==1.0", "pyyaml==6", "a @ https://x/a.whl", "b; python_version < '3'", "b>1")


def test_a_conda_environment_is_kept_but_for_its_pip_section(tmp_path: Path) -> None:
    given = {"name": "mine", "channels": ["c"], "dependencies": ["python=3.9", "openjdk", {"pip": ["mlflow==2.1", "numpy==1.0"]}]}
    (tmp_path / "conda.yaml").write_text(yaml.safe_dump(given))
    for conda in (given, tmp_path / "conda.yaml", str(tmp_path / "conda.yaml")):
        found = environment_of_conda(conda)
        assert found.requirements == ("mlflow==2.1", "numpy==1.0")
        assert found.conda == {**given, "dependencies": ["python=3.9", "openjdk", "pip", {"pip": ["mlflow==2.1", "numpy==1.0"]}]}
    assert get_default_conda_env()["dependencies"][-1]["pip"][-1:] == get_default_pip_requirements()


@pytest.mark.parametrize("given", [[5], 7])
def test_requirements_that_are_no_strings_are_refused(given: Any) -> None:
    with pytest.raises((ScoringError, TypeError)):
        parsed(given)


def test_what_is_installed_otherwise_is_told() -> None:
    assert mismatches(["pandas", f"pandas=={pd.__version__}", "numpy==0.1; python_version > '3'", "yaml==0", "numpy==1.*"]) == [
        f"yaml 0 ({pinned('pyyaml').partition('==')[2]} here)"
    ]
