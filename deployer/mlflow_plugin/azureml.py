"""`deployer-azureml` for MLflow. A script for azureml-mlflow's client works with it once its target is changed: config files and `df=` as there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.mlflow_plugin import client
from deployer.mlflow_plugin.azureml_files import deployment_options, endpoint_options

run_local, target_help = client.door("azureml")

__all__ = ["AzureMLflowClient", "run_local", "target_help"]


class AzureMLflowClient(client.MLflowClient):
    """MLflow's client, with what azureml-mlflow's takes beside it: `deploy-config-file`, `endpoint-config-file`, `df`, `delete_empty_endpoint`."""

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> dict[str, Any]:
        with client.mlflows_errors():
            options = deployment_options(config)
        return super().create_deployment(name, model_uri, flavor, options, endpoint)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        with client.mlflows_errors():
            options = deployment_options(config)
        return super().update_deployment(name, model_uri, flavor, options, endpoint)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None, *, delete_empty_endpoint: bool = False
    ) -> None:
        super().delete_deployment(name, config, endpoint)
        if delete_empty_endpoint and endpoint and not self.list_deployments(endpoint):
            self.delete_endpoint(endpoint)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Those behind an endpoint; where none is named, all: those of their own, and those behind each endpoint."""
        found = super().list_deployments(endpoint)
        if endpoint is None:
            for each in self.list_endpoints():
                found += super().list_deployments(each["name"])
        return found

    def predict(self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None, *, df: Any = None) -> Any:
        """The answer as MLflow's own clients have it; for `df`, a DataFrame, as azureml-mlflow's has it."""
        answer = super().predict(deployment_name, inputs if df is None else df, endpoint)
        return answer if df is None else answer.get_predictions()  # type: ignore[no-untyped-call]  # MLflow has no types for it

    def create_endpoint(self, name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with client.mlflows_errors():
            options = endpoint_options(config)
        return super().create_endpoint(name, options)

    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with client.mlflows_errors():
            options = endpoint_options(config)
        return super().update_endpoint(endpoint, options)
