"""The target in memory with endpoints that several deployments share, as MLflow's `endpoint=` has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.errors import Conflict, DeploymentNotFound
from deployer.plan import Plan
from deployer.state import DeploymentName, Observed
from deployer.target import DeploymentSpec, Request, Summary, TargetUri
from tests.unit.cli.memory import Cloud, Memory, Options


@dataclass
class SharedCloud(Cloud):
    """A cloud, or what is behind one of its endpoints. `claims` are of endpoints, since traffic is theirs."""

    endpoint: str | None = None
    behind: dict[str, SharedCloud] = field(default_factory=dict)
    claims: list[str | None] = field(default_factory=list)


CLOUDS: dict[str, SharedCloud] = {}


class Shared(Memory):
    """The target."""

    scheme = "shared"

    def connect(self, uri: TargetUri, config: Options) -> SharedCloud:
        return CLOUDS.setdefault(uri.path, SharedCloud())

    def behind(self, endpoint: str, cloud: SharedCloud) -> SharedCloud:
        return cloud.behind.setdefault(endpoint, SharedCloud(endpoint=endpoint))

    def claim(self, name: DeploymentName, cloud: SharedCloud, config: Options) -> SharedCloud:  # type: ignore[override]
        cloud.claims.append(cloud.endpoint)
        return cloud

    def observe(self, name: DeploymentName, cloud: SharedCloud) -> Observed | None:  # type: ignore[override]
        found = super().observe(name, cloud)
        return replace(found, endpoint=cloud.endpoint) if found else None

    def resolve(self, request: Request[Options], observed: Observed | None, cloud: SharedCloud) -> DeploymentSpec[Options]:  # type: ignore[override]
        if request.endpoint != cloud.endpoint:
            raise Conflict(f"asked for {request.endpoint}, and looked at {cloud.endpoint}")
        return super().resolve(request, observed, cloud)

    def plan(self, spec: DeploymentSpec[Options], observed: Observed | None) -> Plan[Cloud]:
        if observed is not None and observed.endpoint != spec.endpoint:
            raise Conflict(f"planned for {spec.endpoint}, and observed {observed.endpoint}")
        return super().plan(spec, observed)

    def list(self, cloud: SharedCloud) -> Iterator[Summary]:  # type: ignore[override]
        yield from (replace(each, endpoint=cloud.endpoint) for each in super().list(cloud))

    def explain(self, name: DeploymentName, inputs: Any, cloud: SharedCloud) -> Any:
        self._present(name, cloud)
        return {"endpoint": cloud.endpoint}

    def create_endpoint(self, endpoint: str, config: Options, cloud: SharedCloud) -> Any:
        return {"name": self.behind(endpoint, cloud).endpoint}

    def update_endpoint(self, endpoint: str, config: Options, cloud: SharedCloud) -> Any:
        return self.get_endpoint(endpoint, cloud)

    def delete_endpoint(self, endpoint: str, cloud: SharedCloud) -> Any:
        self.get_endpoint(endpoint, cloud)
        del cloud.behind[endpoint]

    def list_endpoints(self, cloud: SharedCloud) -> Any:
        return [{"name": each} for each in cloud.behind]

    def get_endpoint(self, endpoint: str, cloud: SharedCloud) -> Any:
        if endpoint not in cloud.behind:
            raise DeploymentNotFound(f"there is no endpoint {endpoint}")
        return {"name": endpoint}
