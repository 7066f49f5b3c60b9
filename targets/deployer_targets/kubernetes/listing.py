"""All deployments of a namespace: three lists, however many there are, of as little of each as will do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from deployer.core.state import DeploymentName, Status
from deployer.core.target import Summary
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.observe import labelled, traffic_of


def summaries(cloud: Kube) -> Iterator[Summary]:
    """A row each; those without a Service, as an interrupted run leaves them, too."""
    ours = {names.MANAGED_BY: names.MANAGER}
    deployments: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in cloud.table("Deployment", ours, ("Name", "Ready")):
        (name, _, generation), (ready, _, wanted) = row["Name"].rpartition("-"), row["Ready"].partition("/")
        deployments[name][generation] = int(wanted), int(ready)
    left = {row["Name"].removesuffix(names.ledger(DeploymentName(""))) for row in cloud.table("ConfigMap", ours, ("Name",))}
    for row in cloud.table("Service", ours, ("Selector",), marks=True):
        pairs = (each.partition("=") for each in str(row.get("Selector", "")).split(","))
        service = {"metadata": row["metadata"], "spec": {"selector": {key: value for key, _, value in pairs}}}
        if labelled(service, names.GENERATION):
            continue  # a route's
        name = labelled(service, names.INSTANCE)
        left.discard(name)
        yield _summary(DeploymentName(name), service, deployments[name])
    for name in sorted(left):
        yield Summary(DeploymentName(name), Status.FAILED, reason="nothing serves: what an interrupted run left")


def image_uses(cloud: Kube) -> Iterator[tuple[str, str]]:
    """What the Deployments of the namespace run and mount, whoever made them: of ours the image with the model, which no record names."""
    for each in cloud.list("Deployment", {}):
        pod = each["spec"]["template"]["spec"]
        for container in (*pod["containers"], *(pod.get("initContainers") or ())):
            yield container["image"], f"deployment {each['metadata']['name']}"
        for volume in pod.get("volumes") or ():
            if "image" in volume:
                yield volume["image"]["reference"], f"deployment {each['metadata']['name']}"


def _summary(name: DeploymentName, service: Object, counts: Mapping[str, tuple[int, int]]) -> Summary:
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
        name,
        status,
        model=said.get(names.MODEL, ""),
        generation=traffic[0].generation if traffic else "",
        created=datetime.fromisoformat(said[names.MADE]) if said.get(names.MADE) else None,
        columns={"PODS": f"{ready}/{wanted}"},
        reason="" if ready >= wanted and ready else f"{ready} of {wanted} pods are ready",
    )
