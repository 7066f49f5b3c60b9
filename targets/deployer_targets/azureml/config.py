"""The options, under Azure's own names. What Azure refuses is refused here, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deployer.core.options import ANOTHER, GENERATION, LIVE, NOTHING, ROLLOUT, TargetConfig
from deployer_targets.azureml.data_collector_options import DataCollector
from deployer_targets.azureml.identity_options import EndpointIdentity
from deployer_targets.azureml.kubernetes_options import ResourceRequirements, ScaleSettings
from deployer_targets.azureml.names import OUR_TAGS

MOST_INSTANCES = 50
_OF_GROUPS = ("cpu", "memory", "dns_name_label", "subnet_id", "pull_identity")
_NOT_OF_GROUPS = (
    "compute_target",
    "instance_type",
    "instance_count",
    "resources",
    "scale_settings",
    "request_settings",
    "auth_mode",
    "public_network_access",
    "egress_public_network_access",
    "app_insights_enabled",
    "in_place",
    "identity",
    "data_collector",
    "model_mount_path",
    "description",
    "properties",
)
LONGEST_REQUEST_MS: Mapping[str, int] = {"managed": 180_000, "aks": 300_000}
"""By compute."""
DEFAULT_INSTANCE_TYPE = "Standard_DS3_v2"
"""Of managed deployments; a cluster has its own."""
MOST_MIRRORED = 50
"""Percent of the requests that Azure copies."""
MOST_TAGS = 45
"""Of Azure's fifty, ours left out."""
_UNTAGGABLE = frozenset("<>%&\\?/")


