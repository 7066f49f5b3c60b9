"""Taints of the nodes that have the devices which pods ask for (nvidia.com/gpu), tolerated where nothing else is said.

They are read when such devices are asked for first, and kept with the generation: a node that comes or goes later restarts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.core.state import Record
from deployer.core.target import DeploymentRequest
from deployer.errors import PermissionDenied
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.config import ContainerResources, KubernetesConfig

Toleration = Mapping[str, Any]

_KEEPS_OUT = ("NoSchedule", "NoExecute")
_PASSING = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "node-role.kubernetes.io/", "karpenter.sh/")
"""Taints that say how a node is, or that it is no worker: never a pool's own."""
_GOING = frozenset({"ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler"})


def settled(
    request: DeploymentRequest[KubernetesConfig], config: KubernetesConfig, serving: Record | None, cloud: Kube
) -> tuple[KubernetesConfig, tuple[str, ...]]:
    """The options with what pods tolerate for the devices that they ask for, and what there is to say of it."""
    asked = devices(config)
    if not asked or config.tolerations or request.named & {"tolerations", "resource_tolerations"}:
        return config, ()
    if serving and "resource_tolerations" in serving.options and _as_before(config, serving):
        return _with(config, serving.options["resource_tolerations"]), ()
    if request.exported:
        return _with(config, well_known(asked)), ()
    try:
        nodes = list(cloud.list("Node", dict(config.node_selector)))
    except PermissionDenied as denied:
        said = ", ".join(map(written, well_known(asked)))
        return _with(config, well_known(asked)), (
            f"the nodes may not be listed ({denied.why}), so the pods tolerate {said} alone: -C tolerations names other taints of theirs",
        )
    return _with(config, (*well_known(asked), *tolerations(asked, nodes))), ()


def devices(config: KubernetesConfig) -> tuple[str, ...]:
    """The extended resources that a container asks for."""
    return _devices(config.resources)


def well_known(asked: Iterable[str]) -> tuple[Toleration, ...]:
    """For the taint that clouds and device plugins put on nodes with a resource: its name; of a part of an NVIDIA GPU, that of the whole."""
    keys = dict.fromkeys("nvidia.com/gpu" if each.startswith("nvidia.com/") else each for each in asked)
    return tuple({"key": each, "operator": "Exists", "effect": "NoSchedule"} for each in keys)


def tolerations(asked: Iterable[str], nodes: Iterable[Object]) -> tuple[Toleration, ...]:
    """What it takes beside the well-known to get onto nodes with all of it. One that has another's taints and more is kept for others."""
    known = {each["key"] for each in well_known(asked)}
    found = {_taints(node, known) for node in nodes if _has(node, asked)}
    least = {each for each in found if not any(other < each for other in found)}
    return tuple(_toleration(*taint) for taint in sorted({taint for each in least for taint in each}))


def written(toleration: Toleration) -> str:
    """As kubectl writes a taint."""
    value = f"={toleration['value']}" if "value" in toleration else ""
    return f"{toleration['key']}{value}:{toleration['effect']}"


def _devices(resources: ContainerResources) -> tuple[str, ...]:
    amounts = {**resources.requests, **resources.limits}
    return tuple(sorted(each for each in amounts if "/" in each and not each.partition("/")[0].endswith("kubernetes.io")))


def _as_before(config: KubernetesConfig, record: Record) -> bool:
    """Whether what is recorded went onto the same nodes for the same devices."""
    before = ContainerResources.model_validate(record.options.get("resources") or {})
    return _devices(before) == devices(config) and dict(record.options.get("node_selector") or {}) == dict(config.node_selector)


def _with(config: KubernetesConfig, found: Iterable[Toleration]) -> KubernetesConfig:
    return config.model_copy(update={"resource_tolerations": tuple(dict(each) for each in found)})


def _has(node: Object, asked: Iterable[str]) -> bool:
    there = (node.get("status") or {}).get("allocatable") or {}
    return all(there.get(each, "0") != "0" for each in asked)


def _taints(node: Object, known: set[str]) -> frozenset[tuple[str, str, str]]:
    """Those that keep pods out, beside the well-known and what passes."""
    return frozenset(
        (each["key"], each.get("value", ""), each["effect"])
        for each in (node["spec"].get("taints") or ())
        if each["effect"] in _KEEPS_OUT
        and not each["key"].startswith(_PASSING)
        and each["key"] not in _GOING
        and not (each["key"] in known and each["effect"] == "NoSchedule")
    )


def _toleration(key: str, value: str, effect: str) -> Toleration:
    return {"key": key, "operator": "Equal", "value": value, "effect": effect} if value else {"key": key, "operator": "Exists", "effect": effect}
