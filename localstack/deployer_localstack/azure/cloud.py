"""The local Azure, built."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import Any

import certifi

from deployer_localstack.azure.account import BLOB_CONTAINER, HOME, STORAGE_ACCOUNT
from deployer_localstack.azure.aci.api import ContainerGroups
from deployer_localstack.azure.aci.dataplane import GroupDataplane
from deployer_localstack.azure.arm.access import Access
from deployer_localstack.azure.arm.api import ResourceManager
from deployer_localstack.azure.arm.computes import Computes
from deployer_localstack.azure.arm.deployments import OnlineDeployments
from deployer_localstack.azure.arm.endpoints import OnlineEndpoints
from deployer_localstack.azure.arm.quotas import Quotas
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.dataplane import AzureDataplane
from deployer_localstack.azure.entra import Entra
from deployer_localstack.azure.gateway import Gateway
from deployer_localstack.azure.images import ContainerRegistry
from deployer_localstack.azure.metrics import EndpointMetrics
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.scoring import Scoring
from deployer_localstack.azure.settings import AzureSettings
from deployer_localstack.azure.storage.api import BlobService
from deployer_localstack.azure.storage.signatures import Signatures
from deployer_localstack.azure.storage.store import BlobStore
from deployer_localstack.control.faults import FaultRules
from deployer_localstack.control.gate import Gate
from deployer_localstack.control.journal import Journal
from deployer_localstack.http.certificates import Authority
from deployer_localstack.http.server import Server
from deployer_localstack.options import StartOptions
from deployer_localstack.registry.upstream import Upstream


class Azure:
    """A running local Azure: everything behind one port, on TLS by an authority of its own."""

    def __init__(self, options: StartOptions, registry: Upstream, journal: Journal, faults: FaultRules) -> None:
        """Build it; its images are kept by the registry that AWS's are kept by."""
        self.settings = AzureSettings()
        self._workspace, self._store = Workspace(HOME), BlobStore(options.directory / "blobs")
        self._entra = entra = Entra(self.settings)
        self._federated = options.directory / "federated-token"
        self._registry, self._operations = ContainerRegistry(options, registry, entra), Operations()
        dataplane = AzureDataplane(options.directory, self.settings, self._registry, self._store)
        quotas, access = Quotas(self.settings, self._workspace), Access(self.settings, self._registry.host)
        endpoints = OnlineEndpoints(self.settings, self._operations, entra, quotas)
        deployments = OnlineDeployments(self.settings, self._operations, dataplane, quotas, access)
        self._metrics, self._computes = EndpointMetrics(), Computes(self.settings, self._operations)
        parts = (endpoints.operations, deployments.operations, self._metrics.operations, self._computes.operations)
        self._groups = ContainerGroups(self.settings, self._operations, GroupDataplane(options.directory, self.settings, self._registry))
        elsewhere = {**self._groups.operations, **quotas.operations, **access.operations}
        manager = ResourceManager(self.settings, self._workspace, self._operations, *parts, elsewhere=elsewhere)
        scoring = Scoring(self.settings, self._workspace, entra, self._metrics)
        gateway = Gateway(entra, manager, BlobService(self._store, entra, Signatures(lambda: self._workspace.storage_key)), scoring)
        authority = Authority.kept(options.directory, "deployer local Azure")
        self._bundle = options.directory / "trusted.pem"
        self._bundle.write_bytes(authority.certificate + _trusted_already(self._bundle))
        self._server = Server(options.azure_port, Gate(gateway, journal=journal, faults=faults), tls=authority.server_context())
        self.ports = [self._server.port, self._registry.front.port]
        self.url = gateway.url = entra.url = f"https://127.0.0.1:{self._server.port}"

    def start(self) -> None:
        self._furnish()
        self._federated.write_text(self._entra.federated_token())
        self._registry.front.start("azure registry")
        self._server.start("azure endpoint")

    def health(self) -> dict[str, Any]:
        files = {"azure_trust": str(self._bundle), "azure_federated": str(self._federated)}
        return {"azure": self.url, **files, "azure_registry": self._registry.host}

    def holds(self) -> dict[str, int]:
        """What going down or a reset forgets, by kind."""
        return {**self._workspace.holds(), **self._groups.holds(), **self._store.holds()}

    def reset(self) -> None:
        self._end()
        self._operations.reopen()
        self._workspace.clear()
        self._store.clear()
        self._registry.clear()
        self._metrics.clear()
        self._furnish()

    def stop(self) -> None:
        self._server.shutdown()
        self._registry.front.shutdown()
        self._end()

    def _end(self) -> None:
        """All containers, and what waits for them, at once."""
        self._operations.close()
        self._groups.clear()
        with self._workspace.lock:
            serving = [each.serving for endpoint in self._workspace.endpoints.values() for each in endpoint.deployments.values() if each.serving]
        stopping = [threading.Thread(target=each.container.stop, args=(2.0,)) for each in serving]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(15)

    def _furnish(self) -> None:
        """What a workspace has from the start."""
        self._store.create(STORAGE_ACCOUNT, BLOB_CONTAINER)
        if self.settings.azure_compute:
            self._computes.attach(self._workspace, self.settings.azure_compute)


def _trusted_already(bundle: Path) -> bytes:
    """What is trusted beside our authority, by requests and by OpenSSL: the variables that will name the bundle name nothing else."""
    named = {"REQUESTS_CA_BUNDLE": certifi.where(), "SSL_CERT_FILE": ssl.get_default_verify_paths().cafile or ""}
    chosen = (own if (own := os.environ.get(name, "")) and Path(own) != bundle else usual for name, usual in named.items())
    return b"".join(Path(file).read_bytes() for file in dict.fromkeys(chosen) if file and Path(file).is_file())
