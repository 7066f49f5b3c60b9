"""What Describe calls answer, in botocore's own names. Times are seconds since the epoch, as JSON 1.1 has them."""

from __future__ import annotations

from typing import Any

from deployer_localstack.aws.sagemaker.store import DeployedConfig, Endpoint, Stage, StoredResource, Variant
from deployer_localstack.aws.shapes import output_members


def describe_model(model: StoredResource) -> dict[str, Any]:
    document = {**model.document, "ModelArn": model.arn, "CreationTime": model.created.timestamp()}
    document.setdefault("EnableNetworkIsolation", False)
    return output_members("sagemaker", "DescribeModel", document)


def describe_config(config: StoredResource) -> dict[str, Any]:
    document = {**config.document, "EndpointConfigArn": config.arn, "CreationTime": config.created.timestamp()}
    document.setdefault("EnableNetworkIsolation", False)
    return output_members("sagemaker", "DescribeEndpointConfig", document)


def describe_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """The configuration's name is the one that serves, until another does (the first one's while there is none)."""
    document: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created.timestamp(),
        "LastModifiedTime": endpoint.modified.timestamp(),
    }
    if endpoint.failure_reason:
        document["FailureReason"] = endpoint.failure_reason
    if endpoint.last_deployment_config:
        document["LastDeploymentConfig"] = endpoint.last_deployment_config
    if endpoint.current:
        document |= _serving(endpoint.current)
    if endpoint.pending:
        document["PendingDeploymentSummary"] = _pending(endpoint.pending)
    return document


def _serving(deployment: DeployedConfig) -> dict[str, Any]:
    document: dict[str, Any] = {"ProductionVariants": [_variant(each) for each in deployment.variants]}
    if deployment.shadows:
        document["ShadowProductionVariants"] = [_variant(each) for each in deployment.shadows]
    for name in ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig"):
        if name in deployment.document:
            document[name] = deployment.document[name]
    if capture := deployment.document.get("DataCaptureConfig"):
        document["DataCaptureConfig"] = {
            "EnableCapture": bool(capture.get("EnableCapture", True)),
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    return document


def _pending(deployment: DeployedConfig) -> dict[str, Any]:
    stage = deployment.stage
    status: dict[str, Any] = {"Status": stage.status, "StartTime": stage.since.timestamp()}
    if stage.share:
        status["StatusMessage"] = f"{100 * stage.share:.4g} percent of the traffic"
    variants = []
    for each in deployment.variants:
        document = _variant(each)
        document["CurrentWeight"] = each.weight * stage.share
        if each.count is not None:
            document["CurrentInstanceCount"] = 0 if stage.status == "Creating" else _instances_of(each.count, stage)
        if each.instance_type:
            document["InstanceType"] = each.instance_type
        variants.append({**document, "VariantStatus": [status]})
    return {"EndpointConfigName": deployment.config, "ProductionVariants": variants, "StartTime": deployment.started.timestamp()}


def _instances_of(count: int, stage: Stage) -> int:
    """The instances of the new fleet: all of them, unless it comes batch by batch."""
    return round(count * stage.share) if stage.rolling else count


def _variant(variant: Variant) -> dict[str, Any]:
    document: dict[str, Any] = {"VariantName": variant.name, "CurrentWeight": variant.weight, "DesiredWeight": variant.weight}
    if variant.count is not None:
        document |= {"CurrentInstanceCount": variant.count, "DesiredInstanceCount": variant.count}
    if variant.images:
        document["DeployedImages"] = [
            {"SpecifiedImage": specified, "ResolvedImage": resolved, "ResolutionTime": variant.since.timestamp()}
            for specified, resolved in variant.images
        ]
    if serverless := variant.document.get("ServerlessConfig"):
        document |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    for name in ("ManagedInstanceScaling", "RoutingConfig"):
        if name in variant.document:
            document[name] = variant.document[name]
    return document
