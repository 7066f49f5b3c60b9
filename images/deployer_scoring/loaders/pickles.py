"""Pickled and skops-saved objects, read in the format that the flavor names."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployer_scoring.errors import LoadError
from deployer_scoring.loaders.deferred import load_skops
from deployer_scoring.loaders.loaded import Unusual

# MLflow's switch for who doesn't want code from models to run; skops files name the types that they trust themselves.
_ALLOWED = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"


def read_object(path: Path, flavor: Mapping[str, Any], default: str) -> Any:
    """The object in a file that a flavor of scikit-learn's kind saved.

    Args:
        path: The file.
        flavor: The flavor's entry in the MLmodel; its `serialization_format` is pickle, cloudpickle or skops, and `skops_trusted_types`
            are the types beside skops's own that may be made.
        default: The format where the flavor names none.

    Raises:
        LoadError: The environment forbids it.
        Unusual: The format is another one.
    """
    refuse_forbidden(path)
    form = flavor.get("serialization_format", default)
    if form == "skops":
        return load_skops(path, flavor.get("skops_trusted_types"))
    if form not in {"pickle", "cloudpickle"}:
        raise Unusual(f"the serialization format is {form}")
    with path.open("rb") as file:
        return pickle.load(file)  # cloudpickle's pickles, too: they import cloudpickle themselves


def refuse_forbidden(path: Path) -> None:
    """Raise LoadError where MLFLOW_ALLOW_PICKLE_DESERIALIZATION says that no pickle may be loaded."""
    if os.environ.get(_ALLOWED, "true").lower() not in {"true", "1"}:
        raise LoadError(f"{path.name} can run code while it is loaded, and {_ALLOWED} forbids that; set it to true for models that you trust")
