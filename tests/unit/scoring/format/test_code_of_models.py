"""The user's code in a model: guarded where it imports this package, found where asked to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from deployer_scoring.errors import ScoringError
from deployer_scoring.format.code import copy_code, make_portable
from deployer_scoring.format.loading import load_model
from deployer_scoring.format.own_code import copy_own_code
from deployer_scoring.format.saving import save_model


def guarded(source: str, tmp_path: Path) -> str:
    file = tmp_path / "source.py"
    file.write_text(source)
    make_portable(file)
    return file.read_text()


@pytest.mark.parametrize(
    ("statement", "other"),
    [
        ("from deployer.pyfunc import PythonModel", "from mlflow.pyfunc import PythonModel"),
        ("from deployer.models import ModelSignature as S, infer_signature", "from mlflow.models import ModelSignature as S, infer_signature"),
        ("import deployer.pyfunc", "import mlflow.pyfunc; import mlflow as deployer"),
        ("import deployer.pyfunc as pyfunc", "import mlflow.pyfunc as pyfunc"),
        ("from deployer import pyfunc", "from mlflow import pyfunc"),
        ("import deployer as mlflow", "import mlflow as mlflow"),
        ("from deployer.types.schema import Schema", "from mlflow.types.schema import Schema"),
    ],
)
def test_an_import_of_ours_gets_mlflow_s_where_we_are_absent(tmp_path: Path, statement: str, other: str) -> None:
    assert guarded(f"'''doc'''\n{statement}\nx = 1\n", tmp_path) == (
        f"'''doc'''\ntry:\n    {statement}\nexcept ModuleNotFoundError:\n    {other}\nx = 1\n"
    )


def test_imports_within_functions_and_over_lines_are_guarded_too(tmp_path: Path) -> None:
    source = "def f():\n    from deployer.pyfunc import (\n        PythonModel,\n    )\n    return PythonModel\n"
    changed = guarded(source, tmp_path)
    assert "    try:\n        from deployer.pyfunc import PythonModel\n    except ModuleNotFoundError:\n        from mlflow.pyfunc" in changed
    compile(changed, "source.py", "exec")


@pytest.mark.parametrize(
    "source",
    [
        "import json\nx = 'deployer.pyfunc'\n",
        "from deployer import get_deploy_client\n",
        "from deployer.errors import DeployerError\n",
        "import json; import deployer.pyfunc\n",
        "def broken(:\n# deployer.pyfunc\n",
        "try:\n    import deployer.pyfunc\nexcept ImportError:\n    pass\n",
        "from .deployer.pyfunc import x\n",
    ],
)
def test_everything_else_stays_as_it_is(tmp_path: Path, source: str) -> None:
    assert guarded(source, tmp_path) == source


def test_folders_and_files_are_copied_without_bytecode(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("from deployer.pyfunc import PythonModel\n")
    (package / "__pycache__" / "x.pyc").touch()
    (tmp_path / "model").mkdir()
    copy_code([str(package)], tmp_path / "model")
    assert sorted(str(file.relative_to(tmp_path / "model")) for file in (tmp_path / "model").rglob("*")) == [
        "code",
        "code/mine",
        "code/mine/__init__.py",
    ]
    assert (tmp_path / "model" / "code" / "mine" / "__init__.py").read_text().startswith("try:")
    with pytest.raises(ScoringError, match="two of code_paths are called mine"):
        copy_code([str(package)], tmp_path / "model")


def test_the_project_s_own_modules_are_found_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "house" / "rooms").mkdir(parents=True)
    (project / "house" / "__init__.py").touch()
    (project / "house" / "rooms" / "__init__.py").write_text("from house.walls import height\n")
    (project / "house" / "walls.py").write_text("import json\nheight = 3\n")
    (project / "house" / "secrets.py").write_text("password = 1\n")
    (project / "loader.py").write_text("import house.rooms\n")
    monkeypatch.chdir(project)
    (tmp_path / "model").mkdir()
    copy_own_code(tmp_path / "model", None, ["loader"])
    found = sorted(str(file.relative_to(tmp_path / "model" / "code")) for file in (tmp_path / "model" / "code").rglob("*.py"))
    assert found == ["house/__init__.py", "house/rooms/__init__.py", "house/walls.py", "loader.py"]


def test_inferred_code_makes_a_model_that_loads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_own_module.py").write_text(
        "from deployer.pyfunc import PythonModel\nclass M(PythonModel):\n    def predict(self, context, model_input): return 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    model: Any = __import__("an_own_module").M()
    save_model(tmp_path / "m", python_model=model, infer_code_paths=True)
    del sys.modules["an_own_module"]
    monkeypatch.undo()
    paths = [*sys.path]
    try:
        assert load_model(tmp_path / "m").predict([5]) == 1
        assert Path(sys.modules["an_own_module"].__file__ or "").parent == tmp_path / "m" / "code"
    finally:
        sys.path[:] = paths
        sys.modules.pop("an_own_module", None)
