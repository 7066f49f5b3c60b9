"""What Azure's own inference image needs to serve a model: a scoring script, and the model's packages as conda takes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from deployer.core.requirements import MLFLOW, need
from deployer.core.state import ModelFacts, digest_of, short
from deployer_targets.azureml import names
from deployer_targets.azureml.config import AzureMlConfig

FOLDER, FILE, CONDA_FILE = "code", "score.py", "conda.yaml"
BASE_IMAGE = "mcr.microsoft.com/azureml/minimal-py312-inference:latest"
"""Azure's own, which has conda; the model's packages and Python are installed on top of it."""
_SERVER = "azureml-inference-server-http"


def conda(facts: ModelFacts) -> dict[str, Any]:
    """The packages of a model, with Azure's server, and MLflow where the model asks for none: the script loads it with that."""
    asked = {need(each).name for each in facts.requirements}
    more = ([] if asked & MLFLOW else ["mlflow"]) + ([] if _SERVER in asked else [_SERVER])
    python = [f"python={facts.python_version}"] if facts.python_version else ["python"]
    return {"name": "model", "channels": ["conda-forge"], "dependencies": [*python, "pip", {"pip": [*facts.requirements, *more]}]}


def environment_version(image: str, packages: Mapping[str, Any]) -> str:
    return short(digest_of([image, packages]))


def deployment_name(facts: ModelFacts, environment: str, config: AzureMlConfig) -> str:
    """What a deployment is called, as a generation is: by all that another one is needed for. The variables have no part in it."""
    return names.deployment_of(short(digest_of([facts.digest, environment, config.revision(""), text()])))


def needs(facts: ModelFacts) -> tuple[str, ...]:
    """What conda's file can't carry."""
    own = (*facts.beside, *(each for each in facts.requirements if need(each).url))
    return (f"the model's environment has more than an index: {', '.join(own)}; see to it in {CONDA_FILE}",) if own else ()


def text() -> str:
    return files("deployer_targets.azureml").joinpath("score.py.txt").read_text()
