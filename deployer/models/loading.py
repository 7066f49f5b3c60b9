"""Models in memory: as a Python function, or in the form of the library that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deployer.artifacts.fetching import fetch


def load(model_uri: str | Path, flavor: str = "python_function") -> Any:
    """Load a model in one of its forms.

    Args:
        model_uri: Any URI that deploys.
        flavor: `python_function` gives a PyFuncModel; `sklearn`, `xgboost` and whatever else the MLmodel lists give the library's own object.

    Raises:
        MLModelError: The model has no such flavor.
        LoadError: It can't be loaded here: its library isn't installed, say.
        ConfigInvalid, ModelNotFound, ModelInvalid, ExtraMissing, ...: as `deployer.artifacts.fetch`.
    """
    directory = fetched(model_uri)
    if flavor == "python_function":
        from deployer_scoring.format.loading import load_model

        return load_model(directory)
    from deployer_scoring.loaders.own_form import load_own_form

    return load_own_form(directory, flavor)


def fetched(model_uri: str | Path) -> Path:
    """The model's directory on this machine; raises what `deployer.artifacts.fetch` raises."""
    path = fetch(str(model_uri)).path
    assert path is not None  # what was fetched is here
    return path


def validate_serving_input(model_uri: str | Path, serving_input: str | dict[str, Any]) -> Any:
    """The prediction for the body of a request to /invocations, read and held against the signature as a server does it.

    Args:
        model_uri: Any URI that deploys.
        serving_input: JSON, or the dictionary that it is of.

    Raises:
        InvalidInput: A server would answer it with an error; this is its message.
        LoadError: The model can't be loaded here.
    """
    from deployer_scoring.format.serving import predict_request

    body = serving_input if isinstance(serving_input, str) else json.dumps(serving_input)
    return predict_request(fetched(model_uri), body.encode())
