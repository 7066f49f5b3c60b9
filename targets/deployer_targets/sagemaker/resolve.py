"""What the user left open, asked of AWS: the image by digest, the role, the bucket, whether the environment changed, and what this can't run on."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

from deployer.core.container import with_packages
from deployer.core.state import Digest, Image, Record, digest_of
from deployer.core.target import DeploymentRequest, DeploymentSpec, environment_of, generation_of, record_of, secrets_of
from deployer.errors import ConfigInvalid, DeployerError, PermissionDenied, TargetUnavailable
from deployer_targets.sagemaker import defaults, instances, places, plan
from deployer_targets.sagemaker.client import Aws, values_of
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.names import MODEL, Home
from deployer_targets.sagemaker.registry import CONTAINER_NAME, registry
from deployer_targets.sagemaker.view import Seen, view_of

Ask = DeploymentRequest[SageMakerConfig]


def resolve(request: Ask, observed: Seen | None, cloud: Aws) -> DeploymentSpec[SageMakerConfig]:
    """The spec in full; changes nothing.

    Raises:
        ConfigInvalid: no such instance type, no role, no image, an image or a model that doesn't fit, or another bucket than the deployment's;
            a bucket, role or image of another region or account.
    """
    _check_instance_type(request.config, observed)
    kept = partial(_kept_environment, cloud=cloud)
    environment = with_packages(environment_of(request, observed, kept), request.packages)
    config = request.config.model_copy(
        update={
            "bucket": _bucket(request.config, observed, cloud),
            "execution_role_arn": request.config.execution_role_arn or _role(observed, cloud),
            "env": environment,
        }
    )
    serving = observed.record.options if observed and observed.record else {}
    if "bucket" not in serving:  # what serves does so from there
        places.check_bucket(cloud, str(config.bucket))
    if config.execution_role_arn != serving.get("execution_role_arn"):
        places.check_role(cloud, str(config.execution_role_arn))
    config = _with_keys(config, cloud)
    _refuse_at_start_without_network(request, config)
    image = _image(request, config, cloud)
    places.check_image(image.reference, cloud.region)
    if config.serverless_config is None:
        instances.check_platform(image, config.instance_type)
    instances.check_disk(
        request.model.facts.size,
        instance_type=config.instance_type,
        volume_size_in_gb=config.volume_size_in_gb,
        serverless=config.serverless_config is not None,
    )
    image = _with_warnings(image, request, config)
    secrets = secrets_of(environment, observed, kept)
    # Made already, perhaps by another version of this tool: then its resources keep the names that they have.
    generation = generation_of(request, image, config, secrets)
    known = observed.records.get(generation) if observed else None
    resources = known.resources if known else plan.resources_of(Home(str(config.bucket), request.name), request.model, image, config, secrets)
    record = record_of(request, image, config, resources, secrets=secrets)
    return DeploymentSpec(record, config, image, request.model.path)


def _check_instance_type(config: SageMakerConfig, observed: Seen | None) -> None:
    """What serves already, perhaps deployed by somebody with a newer boto3, needs no proof."""
    serving = observed.record.options.get("instance_type") if observed and observed.record else None
    if config.instance_type != serving:
        instances.check_type(config.instance_type, values_of("sagemaker", "ProductionVariantInstanceType"))


def _bucket(config: SageMakerConfig, observed: Seen | None, cloud: Aws) -> str:
    """The deployment's own, for all its life: its records are there."""
    home = view_of(observed).bucket
    if home and config.bucket and config.bucket != home:
        raise ConfigInvalid(f"{observed.name if observed else ''} keeps its records in {home}, not in {config.bucket}", advice="leave bucket out")
    return home or config.bucket or cloud.default_bucket


def _role(observed: Seen | None, cloud: Aws) -> str:
    """The role of what serves; else, as MLflow has it, the one that the caller has assumed, if SageMaker may assume it too."""
    recorded = observed.record.options.get("execution_role_arn") if observed and observed.record else None
    found = recorded or _assumed_role(cloud)
    if not found:
        raise ConfigInvalid(
            "no execution role is given: the role that SageMaker assumes to read the model and pull the image",
            advice="-C execution_role_arn=arn:aws:iam::ACCOUNT:role/NAME, or Model.ExecutionRoleArn in the SageMaker SDK's config.yaml",
        )
    return str(found)


