"""Models: from a URI to a directory on this machine, its identity, what is known of it, and its packages.

model = fetch("models:/churn@champion")     Model(facts, path): resolved, downloaded, validated, digested
for chunk in TarGz(model.path, expecting=model.digest): ...     the same model, the same bytes
for file in files(model.path): ...          one by one, as a prefix

And under MLflow's names (`mlflow.models`), loaded when used: Model, ModelSignature, infer_signature, set_model and what belongs to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.lazy import lazily
from deployer.models.content import ModelFile, content_digest, files
from deployer.models.example import Example, input_example
from deployer.models.fetching import fetch
from deployer.models.package import Filler, Hashed, Package, Tar, TarGz, gzipped
from deployer.models.uri import candidate_name
from deployer.models.validate import validate

if TYPE_CHECKING:
    from deployer.checks.api import check
    from deployer.models.loading import load, validate_serving_input
    from deployer.models.model import Model
    from deployer.models.scoring import predict
    from deployer_scoring.format.examples import convert_input_example_to_serving_input
    from deployer_scoring.format.inference import infer_signature
    from deployer_scoring.model.code import ModelConfig, set_model
    from deployer_scoring.schema.signature import ModelSignature

__all__ = [
    "Example",
    "Filler",
    "Hashed",
    "Model",
    "ModelConfig",
    "ModelFile",
    "ModelSignature",
    "Package",
    "Tar",
    "TarGz",
    "candidate_name",
    "check",
    "content_digest",
    "convert_input_example_to_serving_input",
    "fetch",
    "files",
    "gzipped",
    "infer_signature",
    "input_example",
    "load",
    "predict",
    "set_model",
    "validate",
    "validate_serving_input",
]

__getattr__ = lazily(
    __name__,
    {
        "Model": "deployer.models.model",
        "ModelConfig": "deployer_scoring.model.code",
        "ModelSignature": "deployer_scoring.schema.signature",
        "check": "deployer.checks.api",
        "convert_input_example_to_serving_input": "deployer_scoring.format.examples",
        "infer_signature": "deployer_scoring.format.inference",
        "load": "deployer.models.loading",
        "predict": "deployer.models.scoring",
        "set_model": "deployer_scoring.model.code",
        "validate_serving_input": "deployer.models.loading",
    },
)
