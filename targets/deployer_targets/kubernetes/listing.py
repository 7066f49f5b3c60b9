"""All deployments of a namespace, or of all: three lists, however many there are, of as little of each as will do; one more for a selector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from deployer.core.state import DeploymentName, Status
from deployer.core.target import Summary
from deployer.errors import PermissionDenied
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.observe import labelled, traffic_of

_OURS = {names.MANAGED_BY: names.MANAGER}


@dataclass(frozen=True, slots=True)
class _Found:
    """The namespace and the name of a deployment; which of several namespaces it is in is known where all are listed."""

    namespace: str
    name: str


def summaries(cloud: Kube) -> Iterator[Summary]:
    """A row each; those without a Service, as an interrupted run leaves them, too.

    Raises:
        PermissionDenied: who asks may not list the namespace, or not all of them.
    """
    try:
        yield from _summaries(cloud)
    except PermissionDenied as denied:
        if not cloud.everywhere:
            raise
        advice = "-t kubernetes://NAMESPACE, once for each, lists those that you may read; docs/kubernetes/list-all.yaml has the ClusterRole for all"
        raise PermissionDenied("the deployments of all namespaces may not be listed", why=denied.why, advice=advice) from denied


def _summaries(cloud: Kube) -> Iterator[Summary]:
    picked = _picked(cloud)
    if picked is not None and not picked:
        return
    ours = names.query(_OURS)
    deployments: dict[_Found, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in cloud.table("Deployment", ours, ("Name", "Ready"), marks=cloud.everywhere):
        found, generation = _generation(row)
        ready, _, wanted = row["Ready"].partition("/")
        deployments[found][generation] = int(wanted), int(ready)
    left = {
        _Found(_namespace(row), row["Name"].removesuffix(names.ledger(DeploymentName(""))))
        for row in cloud.table("ConfigMap", ours, ("Name",), marks=cloud.everywhere)
    }
    for row in cloud.table("Service", ours, ("Selector",), marks=True):
        pairs = (each.partition("=") for each in str(row.get("Selector", "")).split(","))
        service = {"metadata": row["metadata"], "spec": {"selector": {key: value for key, _, value in pairs}}}
        if labelled(service, names.GENERATION):
            continue  # a route's
        found = _Found(_namespace(row) if cloud.everywhere else "", labelled(service, names.INSTANCE))
        left.discard(found)
        if picked is None or any(share.generation in picked.get(found, ()) for share in traffic_of(service)):
            yield _summary(found, service, deployments[found], cloud)
    for found in sorted(left if picked is None else left & picked.keys(), key=lambda each: (each.name, each.namespace)):
        reason = "nothing serves: what an interrupted run left"
        yield Summary(DeploymentName(found.name), Status.FAILED, reason=reason, path=_path(found, cloud))


def _picked(cloud: Kube) -> Mapping[_Found, frozenset[str]] | None:
    """The generations whose labels a selector picks; None where there is no selector."""
    if not cloud.selector:
        return None
    picked: dict[_Found, frozenset[str]] = defaultdict(frozenset)
    for row in cloud.table("Deployment", f"{names.query(_OURS)},{cloud.selector}", ("Name",), marks=cloud.everywhere):
        found, generation = _generation(row)
        picked[found] |= {generation}
    return picked


def _generation(row: Object) -> tuple[_Found, str]:
    """Whose Deployment a row is, and of which generation."""
    name, _, generation = str(row["Name"]).rpartition("-")
    return _Found(_namespace(row), name), generation


def _namespace(row: Object) -> str:
    """That of a row which has its marks; "" for one of a list of one namespace."""
    return str((row.get("metadata") or {}).get("namespace", ""))


def _path(found: _Found, cloud: Kube) -> str | None:
    return cloud.connection.path_to(found.namespace) if cloud.everywhere else None


def image_uses(cloud: Kube) -> Iterator[tuple[str, str]]:
    """What the Deployments of the namespace run and mount, whoever made them: of ours the image with the model, which no record names."""
    for each in cloud.list("Deployment", {}):
        pod = each["spec"]["template"]["spec"]
        for container in (*pod["containers"], *(pod.get("initContainers") or ())):
            yield container["image"], f"deployment {each['metadata']['name']}"
        for volume in pod.get("volumes") or ():
            if "image" in volume:
                yield volume["image"]["reference"], f"deployment {each['metadata']['name']}"


def _summary(found: _Found, service: Object, counts: Mapping[str, tuple[int, int]], cloud: Kube) -> Summary:
    traffic = traffic_of(service)
    living = [counts.get(each.generation, (0, 0)) for each in traffic]
    wanted, ready = sum(each[0] for each in living), sum(each[1] for each in living)
    said = service["metadata"].get("annotations") or {}
    if not ready:
        status = Status.FAILED
    elif ready < wanted:
        status = Status.DEGRADED
    else:
        status = Status.PAUSED if len(traffic) > 1 else Status.READY
    return Summary(
        DeploymentName(found.name),
        status,
        model=said.get(names.MODEL, ""),
        generation=traffic[0].generation if traffic else "",
        created=datetime.fromisoformat(said[names.MADE]) if said.get(names.MADE) else None,
        columns={"PODS": f"{ready}/{wanted}"},
        reason="" if ready >= wanted and ready else f"{ready} of {wanted} pods are ready",
        path=_path(found, cloud),
    )
