"""What a cluster says of one name, in the words that all targets share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Observed, Record, Resource, Share, Status
from deployer.errors import NotOurs
from deployer_targets.kubernetes import names, pods
from deployer_targets.kubernetes.attachment_options import GatewayRoute, Ingress
from deployer_targets.kubernetes.attachments import AUTOSCALER, resource
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.ledger import MARKED, VERSION, ConfigMapLedger, attached, has_secrets, records_of, served
from deployer_targets.kubernetes.owners import drifted, taken


@dataclass(frozen=True, slots=True)
class View:
    """What only the target's own plans and steps must know.

    Attributes:
        counts: how many pods each generation is to have.
        owned: how many what serves has, where somebody else says so.
        pods: how many it is to have once it has all of the traffic again that two share now.
        attached: what stands beside the pods and the Service.
        things: all of these, Deployments and Secrets as they were seen.
        drifted: the generations in whose Deployment somebody else has set something.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    owned: int | None = None
    pods: int | None = None
    attached: Mapping[Resource, Object] = field(default_factory=dict)
    things: Mapping[Resource, Object] = field(default_factory=dict, repr=False)
    drifted: frozenset[str] = frozenset()


Seen = Observed[View]


def observe(name: DeploymentName, cloud: Kube, *, pointer: Object | None = None) -> Seen | None:
    """All of ours under this name. `pointer`: its Service, where it need not be asked for.

    Raises:
        NotOurs: there is a Service of that name, and it is somebody else's.
    """
    marked = cloud.learnt.pop(MARKED, None)  # a moment ago
    service = service_of(name, cloud, marked["Service"] if marked else [pointer] if pointer else None)
    ledger = ConfigMapLedger(cloud, name).known()
    cloud.learnt[VERSION] = ledger["metadata"]["resourceVersion"] if ledger else ""

    def listed(kind: str) -> Iterable[Object]:
        return marked[kind] if marked and kind in marked else cloud.list(kind, names.labels(name), metadata=kind == "Secret")

    deployments = {labelled(each, names.GENERATION): each for each in listed("Deployment")}
    secrets = {Resource(names.SECRET, each["metadata"]["name"]): each for each in (listed("Secret") if has_secrets(ledger) else ())}
    if not (service or ledger or deployments or secrets):
        return None
    attachments = ({**each, "kind": kind} for kind in served(attached(ledger), cloud) for each in listed(kind))  # a list's items don't say it
    beside_it = {resource(each): each for each in attachments if resource(each) != names.service(name)}
    things = {**{names.deployment(name, each): found for each, found in deployments.items()}, **secrets, **beside_it}
    records, traffic = records_of(ledger), traffic_of(service)
    status, reason = condition(name, traffic, deployments, lambda generation: cloud.list("Pod", names.labels(name, generation)))
    data = (ledger or {}).get("data") or {}
    beside = [Resource(kind, name) for kind in (names.CLAIM, names.HISTORY) if ledger is not None and (kind in data or kind == names.CLAIM)]
    serving = deployments.get(traffic[0].generation) if traffic else None
    counts = {each: int(found["spec"]["replicas"]) for each, found in deployments.items()}
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
                *secrets,
                *(Resource(names.RECORD, each) for each in records),
                *beside_it,
                *beside,
            )
        ),
        owned_elsewhere={
            **({"replicas": owned} if owned is not None and Resource(AUTOSCALER.lower(), name) not in beside_it else {}),
            **dict(taken(name, traffic, records, deployments, beside_it)),
        },
        reason=reason,
        url=_url(name, service, records.get(traffic[0].generation) if traffic else None, cloud),
        view=View(counts, owned, _pods(service), beside_it, things, drifted(traffic, records, deployments)),
        detail={"service": service or {}, "deployments": [*deployments.values()], "attached": [*beside_it.values()]},
    )


def condition(
    name: DeploymentName, traffic: Traffic, deployments: Mapping[str, Object], pods_of: Callable[[str], Iterable[pods.Pod]]
) -> tuple[Status, str]:
    """The status, and why it isn't a good one. `pods_of`: a generation's, asked for where its Deployment counts fewer ready than it is to have."""
    if not traffic:
        return Status.FAILED, "nothing serves: what an interrupted run left"
    for share in traffic:
        found = deployments.get(share.generation)
        if found is None:
            return Status.FAILED, f"there is no Deployment {names.of_generation(name, share.generation)}"
        wanted = int(found["spec"]["replicas"])
        if ready_count(found) >= wanted > 0:
            continue
        living = pods.here(pods_of(share.generation))
        there = sum(map(pods.ready, living))  # a Deployment's own count comes after its pods are ready
        if there < wanted or not wanted:
            finding = pods.worst(living)
            why = f": {finding.what} ({finding.why})" if finding else ""
            return (Status.DEGRADED if there else Status.FAILED), f"{there} of {wanted} pods of {share.generation} are ready{why}"
    return (Status.PAUSED if len(traffic) > 1 else Status.READY), ""


def service_of(name: DeploymentName, cloud: Kube, marked: Iterable[Object] | None = None) -> Object | None:
    """The pointer, where it is there. `marked`: those that were just found to be ours.

    Raises:
        NotOurs
    """
    found = next((each for each in marked or () if each["metadata"]["name"] == name), None)
    if found is None and (marked is None or name in cloud.adopts):
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
    said = service["metadata"].get("annotations") or {}
    told = said.get(names.TRAFFIC, "")
    shares = tuple(Share(generation, int(percent)) for generation, _, percent in (each.partition("=") for each in told.split()))
    selected = (service["spec"].get("selector") or {}).get(names.GENERATION)
    if names.SPLIT_BY in said and shares and shares[0].generation == selected:
        return shares
    if selected and [each.generation for each in shares if each.percent] != [selected]:
        return (Share(selected),)
    return shares


def told(traffic: Traffic) -> str:
    """The shares as a Service says them."""
    return " ".join(f"{each.generation}={each.percent}" for each in traffic)


def counted_by_us(deployment: Object) -> bool:
    """Whether nobody else has said how many pods there are: an autoscaler, or somebody by hand. Not every version notes who has scaled."""
    ours = (deployment["metadata"].get("annotations") or {}).get(names.REPLICAS)
    if ours is not None and int(ours) != deployment["spec"]["replicas"]:
        return False
    for entry in deployment["metadata"].get("managedFields") or ():
        fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
        if "f:replicas" in (fields.get("f:spec") or {}) and entry.get("manager") not in (names.MANAGER, names.COUNTER):
            return False
    return True


def ready_count(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas") or 0)


def _url(name: DeploymentName, service: Object | None, record: Record | None, cloud: Kube) -> str:
    """Where it is asked: from outside, where there is a way in that has a name."""
    if service is None:
        return ""
    options = record.options if record else {}
    route, ingress = options.get("route"), options.get("ingress")
    outside = (GatewayRoute(**route).url if route else "") or (Ingress(**ingress).url if ingress else "")
    return outside or f"http://{name}.{cloud.namespace}.svc"


def _pods(service: Object | None) -> int | None:
    told = ((service or {"metadata": {}})["metadata"].get("annotations") or {}).get(names.PODS)
    return int(told) if told else None
