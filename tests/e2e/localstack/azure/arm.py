"""Azure Resource Manager by plain HTTP: for what no SDK lets one ask."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx

import deployer_localstack as localstack

_VERSION = "2023-04-01-preview"


class Arm:
    """Somebody with a token, in the workspace of a local cloud."""

    def __init__(self, status: localstack.CloudStatus) -> None:
        self.variables = localstack.environment(status.directory)
        self.url = status.azure
        self.http = httpx.Client(verify=ssl.create_default_context(cafile=status.azure_trust), trust_env=False)
        names = [self.variables[f"AZUREML_ARM_{part}"] for part in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
        self.workspace = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}".format(*names)
        self.token = self.new_token(f"{status.azure}/.default")

    def new_token(self, scope: str, **changes: str) -> str:
        return str(self.asked_token(scope, **changes).raise_for_status().json()["access_token"])

    def asked_token(self, scope: str, **changes: str) -> httpx.Response:
        form = {"client_id": self.variables["AZURE_CLIENT_ID"], "client_secret": self.variables["AZURE_CLIENT_SECRET"], "scope": scope}
        form |= {"grant_type": "client_credentials", **changes}
        return self.http.post(f"{self.url}/{self.variables['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form)

    def ask(self, method: str, path: str, document: Any = None, **query: str) -> httpx.Response:
        """What a path below the workspace answers."""
        address = f"{self.url}{self.workspace}{path}"
        parameters = {"api-version": _VERSION, **query}
        return self.http.request(method, address, params=parameters, json=document, headers={"Authorization": f"Bearer {self.token}"})

    def follow(self, begun: httpx.Response) -> Mapping[str, Any]:
        """How an operation ended."""
        assert begun.is_success, begun.text
        while True:
            told = self.http.get(begun.headers["Azure-AsyncOperation"], headers={"Authorization": f"Bearer {self.token}"}).raise_for_status()
            if told.json()["status"] != "InProgress":
                return dict(told.json())
            time.sleep(float(told.headers["Retry-After"]) / 20)

    def endpoint(self, name: str, **properties: Any) -> httpx.Response:
        return self.ask("PUT", f"/onlineEndpoints/{name}", {"location": "eastus", "properties": {"authMode": "Key", **properties}})

    def deployment(self, endpoint: str, name: str, image: str, **properties: Any) -> httpx.Response:
        """One without a model."""
        routes = {f"{each}Route": {"port": 8080, "path": "/ping"} for each in ("liveness", "readiness")}
        environment = {"image": image, "inferenceConfig": {**routes, "scoringRoute": {"port": 8080, "path": "/invocations"}}}
        self.ask("PUT", f"/environments/{endpoint}/versions/1", {"properties": environment}).raise_for_status()
        given = {"environmentId": f"{self.workspace}/environments/{endpoint}/versions/1", "instanceType": "Standard_DS3_v2", **properties}
        document = {"location": "eastus", "sku": {"name": "Default", "capacity": 1}, "properties": {"endpointComputeType": "Managed", **given}}
        return self.ask("PUT", f"/onlineEndpoints/{endpoint}/deployments/{name}", document)

    def score(self, endpoint: str, text: str, path: str = "/invocations", **headers: str) -> httpx.Response:
        key = self.ask("POST", f"/onlineEndpoints/{endpoint}/listKeys").json()["primaryKey"]
        return self.http.post(
            f"{self.url}/inference/{endpoint}{path}", content=text, headers={"Authorization": f"Bearer {key}", **headers}, timeout=30
        )
