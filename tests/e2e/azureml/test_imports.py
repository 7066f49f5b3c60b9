"""What commands import: azure.ai.ml takes seconds, and none of ours pays for it, whether it is installed or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.azureml import AzureHere
from tests.local_clouds import QUESTION, model_in

NAMED = ("-t", "azureml", "-n", "lean")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A file that is there once somebody has imported the azure.ai.ml of the folder `seen`."""
    package = tmp_path / "seen" / "azure" / "ai" / "ml"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'told')!r}).touch()\n")
    return tmp_path / "told"


def python(told: Path, *arguments: str) -> str:
    paths = os.pathsep.join([str(told.parent / "seen"), *(each for each in sys.path if each)])
    found = subprocess.run([sys.executable, *arguments], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_no_verb_imports_azure_ai_ml(here: AzureHere, told: Path, tmp_path: Path) -> None:
    model_in(tmp_path / "doubler", 2)
    (tmp_path / "body.json").write_bytes(QUESTION.body)
    for verb in (
        ("create", *NAMED, "-m", str(tmp_path / "doubler")),
        ("list", "-t", "azureml"),
        ("get", *NAMED),
        ("predict", *NAMED, "-i", str(tmp_path / "body.json")),
        ("logs", *NAMED),
        ("delete", *NAMED),
    ):
        python(told, "-c", "import sys; from deployer.cli import main; sys.exit(main())", *verb)
        assert not told.exists(), verb[0]
    python(told, "-c", "import azure.ai.ml")
    assert told.exists(), "who imports it is seen"
