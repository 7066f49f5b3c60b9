"""A local Azure with a scoring image in its registry, and Azure's own API to look at it behind the target's back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import requests

import deployer_localstack as localstack
from deployer.conformance import Origin
from deployer.core.state import DeploymentName
from deployer.oci import general_tag
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.target import AzureMl
from tests.local_clouds import MINOR, CloudHere, ScorerPlace

_ML = "Microsoft.MachineLearningServices"
_GROUPS = "providers/Microsoft.ContainerInstance/containerGroups"
_PLACE = "/subscriptions/00000000-0000-4000-8000-00000000000c/resourceGroups/local"
PULLER = f"{_PLACE}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
"""The identity by which container groups pull."""


class WorkspaceSight:
    """A workspace as Azure's own API tells of it, behind the target's back.

    Attributes:
        manager: the address of Resource Manager.
        workspace: its ARM id.
    """

    def __init__(self, manager: str, workspace: str, session: requests.Session) -> None:
        self.manager, self.workspace, self.session = manager, workspace, session

    def token(self, audience: str) -> str:
        raise NotImplementedError

    def arm(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """A call to Resource Manager, below the workspace; None where it says that there is no such thing."""
        url = f"{self.manager}{self.workspace}" + (f"/{path}" if path else "")
        return self._asked(method, url, body, {"api-version": "2024-04-01", **query})

    def groups(self, method: str, path: str = "", body: Any = None) -> Any:
        """A call to Azure Container Instances; None where it says that there is no such thing."""
        return self._asked(method, f"{self.manager}{self.workspace.partition('/providers/')[0]}/{_GROUPS}{path}", body, {"api-version": "2023-05-01"})

    def _asked(self, method: str, url: str, body: Any, query: Mapping[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self.token(self.manager)}"}
        for _ in range(20):
            answer = self.session.request(method, url, json=body, headers=headers, params=query)
            if answer.status_code not in (429, 503):
                break
            time.sleep(0.2)
        if answer.status_code == 404:
            return None
        assert answer.ok, answer.text
        return answer.json() if answer.content else {}

    def all(self, path: str, **query: str) -> list[Any]:
        """The elements of a list, none where there is no such thing."""
        return list((self.arm("GET", path, **{"$top": "1000", **query}) or {}).get("value", ()))

    def blobs(self, prefix: str) -> list[str]:
        """The names of blobs in the workspace's store."""
        raise NotImplementedError

    def wait(self, path: str) -> None:
        """Until what is at a path is made."""
        for _ in range(300):
            if (state := self.arm("GET", path)["properties"]["provisioningState"]) not in ("Creating", "Updating"):
                assert state == "Succeeded", state
                return
            time.sleep(0.1)
        raise AssertionError(f"{path} takes too long")

    def everything_of(self, name: str) -> tuple[str, ...]:
        """All that is there because of a deployment, "kind/name"; assets that are archived left out: Azure removes none."""
        found = (
            [f"endpoint/{name}"] if (endpoint := self.arm("GET", f"onlineEndpoints/{name}")) and endpoint["tags"].get("deployer-deployment") else []
        )
        found += [f"deployment/{each['name']}" for each in self.all(f"onlineEndpoints/{name}/deployments") if each["name"] != "theirs"]
        if (group := self.groups("GET", f"/{name}")) and group["tags"].get("deployer-deployment"):
            found.append(f"group/{name}")
        for kind in ("models", "environments"):
            found += [f"{kind}/{each['name']}" for each in self.all(f"{kind}/deployer-{name}/versions")]
        collected = [each["name"] for each in self.all("data") if each["name"].startswith(f"{name}-") and self.all(f"data/{each['name']}/versions")]
        return tuple(sorted([*found, *(f"data/{each}" for each in collected), *self._below(f"deployer/{name}/")]))

    def everything_behind(self, endpoint: str, name: str) -> tuple[str, ...]:
        """The same of a deployment behind an endpoint."""
        deployment = self.arm("GET", f"onlineEndpoints/{endpoint}/deployments/{name}")
        found = [f"deployment/{name}"] if deployment and deployment["tags"].get("deployer-generation") else []
        for kind in ("models", "environments"):
            found += [f"{kind}/{each['name']}" for each in self.all(f"{kind}/deployer-{endpoint}_{name}/versions")]
        return tuple(sorted([*found, *self._below(f"deployer-endpoints/{endpoint}/{name}/")]))

    def _below(self, prefix: str) -> list[str]:
        """Blobs by their kind: the first part of what follows a prefix."""
        parts = [blob.removeprefix(prefix).partition("/") for blob in self.blobs(prefix)]
        return [f"{kind}/{rest}" for kind, _, rest in parts]