def _assumed_role(cloud: Aws) -> str | None:
    parts = cloud.identity.arn.split(":", 5)[-1].split("/")
    if parts[0] != "assumed-role" or len(parts) < 2:
        return None
    try:
        role = cloud.find("iam", "get_role", RoleName=parts[1])
    except (PermissionDenied, TargetUnavailable):
        return None
    return role["Role"]["Arn"] if role and "sagemaker.amazonaws.com" in str(role["Role"].get("AssumeRolePolicyDocument")) else None


def _with_keys(config: SageMakerConfig, cloud: Aws) -> SageMakerConfig:
    """Captured data and asynchronous answers are encrypted by the key of the SageMaker SDK's defaults files, where the options name none."""
    capture, answers = config.data_capture_config, config.async_inference_config
    if not (capture and capture.kms_key_id is None) and not (answers and answers.output_config.kms_key_id is None):
        return config
    keys = defaults.keys_for(os.environ, lambda url: defaults.fetch_from_s3(cloud, url))
    if capture and capture.kms_key_id is None and (key := keys.get("data_capture_config")):
        capture = capture.model_copy(update={"kms_key_id": key})
    if answers and answers.output_config.kms_key_id is None and (key := keys.get("async_inference_config")):
        answers = answers.model_copy(update={"output_config": answers.output_config.model_copy(update={"kms_key_id": key})})
    return config.model_copy(update={"data_capture_config": capture, "async_inference_config": answers})


def _refuse_at_start_without_network(request: Ask, config: SageMakerConfig) -> None:
    if request.packages == "at-start" and config.enable_network_isolation:
        raise ConfigInvalid(
            "--packages at-start installs packages when the container starts, and enable_network_isolation gives it no network",
            advice="build an image that has them: deploy build-and-push-container --for MODEL",
        )


def _image(request: Ask, config: SageMakerConfig, cloud: Aws) -> Image:
    from deployer.oci import DOCKER_MANIFEST, Reference, is_elsewhere
    from deployer_images import choosing

    found = registry(cloud)
    ours = found.repository(CONTAINER_NAME, create=False).on(instances.platform_for(config))
    private = config.image_config is not None and config.image_config.repository_access_mode == "Vpc"
    named = config.image_url
    if named and private:
        return _private(named, Reference.parse(named), found.elsewhere)
    if named and not private and is_elsewhere(named) and not found.has(Reference.parse(named)):
        raise ConfigInvalid(
            f"SageMaker can't pull {Reference.parse(named)}: it takes images from ECR alone",
            advice="push it to ECR, or, where a VPC reaches the registry, image_config={RepositoryAccessMode: Vpc} and vpc_config",
        )
    image = choosing.image_for(
        ours,
        request.model,
        recorded=request.image,
        named=named,
        packages=request.packages,
        elsewhere=found.elsewhere,
        accelerator=instances.accelerator(config),
    )
    if named:
        # CreateModel refuses OCI manifests and indexes, after minutes; this says so at once.
        reference = Reference.parse(image.reference)
        found.elsewhere(reference).describe(reference.which, formats={DOCKER_MANIFEST})
    return image


def _with_warnings(image: Image, request: Ask, config: SageMakerConfig) -> Image:
    """An image whose packages are still to be made, saying what they may be too large for."""
    if image.planned is None:
        return image
    warning = instances.too_large(
        image.planned.size,
        request.model.facts.size,
        instance_type=config.instance_type,
        volume_size_in_gb=config.volume_size_in_gb,
        serverless=config.serverless_config is not None,
    )
    return replace(image, planned=replace(image.planned, warnings=(*image.planned.warnings, warning))) if warning else image


def _private(named: str, reference: Any, elsewhere: Any) -> Image:
    """An image of a private registry, which this machine may not reach."""
    try:
        image: Image = elsewhere(reference).describe(reference.which)
        return image
    except DeployerError:
        return Image(named, Digest(reference.digest or digest_of(named)), tag=reference.tag, platform="")


def _kept_environment(record: Record, cloud: Aws) -> dict[str, str] | None:
    """The environment of a generation as AWS keeps it, or None where its model is gone."""
    if not record.secrets:
        return {}
    for resource in record.resources:
        if resource.kind == MODEL:
            found = cloud.content("sagemaker", "describe_model", ModelName=resource.name)
            return dict((found.get("PrimaryContainer") or {}).get("Environment") or {}) if found else None
    return None
