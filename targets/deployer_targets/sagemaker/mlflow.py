"""`deployer-sagemaker` for MLflow."""

from deployer_targets.mlflow_client import MLflowClient, door

run_local, target_help = door("sagemaker")

__all__ = ["MLflowClient", "run_local", "target_help"]
