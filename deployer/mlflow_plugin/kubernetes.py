"""`deployer-kubernetes` for MLflow."""

from deployer.mlflow_plugin.client import MLflowClient, door

run_local, target_help = door("kubernetes")

__all__ = ["MLflowClient", "run_local", "target_help"]
