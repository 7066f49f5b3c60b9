"""The options, under Kubernetes' own names and in its own units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from deployer.core.options import GENERATION, LIVE, NOTHING, TargetConfig
from deployer_targets.kubernetes import names, patching

_QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_KINDS = ("Deployment", "Service", "Secret")


def _quantity(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Quantity = Annotated[str, BeforeValidator(_quantity), Field(pattern=_QUANTITY)]
Words = Mapping[str, str]


class ContainerResources(BaseModel):
    """What a container asks for, and what it may use at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Mapping[str, Quantity] = Field(default_factory=lambda: {"cpu": "500m", "memory": "1Gi"}, description="What the node must have free.")
    limits: Mapping[str, Quantity] = Field(
        default_factory=lambda: {"memory": "2Gi"}, description="What it may use at most; memory always has a limit."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if "memory" not in self.limits:
            raise ValueError("limits.memory is missing: without one a model that leaks takes the node's other pods with it")
        return self


class KubernetesConfig(TargetConfig):
    """All options of a deployment on Kubernetes."""

    image_repository: Annotated[str | None, NOTHING] = Field(
        None,
        description="Where images go and the nodes pull from: REGISTRY/NAME. Default: DEPLOYER_IMAGE_REPOSITORY, or where the one in service is.",
    )
    replicas: Annotated[int, LIVE] = Field(1, ge=1, description="How many pods; kept as it is where an autoscaler owns it.")
    resources: Annotated[ContainerResources, GENERATION] = Field(
        default_factory=ContainerResources, description="requests and limits of the container: cpu, memory, nvidia.com/gpu, ephemeral-storage."
    )
    image_pull_secrets: Annotated[tuple[str, ...], GENERATION] = Field((), description="Secrets of the namespace that the nodes pull the image with.")
    service_account: Annotated[str | None, GENERATION] = Field(None, description="The service account of the pods; its token is not mounted.")
    env_from: Annotated[Mapping[str, Mapping[str, Any]], GENERATION] = Field(
        default_factory=dict, description="Variables from elsewhere, each a valueFrom: {TOKEN: {secretKeyRef: {name: api, key: token}}}."
    )
    node_selector: Annotated[Words, GENERATION] = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Mapping[str, Any], ...], GENERATION] = Field((), description="Taints that the pods tolerate.")
    affinity: Annotated[Mapping[str, Any], GENERATION] = Field(
        default_factory=dict, description="Rules of scheduling; the image's architecture is required beside them."
    )
    priority_class: Annotated[str | None, GENERATION] = Field(None, description="The pods' priorityClassName.")
    runtime_class: Annotated[str | None, GENERATION] = Field(None, description="The pods' runtimeClassName.")
    labels: Annotated[Words, GENERATION] = Field(default_factory=dict, description="More labels of pods, Deployment and Secret.")
    annotations: Annotated[Words, GENERATION] = Field(default_factory=dict, description="More annotations of pods, Deployment and Secret.")
    tags: Annotated[Words, LIVE] = Field(default_factory=dict, description="Words of your own in any script, kept in the record.")
    workers: Annotated[int | None, GENERATION] = Field(None, ge=1, description="Processes that answer in each pod; default: by the container's CPU.")
    request_timeout: Annotated[int, GENERATION] = Field(60, ge=1, le=3600, description="Seconds that one request may take.")
    drain_seconds: Annotated[int, GENERATION] = Field(15, ge=0, le=3600, description="Seconds that a pod still answers after it is told to end.")
    progress_deadline: Annotated[int, GENERATION] = Field(
        600, ge=10, description="Seconds that new pods may take to become ready before it counts as failed."
    )
    patch: Annotated[Mapping[str, tuple[Mapping[str, Any], ...]], GENERATION] = Field(
        default_factory=dict, description="JSON patches of our manifests by kind (Deployment, Service, Secret), for what has no option."
    )

    @field_validator("labels", "annotations")
    @classmethod
    def _not_ours(cls, value: Words) -> Words:
        ours = {names.MANAGED_BY, names.INSTANCE, names.NAME} & value.keys() | {each for each in value if each.startswith("deployer.io/")}
        if ours:
            raise ValueError(f"{', '.join(sorted(ours))} is set by this tool")
        return value

    @field_validator("env_from")
    @classmethod
    def _one_source(cls, value: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        known = {"secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef"}
        for name, source in value.items():
            if len(source) != 1 or source.keys() - known:
                raise ValueError(f"{name} takes one of {', '.join(sorted(known))}")
        return value

    @field_validator("patch")
    @classmethod
    def _kinds(cls, value: Mapping[str, tuple[Mapping[str, Any], ...]]) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        if other := value.keys() - set(_KINDS):
            raise ValueError(f"{', '.join(sorted(other))} is none of our manifests: {', '.join(_KINDS)}")
        for operations in value.values():
            patching.check(operations)
        return value

    @field_validator("image_repository")
    @classmethod
    def _whole(cls, value: str | None) -> str | None:
        if value and (re.search(r"[@\s]", value) or ":" in value.rpartition("/")[2]):
            raise ValueError("write it as REGISTRY/NAME, without a tag")
        return value
