"""CreateEndpointConfig and its siblings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.sagemaker.describe import describe_config
from deployer_localstack.aws.sagemaker.listing import page
from deployer_localstack.aws.sagemaker.store import RegionStore, StoredResource, read_tags
from deployer_localstack.aws.settings import AwsSettings

Parameters = Mapping[str, Any]


class Configs:
    """The API's calls on endpoint configurations."""

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings

    def create(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        name = parameters["EndpointConfigName"]
        tags = read_tags(parameters.get("Tags"))
        variants = [*parameters["ProductionVariants"], *parameters.get("ShadowProductionVariants", ())]
        with shelf.lock:
            shelf.refuse_existing(shelf.configs, "endpoint configuration", "endpoint-config", name)
            for variant in variants:
                _refuse_variant(shelf, variant, parameters)
            _refuse_together(variants, parameters)
            shelf.configs[name] = StoredResource(name, shelf.place.arn("endpoint-config", name), dict(parameters), tags)
            return {"EndpointConfigArn": shelf.configs[name].arn}

    def describe(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        return describe_config(shelf.config(parameters["EndpointConfigName"]))

    def list_configs(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        found, token = page(list(shelf.configs.values()), parameters, lag_seconds=self._settings.list_lag_seconds)
        configs = [{"EndpointConfigName": each.name, "EndpointConfigArn": each.arn, "CreationTime": each.created.timestamp()} for each in found]
        return {"EndpointConfigs": configs} | ({"NextToken": token} if token else {})

    def delete(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        """Not while an endpoint is being made of it or changed to or from it."""
        with shelf.lock:
            config = shelf.config(parameters["EndpointConfigName"])
            for endpoint in shelf.endpoints.values():
                used = {each.config for each in (endpoint.current, endpoint.pending) if each} | {endpoint.config}
                if config.name in used and endpoint.status in {"Creating", "Updating", "RollingBack"}:
                    raise validation(f'Cannot delete endpoint configuration "{config.arn}" while endpoint "{endpoint.arn}" is {endpoint.status}.')
            del shelf.configs[config.name]
        return {}


def _refuse_variant(shelf: RegionStore, variant: Parameters, parameters: Parameters) -> None:
    if "ModelName" not in variant:
        raise validation("The local cloud has no inference components: ModelName is required for a variant.")
    model = shelf.model(variant["ModelName"])
    serverless = "ServerlessConfig" in variant
    if serverless and ("InstanceType" in variant or "InitialInstanceCount" in variant):
        raise validation(f"Variant {variant['VariantName']}: InstanceType and InitialInstanceCount cannot be specified with ServerlessConfig.")
    if not serverless and "InstanceType" not in variant:
        raise validation(f"Variant {variant['VariantName']}: InstanceType is required without ServerlessConfig.")
    if not serverless and "InitialInstanceCount" not in variant and "ManagedInstanceScaling" not in variant:
        raise validation(f"Variant {variant['VariantName']}: InitialInstanceCount is required without ServerlessConfig.")
    if not serverless:
        return
    memory = variant["ServerlessConfig"]["MemorySizeInMB"]
    if memory % 1024:
        raise validation(f"MemorySizeInMB {memory} is not one of 1024, 2048, 3072, 4096, 5120, 6144.")
    for unsupported in ("AsyncInferenceConfig", "DataCaptureConfig", "KmsKeyId"):
        if unsupported in parameters:
            raise validation(f"{unsupported} is not supported for serverless endpoints.")
    for container in model.document.get("Containers") or [model.document["PrimaryContainer"]]:
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        if source.get("CompressionType") == "None":
            raise validation("Uncompressed model data is not supported for serverless endpoints.")
    if model.document.get("VpcConfig") or model.document.get("EnableNetworkIsolation"):
        raise validation("VpcConfig and EnableNetworkIsolation are not supported for serverless endpoints.")


def _refuse_together(variants: list[Parameters], parameters: Parameters) -> None:
    names = [variant["VariantName"] for variant in variants]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise validation(f"Duplicate variant names are not allowed: {', '.join(twice)}")
    if len({"ServerlessConfig" in variant for variant in variants}) > 1:
        raise validation("Serverless and instance-based variants cannot be mixed in one endpoint configuration.")
    if "AsyncInferenceConfig" in parameters and len(variants) > 1:
        raise validation("Asynchronous inference supports a single production variant.")