class AzureHere(WorkspaceSight, CloudHere):
    """A running local Azure."""

    uri = "azureml"

    def __init__(self, directory: Path) -> None:
        CloudHere.__init__(self, directory)
        session = requests.Session()
        session.verify, session.trust_env = self.environment["REQUESTS_CA_BUNDLE"], False
        WorkspaceSight.__init__(self, self.environment["AZURE_AUTHORITY_HOST"], f"{_PLACE}/providers/{_ML}/workspaces/local", session)
        self.target = AzureMl()
        self._tokens: dict[str, str] = {}

    def connect(self, uri: str = "", **options: Any) -> AzureMlCloud:
        found: AzureMlCloud = super().connect(uri, **options)
        return found

    def blobs(self, prefix: str) -> list[str]:
        """The names of blobs in the workspace's store."""
        from xml.etree import ElementTree

        store = f"{self.manager}/deployerlocal/azureml-blobstore-local"
        headers = {"Authorization": f"Bearer {self.token('https://storage.azure.com')}", "x-ms-version": "2021-12-02"}
        answer = self.session.get(store, params={"restype": "container", "comp": "list", "prefix": prefix}, headers=headers)
        assert answer.ok, answer.text
        return [str(each.text) for each in ElementTree.fromstring(answer.content).iter("Name")]

    def put_blob(self, blob: str, content: bytes) -> None:
        headers = {"Authorization": f"Bearer {self.token('https://storage.azure.com')}", "x-ms-version": "2021-12-02", "x-ms-blob-type": "BlockBlob"}
        answer = self.session.put(f"{self.manager}/deployerlocal/azureml-blobstore-local/{blob}", data=content, headers=headers)
        assert answer.ok, answer.text

    @contextmanager
    def named(self) -> Iterator[None]:
        """While it lasts, this process's environment names this cloud and no other."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def token(self, audience: str) -> str:
        if audience not in self._tokens:
            form = {
                "grant_type": "client_credentials",
                "client_id": self.environment["AZURE_CLIENT_ID"],
                "client_secret": self.environment["AZURE_CLIENT_SECRET"],
                "scope": f"{audience}/.default",
            }
            answer = self.session.post(f"{self.manager}/{self.environment['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form)
            self._tokens[audience] = str(answer.json()["access_token"])
        return self._tokens[audience]


class AzureMlPlace(ScorerPlace):
    """Azure ML's online endpoints, for the contract."""

    options: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 120}
    generation_option: Mapping[str, Any] = {"instance_type": "Standard_F4s_v2"}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    shortest, longest = "abc", "c" * 32
    stride = 4

    here: AzureHere

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        control = self.here.control
        called = {
            (entry["service"], entry["operation"]) for entry in control.journal() if entry["service"] in ("arm", "storage", "entra", "metadata")
        }
        for service, operation in sorted(called):
            control.add_fault("throttle", service=service, operation=operation, count=1)
        try:
            yield
            assert sum(fault["hits"] for fault in control.faults()) > 15
        finally:
            control.clear_faults()

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        with self.here.settings(azure_endpoint_seconds=seconds):
            yield

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        here, plain = self.here, {"authMode": "Key", **self.theirs_is_on()}
        here.arm("PUT", f"onlineEndpoints/{name}", {"location": "eastus", "properties": plain})
        self.theirs(f"onlineEndpoints/{name}/deployments/theirs")
        here.arm("PUT", f"onlineEndpoints/{name}", {"location": "eastus", "properties": {**plain, "traffic": {"theirs": 100}}})
        here.wait(f"onlineEndpoints/{name}")
        yield lambda: here.arm("GET", f"onlineEndpoints/{name}")["properties"]["traffic"] == {"theirs": 100}
        here.arm("DELETE", f"onlineEndpoints/{name}")

    def theirs_is_on(self) -> dict[str, str]:
        """What somebody else's endpoint says of where it is; nothing, where it is managed."""
        return {}

    def theirs(self, path: str) -> None:
        """A deployment there that isn't ours, and serves."""
        here = self.here
        routes = {route: {"port": 8080, "path": "/ping"} for route in ("livenessRoute", "readinessRoute", "scoringRoute")}
        environment = here.arm("PUT", "environments/theirs/versions/1", {"properties": {"image": self.other_image, "inferenceConfig": routes}})
        folder = "LocalUpload/theirs"
        here.put_blob(f"{folder}/factor.txt", b"7")
        model = here.arm("PUT", "models/theirs/versions/1", {"properties": {"modelUri": f"azureml://datastores/workspaceblobstore/paths/{folder}"}})
        size = {"endpointComputeType": "Kubernetes"} if self.theirs_is_on() else {"instanceType": "Standard_F2s_v2"}
        body = {**size, "environmentId": environment["id"], "model": model["id"]}
        here.arm("PUT", path, {"location": "eastus", "properties": body})
        here.wait(path)


class BehindAzureEndpoint(AzureMlPlace):
    """Several named deployments behind one endpoint."""

    endpoint = "conformance-shared"

    def connect(self) -> AzureMlCloud:
        return self.here.target.behind(self.endpoint, self.here.connect())

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        return self.here.everything_behind(self.endpoint, name)

    def origin(self) -> Origin:
        return replace(super().origin(), endpoint=self.endpoint)

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        with self.here.settings(azure_deployment_seconds=seconds):  # the endpoint has no part in one
            yield

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        path = f"onlineEndpoints/{self.endpoint}/deployments/{name}"
        self.theirs(path)
        yield lambda: not self.here.arm("GET", path)["tags"]
        if not self.here.arm("GET", path)["tags"]:
            self.here.arm("DELETE", path)


@contextmanager
def running(directory: Path) -> Iterator[AzureHere]:
    """A local Azure of its own, with a scoring image, in this process's environment."""
    try:
        localstack.up(
            localstack.StartOptions(directory=directory, port=0, runtime="process", registry="python", commands=True, azure=True, azure_port=0)
        )
        here = AzureHere(directory)
        here.control.settings(azure_retry_after_seconds=0.2, azure_drain_seconds=5.0)
        with here.named():
            here.push(general_tag(MINOR))
            yield here
    finally:
        localstack.down(directory)
