"""Where the container looks for its model."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer_scoring.errors import LoadError
from deployer_scoring.model.locate import find_model


def put(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "MLmodel").write_text("")
    return directory


def test_the_model_is_looked_for_in_order_and_below(tmp_path: Path) -> None:
    own, sagemaker, azure = tmp_path / "own", tmp_path / "opt", tmp_path / "azure"
    environ = {"DEPLOYER_MODEL": str(own), "AZUREML_MODEL_DIR": str(azure)}
    with pytest.raises(LoadError, match=r"no MLmodel file was found at or below \$DEPLOYER_MODEL"):
        find_model(environ, sagemaker)
    found = put(azure / "folder" / "model")
    assert find_model(environ, sagemaker) == found
    found = put(sagemaker)
    assert find_model(environ, sagemaker) == found
    found = put(own / "inside")
    assert find_model(environ, sagemaker) == found


def test_two_models_side_by_side_are_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path / "a")
    put(tmp_path / "b")
    with pytest.raises(LoadError, match=r"several models below \$DEPLOYER_MODEL"):
        find_model({"DEPLOYER_MODEL": str(tmp_path)}, tmp_path / "absent")
