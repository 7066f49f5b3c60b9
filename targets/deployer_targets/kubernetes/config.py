"""The options, under Kubernetes' own names and in its own units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deployer.core.options import GENERATION, LIVE, NOTHING, TargetConfig
from deployer.core.quantities import Quantity
from deployer_targets.kubernetes import names, patching
from deployer_targets.kubernetes.attachment_options import (
    Autoscaling,
    Disruption,
    GatewayRoute,
    Ingress,
    ModelDelivery,
    Monitoring,
    NetworkPolicy,
    OptionPart,
)
from deployer_targets.kubernetes.kinds import KINDS

_KINDS = tuple(kind for kind in KINDS if kind not in ("ConfigMap", "Pod", "Node"))
Words = Mapping[str, str]


class ContainerResources(OptionPart):
    """What a container asks for, and what it may use at most."""

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
    compression: Annotated[Literal["zstd", "gzip"], NOTHING] = Field(
        "gzip",
        description="Of the layers that are made: gzip, which every node reads, or zstd, read by containerd 1.5, CRI-O and docker 23.",
    )
    replicas: Annotated[int, LIVE] = Field(1, ge=1, description="How many pods; kept as it is where an autoscaler owns it.")
    resources: Annotated[ContainerResources, GENERATION] = Field(
        default_factory=ContainerResources, description="requests and limits of the container: cpu, memory, nvidia.com/gpu, ephemeral-storage."
    )
    image_pull_secrets: Annotated[tuple[str, ...], GENERATION] = Field((), description="Secrets of the namespace that the nodes pull the image with.")
    pull_secret: Annotated[bool, GENERATION] = Field(
        False,
        description="Give the nodes docker's login to the image's registry, and no other, in a Secret; tokens that last for hours are refused.",
    )
    model_delivery: Annotated[Literal["layer", "uri", "image_volume"] | ModelDelivery, GENERATION] = Field(
        "layer",
        description="How the model comes to the pods: layer, on the image; uri, each fetches it from where -m has it, or {uri: ADDRESS}, "
        "from there; {pvc: {claim: NAME, path: FOLDER}}, on a volume already, or {pvc: {size: 50Gi}}, on one that is made; image_volume, as an image "
        "of its own that the nodes mount.",
    )
    service_account: Annotated[str | None, GENERATION] = Field(None, description="The service account of the pods; its token is not mounted.")
    env_from: Annotated[Mapping[str, Mapping[str, Any]], GENERATION] = Field(
        default_factory=dict, description="Variables from elsewhere, each a valueFrom: {TOKEN: {secretKeyRef: {name: api, key: token}}}."
    )
    node_selector: Annotated[Words, GENERATION] = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Mapping[str, Any], ...], GENERATION] = Field((), description="Taints that the pods tolerate.")
    resource_tolerations: Annotated[tuple[Mapping[str, Any], ...], GENERATION] = Field(
        (),
        description="Taints of the nodes that have the devices asked for (nvidia.com/gpu), tolerated, too. Default: read as the devices are asked "
        "for first, then kept; none where tolerations are named.",
    )
    affinity: Annotated[Mapping[str, Any], GENERATION] = Field(
        default_factory=dict, description="Rules of scheduling; the image's architecture is required beside them."
    )
    topology_spread: Annotated[tuple[Mapping[str, Any], ...], GENERATION] = Field(
        ({"topologyKey": "topology.kubernetes.io/zone"}, {"topologyKey": "kubernetes.io/hostname"}),
        description="topologySpreadConstraints of the pods, each with its topologyKey; what one leaves out: maxSkew 1, ScheduleAnyway, this "
        "generation's pods.",
    )
    priority_class: Annotated[str | None, GENERATION] = Field(None, description="The pods' priorityClassName.")
    runtime_class: Annotated[str | None, GENERATION] = Field(None, description="The pods' runtimeClassName.")
    labels: Annotated[Words, GENERATION] = Field(default_factory=dict, description="More labels of pods, Deployment and Secret.")
    annotations: Annotated[Words, GENERATION] = Field(default_factory=dict, description="More annotations of pods, Deployment and Secret.")
    tags: Annotated[Words, LIVE] = Field(default_factory=dict, description="Words of your own in any script, kept in the record.")
    grpc: Annotated[bool, GENERATION] = Field(
        False, description="Answer the Open Inference Protocol over gRPC, too, on port 9000 of pods and Service; the image needs grpcio and protobuf."
    )
    workers: Annotated[int | None, GENERATION] = Field(None, ge=1, description="Processes that answer in each pod; default: by the container's CPU.")
    request_timeout: Annotated[int, GENERATION] = Field(60, ge=1, le=3600, description="Seconds that one request may take.")
    drain_seconds: Annotated[int, GENERATION] = Field(15, ge=0, le=3600, description="Seconds that a pod still answers after it is told to end.")
    progress_deadline: Annotated[int | None, GENERATION] = Field(
        None,
        ge=10,
        description="Seconds that new pods may take until they are ready; longer counts as failed. Default: 600, and more for a large model.",
    )
    autoscaling: Annotated[Autoscaling | None, LIVE] = Field(
        None, description="A HorizontalPodAutoscaler: min, max, and what it goes by (cpu, memory, metrics). It has the number of pods from then on."
    )
    pdb: Annotated[Disruption | None, LIVE] = Field(None, description="A PodDisruptionBudget for each generation that serves: max_unavailable.")
    ingress: Annotated[Ingress | None, LIVE] = Field(
        None, description="An Ingress before the Service: host, path, class_name, tls_secret, annotations."
    )
    route: Annotated[GatewayRoute | None, LIVE] = Field(
        None, description="An HTTPRoute of the Gateway API: parent_refs, hostnames, path, timeouts. It splits requests where a strategy has shares."
    )
    network_policy: Annotated[NetworkPolicy | None, LIVE] = Field(
        None, description="A NetworkPolicy: allow_from (who asks), scrapers (who reads metrics), egress; nothing else may then."
    )
    monitoring: Annotated[Monitoring | None, LIVE] = Field(
        None, description="A PodMonitor or ServiceMonitor for the Prometheus operator: kind, interval, labels."
    )
    patch: Annotated[Mapping[str, tuple[Mapping[str, Any], ...]], GENERATION] = Field(
        default_factory=dict, description="JSON patches of our manifests by kind (Deployment, Service, Secret, ...), for what has no option."
    )
    force_conflicts: Annotated[bool, NOTHING] = Field(
        False, description="Set again what somebody else has set otherwise in our objects since; without it that stays."
    )

    @property
    def tolerated(self) -> list[dict[str, Any]]:
        """All taints that the pods tolerate."""
        return [dict(each) for each in (*self.tolerations, *self.resource_tolerations)]

    @property
    def asks_names_alone(self) -> bool:
        """Whether a policy lets the pods resolve names, and ask nobody else."""
        return self.network_policy is not None and not self.network_policy.egress

    @model_validator(mode="after")
    def _metrics_get_through(self) -> Self:
        if self.monitoring and self.network_policy and not self.network_policy.scrapers:
            raise ValueError("network_policy lets nobody read the metrics that monitoring asks for: network_policy.scrapers names who may")
        return self

    @model_validator(mode="after")
    def _shares_of_something(self) -> Self:
        for resource in self.autoscaling.shares if self.autoscaling else ():
            if resource not in self.resources.requests:
                raise ValueError(f"autoscaling.{resource} is a share of resources.requests.{resource}, which is missing")
        return self

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
