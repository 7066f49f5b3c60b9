"""The options: MLflow's under MLflow's names, and those that SageMaker has beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deployer.core.options import ANOTHER, GENERATION, LIVE, NOTHING, TargetConfig
from deployer.core.strategy_options import Course
from deployer.core.traffic import Strategy
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker.guardrails import wrong_guardrails
from deployer_targets.sagemaker.shapes import (
    AsyncInferenceConfig,
    DataCaptureConfig,
    ImageConfig,
    ManagedInstanceScaling,
    RoutingConfig,
    ServerlessConfig,
    VpcConfig,
)

RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$", max_length=2048)]
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_TAG = re.compile(r"[\w\s.:/=+\-@]*")


class SageMakerConfig(TargetConfig):
    """All options of a SageMaker deployment."""

    region_name: Annotated[str | None, NOTHING] = Field(None, description="The AWS region; default: the target URI's, the profile's, us-west-2.")
    assume_role_arn: Annotated[RoleArn | None, NOTHING] = Field(None, description="A role to assume for all calls; default: the target URI's.")
    external_id: Annotated[str | None, NOTHING] = Field(None, description="The external id that assume_role_arn's trust policy asks for.")
    endpoint_url: Annotated[str | None, NOTHING] = Field(
        None, description="One URL for all of AWS (the local cloud); AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> work too."
    )
    execution_role_arn: Annotated[RoleArn | None, GENERATION] = Field(
        None, description="The role that SageMaker assumes to read the model and pull the image; default: the SageMaker SDK's defaults files."
    )
    bucket: Annotated[str | None, ANOTHER] = Field(
        None, description="The S3 bucket for model data and records; default: sagemaker-REGION-ACCOUNT, made where absent."
    )
    kms_key: Annotated[str | None, GENERATION] = Field(
        None, max_length=2048, description="The KMS key that encrypts model data in S3 and the instances' EBS volumes."
    )
    model_data: Annotated[Literal["tar", "prefix"], GENERATION] = Field(
        "tar", description="How the model lies in S3: one tar.gz, or its files as they are, which starts faster."
    )
    instance_type: Annotated[str, GENERATION] = Field("ml.m5.large", pattern=f"^{_INSTANCE_TYPE.pattern}$", description="The instance type.")
    instance_count: Annotated[int, LIVE] = Field(1, ge=1, description="How many instances; kept as it is where autoscaling owns it.")
    variant_name: Annotated[str, GENERATION] = Field(
        "AllTraffic",
        pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
        description="The production variant's name; autoscaling is registered under it, so keep it.",
    )
    vpc_config: Annotated[VpcConfig | None, GENERATION] = Field(None, description="SecurityGroupIds and Subnets that the container runs in.")
    enable_network_isolation: Annotated[bool, GENERATION] = Field(False, description="No network in the container.")
    data_capture_config: Annotated[DataCaptureConfig | None, GENERATION] = Field(None, description="What of requests and answers is kept in S3.")
    async_inference_config: Annotated[AsyncInferenceConfig | None, GENERATION] = Field(
        None, description="Asynchronous inference: OutputConfig, ClientConfig."
    )
    serverless_config: Annotated[ServerlessConfig | None, GENERATION] = Field(
        None, description="Serverless inference: MemorySizeInMB, MaxConcurrency, ProvisionedConcurrency; instance options don't count then."
    )
    container_startup_timeout: Annotated[int | None, GENERATION] = Field(
        None, ge=60, le=3600, description="Seconds until the container must answer health checks (the platform's default is 8 minutes)."
    )
    model_data_download_timeout: Annotated[int | None, GENERATION] = Field(None, ge=60, le=3600, description="Seconds for the download of the model.")
    volume_size_in_gb: Annotated[int | None, GENERATION] = Field(None, ge=1, le=512, description="The EBS volume of each instance, in GB.")
    inference_ami_version: Annotated[str | None, GENERATION] = Field(None, description="The host image of GPU instances.")
    routing_config: Annotated[RoutingConfig | None, GENERATION] = Field(None, description="RoutingStrategy: how requests are spread over instances.")
    managed_instance_scaling: Annotated[ManagedInstanceScaling | None, GENERATION] = Field(
        None, description="Status, MinInstanceCount, MaxInstanceCount: SageMaker scales the instances itself."
    )
    image_config: Annotated[ImageConfig | None, GENERATION] = Field(
        None, description="RepositoryAccessMode: Vpc for an image in a private registry that the VPC reaches."
    )
    tags: Annotated[Mapping[str, str], LIVE] = Field(default_factory=dict, description="Tags of the endpoint, its configs and models.")
    mode: Annotated[Literal["create", "replace"] | None, NOTHING] = Field(
        None, description="As MLflow has it, where it makes sense: create and replace; the verb decides. add is refused."
    )

    @field_validator("instance_type", mode="before")
    @classmethod
    def _instance_type_as_endpoints_have_it(cls, value: Any) -> Any:
        """EC2's name of it, or one in capitals, is told how SageMaker writes it."""
        written = f"ml.{str(value).strip().lower().removeprefix('ml.')}"
        if isinstance(value, str) and value != written and _INSTANCE_TYPE.fullmatch(written):
            raise ValueError(f"{value} is not an instance type of SageMaker endpoints; did you mean {written}?")
        return value

    @field_validator("tags", mode="before")
    @classmethod
    def _tags_in_either_form(cls, value: Any) -> Any:
        """A mapping, or the API's list of Key and Value."""
        if isinstance(value, (list, tuple)):
            if not all(isinstance(tag, Mapping) and set(tag) == {"Key", "Value"} for tag in value):
                raise ValueError("tags are a mapping, or a list of {Key, Value}")
            return {tag["Key"]: tag["Value"] for tag in value}
        if isinstance(value, Mapping):
            return {str(key): str(text) for key, text in value.items()}
        return value

    @field_validator("tags")
    @classmethod
    def _tags_within_limits(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        if len(tags) > 50 - len(names.own_tags("", "", "")):
            raise ValueError("a resource has at most 50 tags, three of them ours")
        for key, value in tags.items():
            if key.lower().startswith(("aws:", "deployer:")):
                raise ValueError(f"the tag {key} has a reserved prefix")
            if not 1 <= len(key) <= 128 or len(value) > 256:
                raise ValueError(f"the tag {key[:40]} is too long: keys have 1 to 128 characters, values at most 256")
            if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
                raise ValueError(f"the tag {key} has a character that AWS doesn't take: letters, digits, spaces and _.:/=+-@ are")
        return tags

    @field_validator("env")
    @classmethod
    def _environment_within_limits(cls, env: Mapping[str, str]) -> Mapping[str, str]:
        """CreateModel's limits; no value may stand in a message."""
        if len(env) > 100:
            raise ValueError(f"at most 100 environment variables are allowed, {len(env)} are given")
        for key, value in env.items():
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,1023}", key):
                raise ValueError(f"{key[:40]!r} can't name an environment variable")
            if len(value) > 1024:
                raise ValueError(f"the value of {key} is longer than 1024 characters")
        if sum(len(key) + len(value) for key, value in env.items()) > 32768:
            raise ValueError("the environment is larger than 32 KB in all")
        return env

    @field_validator("mode", mode="before")
    @classmethod
    def _no_second_model_beside(cls, value: Any) -> Any:
        if value == "add":
            raise ValueError(
                "mode add would leave two models behind one endpoint, answering by chance: use update (strategy=canary "
                "shifts traffic by steps), or create a second deployment"
            )
        return value

    @model_validator(mode="after")
    def _what_serverless_cannot(self) -> Self:
        if self.serverless_config is None:
            return self
        cannot = ("vpc_config", "enable_network_isolation", "data_capture_config", "async_inference_config", "volume_size_in_gb", "image_config")
        refused = [name for name in (*cannot, "routing_config", "managed_instance_scaling", "inference_ami_version") if getattr(self, name)]
        if self.model_data == "prefix":
            refused.append("model_data=prefix")
        if refused:
            raise ValueError(f"serverless inference doesn't take {', '.join(refused)}")
        return self

    @model_validator(mode="after")
    def _what_sagemaker_can_do_of_a_strategy(self) -> Self:
        if self.serverless_config is not None and self.strategy is not Strategy.ALL_AT_ONCE:
            raise ValueError(f"serverless inference has no strategy {self.strategy}: one variant serves, all at once")
        if "strategy" in self.model_fields_set and (wrong := wrong_guardrails(self.asked)):
            raise ValueError(wrong)
        return self

    @property
    def asked(self) -> Course:
        """The strategy as it is asked for, whoever does it."""
        return super().course

    @property
    def course(self) -> Course:
        """What is left for us to do: where alarms are named, SageMaker shifts the traffic itself, within one update."""
        return replace(self.asked, steps=()) if self.asked.checks.alarms else self.asked

    @property
    def counted(self) -> bool:
        """Whether a number of instances is ours to say."""
        scaling = self.managed_instance_scaling
        return self.serverless_config is None and not (scaling and scaling.status == "ENABLED")
