"""The options of `compute: aks`: an attached cluster of Kubernetes, under Azure's own names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from deployer.core.quantities import Quantity, amount, exceeds


def _over_zero(text: str) -> str:
    if not amount(text):
        raise ValueError(f"{text!r} is not a quantity over 0, such as 500m, 2 or 1Gi")
    return text


PositiveQuantity = Annotated[Quantity, AfterValidator(_over_zero)]


class ResourceRequests(BaseModel):
    """What a node must have free for a container."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: PositiveQuantity = Field(description="Cores: 500m or 2.")
    memory: PositiveQuantity = Field(description="Bytes: 1Gi; at least 1 MB.")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if exceeds("1M", self.memory):
            raise ValueError(f"memory {self.memory}: Azure takes no less than 1 MB")
        return self


class ResourceLimits(BaseModel):
    """What a container gets at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: PositiveQuantity | None = Field(default=None, description="Cores.")
    memory: PositiveQuantity | None = Field(default=None, description="Bytes.")
    gpu: int | None = Field(default=None, ge=1, description="NVIDIA GPUs.")


class ResourceRequirements(BaseModel):
    """Requests and limits of a container on a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: ResourceRequests = Field(description="cpu and memory.")
    limits: ResourceLimits | None = Field(default=None, description="cpu, memory, gpu.")

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for name in ("cpu", "memory"):
            asked, most = getattr(self.requests, name), getattr(self.limits, name, None)
            if exceeds(asked, most):
                raise ValueError(f"requests.{name} is {asked}, more than limits.{name}, {most}")
        if self.limits and self.limits.gpu and not (self.limits.cpu and self.limits.memory):
            raise ValueError("with limits.gpu Azure wants limits.cpu and limits.memory too")
        return self


class ScaleSettings(BaseModel):
    """How many instances there are: instance_count, or as many as the load needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["default", "target_utilization"] = Field(default="default", description="default goes by instance_count.")
    min_instances: int = Field(default=1, ge=1, description="The least.")
    max_instances: int = Field(default=1, ge=1, description="The most.")
    target_utilization_percentage: int = Field(default=70, ge=1, le=100, description="Of the processors, that is aimed at.")
    polling_interval: int = Field(default=1, ge=1, description="Seconds between two looks.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(f"min_instances is {self.min_instances}, more than max_instances, {self.max_instances}")
        others = [name for name, field in type(self).model_fields.items() if name != "type" and getattr(self, name) != field.default]
        if self.type == "default" and others:
            raise ValueError(f"{', '.join(others)}: only with type target_utilization; otherwise instance_count says how many")
        return self
