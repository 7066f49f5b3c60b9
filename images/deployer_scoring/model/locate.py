"""Where the model is in this container: every platform puts it somewhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deployer_scoring.errors import LoadError
from deployer_scoring.model.mlmodel import FILE

SAGEMAKER = Path("/opt/ml/model")
_DEEPEST = 4


def find_model(environ: Mapping[str, str], sagemaker: Path = SAGEMAKER) -> Path:
    """The directory with the MLmodel file: $DEPLOYER_MODEL, else /opt/ml/model, else $AZUREML_MODEL_DIR, or a folder below one of them.

    Azure ML adds the uploaded folder's name as a level, and many a tar for SageMaker has its folder inside.

    Raises:
        LoadError: None of them holds a model, or one holds several.
    """
    roots = [
        ("$DEPLOYER_MODEL", Path(environ["DEPLOYER_MODEL"]) if environ.get("DEPLOYER_MODEL") else None),
        (str(sagemaker), sagemaker),
        ("$AZUREML_MODEL_DIR", Path(environ["AZUREML_MODEL_DIR"]) if environ.get("AZUREML_MODEL_DIR") else None),
    ]
    for name, root in roots:
        if root is not None and (found := _models_below(root)):
            if len(found) > 1:
                raise LoadError(f"there are several models below {name}: {', '.join(map(str, found))}; set DEPLOYER_MODEL to one of them")
            return found[0]
    looked = ", ".join(name if root is None or name == str(root) else f"{name} ({root})" for name, root in roots if root is not None)
    raise LoadError(f"no MLmodel file was found at or below {looked}")


def _models_below(root: Path) -> list[Path]:
    """The model directories nearest to the root: itself, or all at the first level that has any."""
    level = [root]
    for _ in range(_DEEPEST):
        if found := [directory for directory in level if (directory / FILE).is_file()]:
            return found
        level = [Path(entry.path) for directory in level for entry in _folders(directory)]
    return []


def _folders(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted((entry for entry in entries if entry.is_dir()), key=lambda entry: entry.name)
    except OSError:
        return []
