"""The target in memory with endpoints that several deployments share, as MLflow's `endpoint=` has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.core.plan import Plan
from deployer.core.state import DeploymentName, Observed
from deployer.core.target import DeploymentRequest, DeploymentSpec, Payload, Summary, TargetUri
from deployer.errors import Conflict, DeploymentNotFound
from docs.examples.memory_cloud import Cloud
from docs.examples.memory_target import Client, Memory, Options


@dataclass
class SharedCloud(Cloud):
    """A cloud, or what is behind one of its endpoints. `claims` are of endpoints, since traffic is theirs."""

    endpoint: str | None = None
    behind: dict[str, SharedCloud] = field(default_factory=dict)
    claims: list[str | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SharedClient(Client):
    cloud: SharedCloud


CLOUDS: dict[str, SharedCloud] = {}


class Shared(Memory):
    """The target."""

    scheme = "shared"

    def connect(self, uri: TargetUri, config: Options) -> SharedClient:
        return SharedClient(CLOUDS.setdefault(uri.path, SharedCloud()))

    def behind(self, endpoint: str, cloud: SharedClient) -> SharedClient:
        return replace(cloud, cloud=cloud.cloud.behind.setdefault(endpoint, SharedCloud(endpoint=endpoint)))

    def claim(self, name: DeploymentName, cloud: SharedClient, config: Options) -> Client:  # type: ignore[override]
        cloud.cloud.claims.append(cloud.cloud.endpoint)
        return super().claim(name, cloud, config)

    def observe(self, name: DeploymentName, cloud: SharedClient) -> Observed | None:  # type: ignore[override]
        found = super().observe(name, cloud)
        return replace(found, endpoint=cloud.cloud.endpoint) if found else None

    def resolve(self, request: DeploymentRequest[Options], observed: Observed | None, cloud: SharedClient) -> DeploymentSpec[Options]:  # type: ignore[override]
        if request.endpoint != cloud.cloud.endpoint:
            raise Conflict(f"asked for {request.endpoint}, and looked at {cloud.cloud.endpoint}")
        return super().resolve(request, observed, cloud)

    def plan(self, spec: DeploymentSpec[Options], observed: Observed | None) -> Plan[Client]:
        if observed is not None and observed.endpoint != spec.endpoint:
            raise Conflict(f"planned for {spec.endpoint}, and observed {observed.endpoint}")
        return super().plan(spec, observed)

    def list(self, cloud: SharedClient) -> Iterator[Summary]:  # type: ignore[override]
        yield from (replace(each, endpoint=cloud.cloud.endpoint) for each in super().list(cloud))

    def explain(self, name: DeploymentName, inputs: Any, cloud: SharedClient) -> Any:
        if self.observe(name, cloud) is None:
            raise DeploymentNotFound(f"there is no deployment {name}")
        return {"endpoint": cloud.cloud.endpoint}

    def create_endpoint(self, endpoint: str, config: Options, cloud: SharedClient) -> Any:
        return {"name": self.behind(endpoint, cloud).cloud.endpoint}

    def update_endpoint(self, endpoint: str, config: Options, cloud: SharedClient) -> Any:
        return self.get_endpoint(endpoint, cloud)

    def delete_endpoint(self, endpoint: str, cloud: SharedClient) -> bool:
        return cloud.cloud.behind.pop(endpoint, None) is not None

    def endpoint_options(self) -> type[Options]:
        return Options

    def predict_by_traffic(self, endpoint: str, payload: Payload, cloud: SharedClient) -> Payload:
        behind = self.behind(endpoint, cloud)
        return self.predict(next(each.name for each in self.list(behind)), payload, behind)

    def list_endpoints(self, cloud: SharedClient) -> Any:
        return [{"name": each} for each in cloud.cloud.behind]

    def get_endpoint(self, endpoint: str, cloud: SharedClient) -> Any:
        if endpoint not in cloud.cloud.behind:
            raise DeploymentNotFound(f"there is no endpoint {endpoint}")
        return {"name": endpoint}
