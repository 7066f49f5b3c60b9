"""Models for those who make, check and try them, under MLflow's names (`mlflow.models`); each is loaded when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.lazy import lazily

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
    "Model",
    "ModelConfig",
    "ModelSignature",
    "check",
    "convert_input_example_to_serving_input",
    "infer_signature",
    "load",
    "predict",
    "set_model",
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
