"""The attached cluster that `compute: aks` runs on: looked at before anything is made, for it refuses late and in other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.quantities import exceeds
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ConfigInvalid
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig

DEFAULT_INSTANCE_TYPE = "defaultinstancetype"
_ATTACH = "az ml compute attach --type Kubernetes"


@dataclass(frozen=True, slots=True)
class AttachedCluster:
    """A compute of the workspace as GET answers it."""

    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def is_kubernetes(self) -> bool:
        return str(self._told.get("computeType")).lower() == "kubernetes"

    @property
    def state(self) -> str:
        return str(self._told.get("provisioningState") or "")

    @property
    def namespace(self) -> str:
        return str(self._of_cluster.get("namespace") or "default")

    @property
    def default_instance_type(self) -> str:
        return str(self._of_cluster.get("defaultInstanceType") or DEFAULT_INSTANCE_TYPE)

    @property
    def instance_types(self) -> Mapping[str, Any]:
        """By name; none where Azure tells none."""
        return self._of_cluster.get("instanceTypes") or {}

    def limits_of(self, instance_type: str) -> Mapping[str, Any]:
        """What a container on an instance type may have; nothing where Azure doesn't tell."""
        return ((self.instance_types.get(instance_type) or {}).get("resources") or {}).get("limits") or {}

    @property
    def _told(self) -> Mapping[str, Any]:
        return self.document.get("properties") or {}

    @property
    def _of_cluster(self) -> Mapping[str, Any]:
        return self._told.get("properties") or {}


def compute_id(config: AzureMlConfig, cloud: AzureMlCloud) -> str:
    """The ARM id of the attached compute that an endpoint is on; "" where it is managed."""
    return f"{cloud.workspace.id}/computes/{config.compute_target}" if config.compute == "aks" else ""


def refuse_what_it_lacks(config: AzureMlConfig, cloud: AzureMlCloud) -> None:
    """Return if the cluster that is named is attached, and has what is asked of it.

    Raises:
        ConfigInvalid: it isn't, or hasn't.
    """
    cluster = _attached(str(config.compute_target), cloud)
    wanted = config.instance_type or cluster.default_instance_type
    known = {*cluster.instance_types, DEFAULT_INSTANCE_TYPE}
    if cluster.instance_types and wanted not in known:
        raise ConfigInvalid(
            f"instance_type {wanted} is not one of compute_target {cluster.name}",
            advice=f"it has {', '.join(sorted(known))}; kubectl get instancetype lists them",
        )
    for name, most in cluster.limits_of(wanted).items():
        own = "gpu" if name == "nvidia.com/gpu" else name
        for part, asked in _asked(config, own):
            if exceeds(asked, most):
                raise ConfigInvalid(
                    f"resources.{part}.{own} is {asked}, more than instance type {wanted} of {cluster.name} allows: {most}",
                    advice="ask for less, or name a larger instance_type",
                )


def finding(cloud: AzureMlCloud) -> Diagnosis:
    """How the cluster is that the options name; without a name, which there are."""
    named = cloud.config.compute_target
    if named is None:
        found = [f"{each.name} (namespace {each.namespace})" for each in _clusters(cloud)]
        told = f"attached clusters: {', '.join(found)}" if found else "no cluster is attached"
        return Diagnosis("compute", Verdict.WARNING, told, f"-C compute_target=NAME says which{'' if found else f'; {_ATTACH}'}")
    cluster = _attached(named, cloud)
    if cluster.state != "Succeeded":
        advice = "az ml compute show has the reason; the extension's pods in namespace azureml are to run"
        return Diagnosis("compute", Verdict.WRONG, f"{named} is {cluster.state}", advice)
    told = f"{named} is attached, namespace {cluster.namespace}, instance types {', '.join(cluster.instance_types) or DEFAULT_INSTANCE_TYPE}"
    return Diagnosis("compute", Verdict.OK, told)


def _attached(name: str, cloud: AzureMlCloud) -> AttachedCluster:
    found = cloud.find(f"computes/{name}")
    if found is None or not AttachedCluster(found).is_kubernetes:
        others = ", ".join(each.name for each in _clusters(cloud))
        raise ConfigInvalid(
            f"compute_target {name} is not a cluster that is attached to {cloud.workspace}",
            advice=f"attached {'are ' + others if others else 'is none'}; {_ATTACH} adds one",
        )
    return AttachedCluster(found)


def _clusters(cloud: AzureMlCloud) -> list[AttachedCluster]:
    return [each for each in map(AttachedCluster, cloud.pages("computes")) if each.is_kubernetes]


def _asked(config: AzureMlConfig, name: str) -> Iterator[tuple[str, str]]:
    """What the options ask of a resource, by part."""
    for part in ("requests", "limits"):
        if (value := getattr(getattr(config.resources, part, None), name, None)) is not None:
            yield part, str(value)
