"""The nested options, as SageMaker's API has them: its CamelCase keys and ours are both taken, unknown ones refused with the nearest known one.

Names, limits and choices are those of botocore's model of the service; a test holds every field here against it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_pascal


class Shape(BaseModel):
    """A structure of the API. `to_cloud` gives it back in the API's own form."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_pascal, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        known = {alias for name, field in cls.model_fields.items() for alias in (name, field.alias or name)}
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
                choices = ", ".join(field.alias or name for name, field in cls.model_fields.items())
                raise ValueError(f"{key} is not a key of {cls.__name__}; " + (f"did you mean {near[0]}?" if near else f"it has {choices}"))
        return value

    def to_cloud(self) -> dict[str, Any]:
        """The API's form, what isn't given left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


SecurityGroupId = Annotated[str, Field(max_length=32, pattern=r"^[-0-9a-zA-Z]+$")]
SubnetId = Annotated[str, Field(max_length=32, pattern=r"^[-0-9a-zA-Z]+$")]
S3Url = Annotated[str, Field(max_length=512, pattern=r"^(https|s3)://([^/])/?(.*)$")]
KmsKey = Annotated[str, Field(max_length=2048, pattern=r"^[a-zA-Z0-9:/_-]*$")]
TopicArn = Annotated[str, Field(max_length=2048, pattern=r"^arn:aws[a-z\-]*:sns:[a-z0-9\-]*:[0-9]{12}:[a-zA-Z0-9_.-]+$")]


class VpcConfig(Shape):
    security_group_ids: tuple[SecurityGroupId, ...] = Field(min_length=1, max_length=5)
    subnets: tuple[SubnetId, ...] = Field(min_length=1, max_length=16)


class CaptureOption(Shape):
    capture_mode: Literal["Input", "Output", "InputAndOutput"]


class CaptureContentTypeHeader(Shape):
    csv_content_types: tuple[str, ...] | None = Field(None, min_length=1, max_length=10)
    json_content_types: tuple[str, ...] | None = Field(None, min_length=1, max_length=10)


class DataCaptureConfig(Shape):
    enable_capture: bool | None = None
    initial_sampling_percentage: int = Field(ge=0, le=100)
    destination_s3_uri: S3Url
    kms_key_id: KmsKey | None = None
    capture_options: tuple[CaptureOption, ...] = Field(min_length=1, max_length=32)
    capture_content_type_header: CaptureContentTypeHeader | None = None


class AsyncInferenceClientConfig(Shape):
    max_concurrent_invocations_per_instance: int | None = Field(None, ge=1, le=1000)


class AsyncInferenceNotificationConfig(Shape):
    success_topic: TopicArn | None = None
    error_topic: TopicArn | None = None
    include_inference_response_in: tuple[Literal["SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC"], ...] | None = Field(None, max_length=2)


class AsyncInferenceOutputConfig(Shape):
    kms_key_id: KmsKey | None = None
    s3_output_path: S3Url | None = None
    notification_config: AsyncInferenceNotificationConfig | None = None
    s3_failure_path: S3Url | None = None


class AsyncInferenceConfig(Shape):
    client_config: AsyncInferenceClientConfig | None = None
    output_config: AsyncInferenceOutputConfig


class ServerlessConfig(Shape):
    memory_size_in_mb: int = Field(alias="MemorySizeInMB", ge=1024, le=6144, multiple_of=1024)
    max_concurrency: int = Field(ge=1, le=200)
    provisioned_concurrency: int | None = Field(None, ge=1, le=200)

    @model_validator(mode="after")
    def _provisioned_within_maximum(self) -> Self:
        if self.provisioned_concurrency is not None and self.provisioned_concurrency > self.max_concurrency:
            raise ValueError("ProvisionedConcurrency is more than MaxConcurrency")
        return self


class PrefixAwareRoutingConfig(Shape):
    prefix_length: int | None = Field(None, ge=1024, le=65536)
    concurrency_threshold: int | None = Field(None, ge=1, le=1024)


class RoutingConfig(Shape):
    routing_strategy: Literal["LEAST_OUTSTANDING_REQUESTS", "RANDOM", "PREFIX_AWARE", "KV_AWARE"]
    prefix_aware_routing_config: PrefixAwareRoutingConfig | None = None


class ScaleInPolicy(Shape):
    strategy: Literal["IDLE_RELEASE", "CONSOLIDATION"]
    maximum_step_size: int | None = Field(None, ge=1, le=100)
    cooldown_in_minutes: int | None = Field(None, ge=5, le=1440)


class ManagedInstanceScaling(Shape):
    status: Literal["ENABLED", "DISABLED"] | None = None
    min_instance_count: int | None = Field(None, ge=0)
    max_instance_count: int | None = Field(None, ge=1)
    scale_in_policy: ScaleInPolicy | None = None


class RepositoryAuthConfig(Shape):
    repository_credentials_provider_arn: str = Field(min_length=1, max_length=2048)


class ImageConfig(Shape):
    repository_access_mode: Literal["Platform", "Vpc"]
    repository_auth_config: RepositoryAuthConfig | None = None