class OptionGroup(BaseModel):
    """Options that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RequestSettings(OptionGroup):
    """How long a request may take, and how many an instance takes at once."""

    request_timeout_ms: int = Field(
        default=60_000, ge=1, le=LONGEST_REQUEST_MS["aks"], description="How long a request may take; Azure's own default is 5000."
    )
    max_concurrent_requests_per_instance: int = Field(
        default=32,
        ge=1,
        description="How many requests an instance answers at once; Azure's own default is 1, and what is over it is refused with 429.",
    )


class ProbeSettings(OptionGroup):
    """When a probe is sent, and what is made of its answers. Seconds."""

    initial_delay: int = Field(default=10, ge=1, le=2400, description="Seconds before the first.")
    period: int = Field(default=10, ge=1, le=240, description="Seconds from one to the next.")
    timeout: int = Field(default=2, ge=1, le=240, description="Seconds that an answer may take.")
    success_threshold: int = Field(default=1, ge=1, description="How many that go well make it well.")
    failure_threshold: int = Field(default=30, ge=1, description="How many that don't make it ill.")


class AzureMlConfig(TargetConfig):
    """All options of a deployment to Azure ML."""

    compute: Annotated[Literal["managed", "aks", "aci"], ANOTHER] = Field(
        "managed",
        description="What it runs on: managed online endpoints; aks: a cluster of Kubernetes attached to the workspace; aci: a container group.",
    )
    compute_target: Annotated[str | None, ANOTHER] = Field(
        None, pattern=r"^[a-zA-Z][a-zA-Z0-9-]*$", description="aks: the attached cluster's name in the workspace."
    )
    cpu: Annotated[float | None, GENERATION] = Field(None, gt=0, le=31, description="aci: cores; default 1.")
    memory: Annotated[float | None, GENERATION] = Field(None, gt=0, le=240, description="aci: GB; default 2.")
    dns_name_label: Annotated[str | None, GENERATION] = Field(
        None, pattern=r"^[a-z][a-z0-9-]{3,61}[a-z0-9]$", description="aci: the group is LABEL.REGION.azurecontainer.io."
    )
    subnet_id: Annotated[str | None, GENERATION] = Field(
        None, pattern=r"^/subscriptions/.+/subnets/[^/]+$", description="aci: the subnet that it is in, by ARM id; it has no dns_name_label then."
    )
    pull_identity: Annotated[str | None, GENERATION] = Field(
        None,
        pattern=r"(?i)^/subscriptions/.+/userAssignedIdentities/[^/]+$",
        description="aci: the user-assigned identity, by ARM id, that has AcrPull on the registry; default: the login that docker has for it.",
    )
    cloud: Annotated[str | None, NOTHING] = Field(
        None, description="AzureCloud, AzureUSGovernment or AzureChinaCloud; default: AZURE_CLOUD, ARM_CLOUD_METADATA_URL, the public one."
    )
    credential: Annotated[Literal["default", "environment", "workload_identity", "managed_identity", "cli", "developer_cli"], NOTHING] = Field(
        "default", description="The kind of credential: azure-identity's DefaultAzureCredential, or one of those that it tries."
    )
    image_repository: Annotated[str | None, NOTHING] = Field(
        None, description="Where scoring images are: REGISTRY/NAME; default: deployer-scoring in the workspace's container registry."
    )
    auth_mode: Annotated[Literal["key", "aml_token", "aad_token"], ANOTHER] = Field(
        "key", description="What callers of the endpoint show: a key, a token of Azure ML's, or one of Microsoft Entra ID."
    )
    identity: Annotated[EndpointIdentity, ANOTHER] = Field(
        EndpointIdentity(),
        description="As whom containers act: type system_assigned, or user_assigned with user_assigned_identities (resource_id each).",
    )
    public_network_access: Annotated[Literal["enabled", "disabled"], LIVE] = Field(
        "enabled", description="Whether the scoring URI answers outside the workspace's network."
    )
    instance_type: Annotated[str | None, GENERATION] = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The size of each instance, as az vm list-sizes names it; default: Standard_DS3_v2. aks: an InstanceType of the cluster.",
    )
    instance_count: Annotated[int, LIVE] = Field(1, ge=1, description="How many instances; managed: at most 50.")
    resources: Annotated[ResourceRequirements | None, GENERATION] = Field(
        None, description="aks: requests and limits of each container; default: the instance type's."
    )
    scale_settings: Annotated[ScaleSettings, LIVE] = Field(
        ScaleSettings(),
        description="aks: type default, or target_utilization with min_instances, max_instances, target_utilization_percentage, polling_interval.",
    )
    request_settings: Annotated[RequestSettings, GENERATION] = Field(
        RequestSettings(), description="request_timeout_ms (at most 180000; aks: 300000), max_concurrent_requests_per_instance."
    )
    liveness_probe: Annotated[ProbeSettings, GENERATION] = Field(
        ProbeSettings(), description="initial_delay, period, timeout, success_threshold, failure_threshold. It goes well while the model loads."
    )
    readiness_probe: Annotated[ProbeSettings, GENERATION] = Field(
        ProbeSettings(), description="The same of the probe that goes well once the model is loaded."
    )
    data_collector: Annotated[DataCollector | None, GENERATION] = Field(
        None, description="Keep requests and answers in the workspace's store: collections, rolling_rate, sampling_rate, request_logging."
    )
    model_mount_path: Annotated[str | None, GENERATION] = Field(
        None,
        pattern=r"^(/[A-Za-z0-9._-]+)+$",
        description="Where containers have the model, below it in NAME/VERSION; default: /var/azureml-app/azureml-models.",
    )
    app_insights_enabled: Annotated[bool, GENERATION] = Field(False, description="Send metrics and logs to the workspace's Application Insights.")
    egress_public_network_access: Annotated[Literal["enabled", "disabled"] | None, GENERATION] = Field(
        None, description="Whether containers reach the internet; only in a workspace without a managed network."
    )
    in_place: Annotated[bool, ROLLOUT] = Field(
        False,
        description="Azure updates the deployment that serves, where the quota can't hold two: nothing is asked before it has traffic, "
        "and a way back is another such update.",
    )
    tags: Annotated[Mapping[str, str], LIVE] = Field(default_factory=dict, description="Tags of the endpoint.")
    description: Annotated[str | None, LIVE] = Field(None, description="What the endpoint is for, as Azure ML studio shows it.")
    properties: Annotated[Mapping[str, str], GENERATION] = Field(
        default_factory=dict, description="Properties of each Azure deployment: like tags, but Azure never changes one."
    )

    @model_validator(mode="after")
    def _of_this_compute(self) -> Self:
        # Without a compute it is that of what is deployed, which isn't known here.
        if "compute" in self.model_fields_set and (wrong := self.misplaced()):
            raise ValueError(wrong)
        return self

    def misplaced(self) -> str:
        """What doesn't go with the compute that was chosen, and why; "" where all does."""
        if self.compute != "aci" and (names := [name for name in _OF_GROUPS if getattr(self, name) is not None]):
            return f"{names[0]} is for compute aci alone"
        return {"managed": _managed, "aks": _on_cluster, "aci": _group}[self.compute](self)

    @field_validator("tags")
    @classmethod
    def _tags_that_azure_takes(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        if len(tags) > MOST_TAGS:
            raise ValueError(f"{len(tags)} tags: at most {MOST_TAGS}")
        for name, value in tags.items():
            if name in OUR_TAGS:
                raise ValueError(f"the tag {name} is kept for what it says of the deployment itself")
            if not name or len(name) > 512 or _UNTAGGABLE & set(name):
                raise ValueError(f"{name!r} can't name a tag: up to 512 characters without < > % & \\ ? /")
            if len(value) > 256:
                raise ValueError(f"the value of tag {name} has {len(value)} characters: at most 256")
        return tags


def _managed(config: AzureMlConfig) -> str:
    given = {"compute_target": config.compute_target, "resources": config.resources}
    if names := [name for name, value in given.items() if value is not None]:
        return f"{names[0]} is for compute aks alone; instance_type says how large managed instances are"
    if config.scale_settings.type != "default":
        return (
            "scale_settings.type target_utilization is for compute aks alone: managed deployments go by instance_count, "
            "and Azure Monitor scales them (az monitor autoscale create)"
        )
    if config.instance_type and not config.instance_type.startswith(("Standard_", "Basic_")):
        return f"instance_type {config.instance_type} is not a size of Azure's, such as {DEFAULT_INSTANCE_TYPE}"
    if config.instance_count > MOST_INSTANCES:
        return f"instance_count is {config.instance_count}: managed deployments have at most {MOST_INSTANCES} instances"
    return _too_long(config)


def _on_cluster(config: AzureMlConfig) -> str:
    if config.compute_target is None:
        return "compute aks needs compute_target: the name under which the cluster is attached to the workspace"
    if config.auth_mode == "aad_token":
        return "auth_mode aad_token is for compute managed alone; aks has key and aml_token"
    if config.egress_public_network_access is not None or config.public_network_access != "enabled":
        return "public_network_access and egress_public_network_access are for compute managed alone: the cluster's network decides"
    return _too_long(config)


def _too_long(config: AzureMlConfig) -> str:
    given, most = config.request_settings.request_timeout_ms, LONGEST_REQUEST_MS[config.compute]
    return f"request_settings.request_timeout_ms is {given}: at most {most} with compute {config.compute}" if given > most else ""


def _group(config: AzureMlConfig) -> str:
    fields = type(config).model_fields
    if names := [name for name in _NOT_OF_GROUPS if getattr(config, name) != fields[name].get_default(call_default_factory=True)]:
        return f"{names[0]} is not for compute aci: a container group has cpu and memory, one container, and keys"
    if config.dns_name_label and config.subnet_id:
        return "dns_name_label and subnet_id exclude each other: a container group in a virtual network has no public name"
    return ""
