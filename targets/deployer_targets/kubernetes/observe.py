"""What a cluster says of one name, in the words that all targets share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Observed, Resource, Share, Status
from deployer.errors import NotOurs
from deployer_targets.kubernetes import names, pods
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.ledger import KIND, records_of


@dataclass(frozen=True, slots=True)
class View:
    """What only the planner must know: how many pods each generation is to have, and how many what serves has where somebody else says so."""

    counts: Mapping[str, int] = field(default_factory=dict)
    owned: int | None = None


Seen = Observed[View]


def observe(name: DeploymentName, cloud: Kube) -> Seen | None:
    """All of ours under this name.

    Raises:
        NotOurs: there is a Service of that name, and it is somebody else's.
    """
    service = service_of(name, cloud)
    ledger = cloud.find(KIND, names.ledger(name))
    deployments = {labelled(each, names.GENERATION): each for each in cloud.list("Deployment", names.labels(name))}
    secrets = [labelled(each, names.GENERATION) for each in cloud.list("Secret", names.labels(name), metadata=True)]
    if not (service or ledger or deployments or secrets):
        return None
    records, traffic = records_of(ledger), traffic_of(service)
    status, reason = _condition(name, traffic, deployments, cloud)
    data = (ledger or {}).get("data") or {}
    beside = [Resource(kind, name) for kind in (names.CLAIM, names.HISTORY) if ledger is not None and (kind in data or kind == names.CLAIM)]
    serving = deployments.get(traffic[0].generation) if traffic else None
    owned = serving["spec"]["replicas"] if serving and not counted_by_us(serving) else None
    return Observed(
        name=name,
        status=status,
        traffic=traffic,
        records=records,
        resources=frozenset(
            (
                *([names.service(name)] if service else ()),
                *(names.deployment(name, each) for each in deployments),
                *(names.secret(name, each) for each in secrets),
                *(Resource(names.RECORD, each) for each in records),
                *beside,
            )
        ),
        owned_elsewhere={"replicas": owned} if owned is not None else {},
        reason=reason,
        url=f"http://{name}.{cloud.namespace}.svc" if service else "",
        view=View({each: int(found["spec"]["replicas"]) for each, found in deployments.items()}, owned),
        detail={"service": service or {}, "deployments": [*deployments.values()]},
    )


def service_of(name: DeploymentName, cloud: Kube) -> Object | None:
    """The pointer, where it is there.

    Raises:
        NotOurs
    """
    found = cloud.find("Service", name)
    if found is not None and not is_ours(found, name) and name not in cloud.adopts:
        raise NotOurs(
            f"a Service {name} is in namespace {cloud.namespace}, made by somebody else", advice="choose another name, or take it over: --adopt"
        )
    return found


def is_ours(found: Object, name: DeploymentName) -> bool:
    return labelled(found, names.MANAGED_BY) == names.MANAGER and labelled(found, names.INSTANCE) == name


def labelled(found: Object, label: str) -> str:
    return str((found["metadata"].get("labels") or {}).get(label, ""))


def traffic_of(service: Object | None) -> Traffic:
    """The shares that a Service gives: what it selects, and, where that is several, what it says of them."""
    if service is None:
        return ()
    told = (service["metadata"].get("annotations") or {}).get(names.TRAFFIC, "")
    shares = tuple(Share(generation, int(percent)) for generation, _, percent in (each.partition("=") for each in told.split()))
    selected = (service["spec"].get("selector") or {}).get(names.GENERATION)
    if selected and [each.generation for each in shares if each.percent] != [selected]:
        return (Share(selected),)
    return shares


def told(traffic: Traffic) -> str:
    """The shares as a Service says them."""
    return " ".join(f"{each.generation}={each.percent}" for each in traffic)


def counted_by_us(deployment: Object) -> bool:
    """Whether nobody else has said how many pods there are: an autoscaler, or somebody by hand."""
    for entry in deployment["metadata"].get("managedFields") or ():
        fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
        if "f:replicas" in (fields.get("f:spec") or {}) and entry.get("manager") not in (names.MANAGER, names.COUNTER):
            return False
    return True


def ready_count(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas") or 0)


def _condition(name: DeploymentName, traffic: Traffic, deployments: Mapping[str, Object], cloud: Kube) -> tuple[Status, str]:
    if not traffic:
        return Status.FAILED, "nothing serves: what an interrupted run left"
    for share in traffic:
        found = deployments.get(share.generation)
        if found is None:
            return Status.FAILED, f"there is no Deployment {names.of_generation(name, share.generation)}"
        wanted, there = int(found["spec"]["replicas"]), ready_count(found)
        if there < wanted or not wanted:
            finding = pods.worst(pods.here(cloud.list("Pod", names.labels(name, share.generation))))
            why = f": {finding.what} ({finding.why})" if finding else ""
            return (Status.DEGRADED if there else Status.FAILED), f"{there} of {wanted} pods of {share.generation} are ready{why}"
    return (Status.PAUSED if len(traffic) > 1 else Status.READY), ""
