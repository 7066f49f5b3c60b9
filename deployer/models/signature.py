"""Signatures, where MLflow has them too (`mlflow.models.signature`)."""

from deployer_scoring.format.inference import infer_signature
from deployer_scoring.schema.signature import ModelSignature

__all__ = ["ModelSignature", "infer_signature"]
