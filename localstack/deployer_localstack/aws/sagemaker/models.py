"""CreateModel and its siblings: what a model may say, and what must be there when it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer_localstack.aws import ground
from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.images import Images
from deployer_localstack.aws.model_data import model_data, refuse_inaccessible
from deployer_localstack.aws.sagemaker.describe import describe_model
from deployer_localstack.aws.sagemaker.listing import page
from deployer_localstack.aws.sagemaker.store import RegionStore, StoredResource, read_tags
from deployer_localstack.aws.settings import AwsSettings

Parameters = Mapping[str, Any]

_ENVIRONMENT_BYTES = 32 * 1024


class Models:
    """The API's calls on models."""

    def __init__(self, settings: AwsSettings, images: Images) -> None:
        self._settings = settings
        self._images = images

    def create(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        name = parameters["ModelName"]
        tags = read_tags(parameters.get("Tags"))
        containers = self._containers(parameters)
        role = parameters.get("ExecutionRoleArn")
        if not role:
            raise validation("Execution role ARN is required for the model to access its image and data.")
        if not ground.role_trusts(role, "sagemaker.amazonaws.com"):
            raise validation(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role."
            )
        with shelf.lock:
            shelf.refuse_existing(shelf.models, "model", "model", name)
        for container in containers:
            self._refuse_container(shelf, container, role)
        with shelf.lock:
            shelf.refuse_existing(shelf.models, "model", "model", name)
            shelf.models[name] = StoredResource(name, shelf.place.arn("model", name), dict(parameters), tags)
            return {"ModelArn": shelf.models[name].arn}

    def describe(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        return describe_model(shelf.model(parameters["ModelName"]))

    def list_models(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        found, token = page(list(shelf.models.values()), parameters, lag_seconds=self._settings.list_lag_seconds)
        models = [{"ModelName": each.name, "ModelArn": each.arn, "CreationTime": each.created.timestamp()} for each in found]
        return {"Models": models} | ({"NextToken": token} if token else {})

    def delete(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        """Also while endpoints serve it, as the real service allows."""
        with shelf.lock:
            del shelf.models[shelf.model(parameters["ModelName"]).name]
        return {}

    @staticmethod
    def _containers(parameters: Parameters) -> list[Parameters]:
        primary, several = parameters.get("PrimaryContainer"), parameters.get("Containers")
        if bool(primary) == bool(several):
            raise validation("You must provide either PrimaryContainer or Containers, and not both.")
        return [primary] if primary else list(several or ())

    def _refuse_container(self, shelf: RegionStore, container: Parameters, role: str) -> None:
        if "Image" not in container:
            if "ModelPackageName" in container:
                raise validation("The local cloud has no model packages.")
            raise validation("Image is required for a container.")
        environment = container.get("Environment") or {}
        total = sum(len(key.encode()) + len(value.encode()) for key, value in environment.items())
        if total > _ENVIRONMENT_BYTES:
            raise validation(f"The environment variables have {total} bytes in all; at most {_ENVIRONMENT_BYTES} are allowed.")
        if container.get("ModelDataUrl") and container.get("ModelDataSource"):
            raise validation("You must provide either ModelDataUrl or ModelDataSource, and not both.")
        vpc = (container.get("ImageConfig") or {}).get("RepositoryAccessMode") == "Vpc"
        self._images.resolve(shelf.place, container["Image"], vpc_registry=vpc)
        self._refuse_data(shelf, container, role)

    @staticmethod
    def _refuse_data(shelf: RegionStore, container: Parameters, role: str) -> None:
        source = (container.get("ModelDataSource") or {}).get("S3DataSource")
        if source:
            is_prefix = source["S3DataType"] == "S3Prefix"
            if is_prefix and not source["S3Uri"].endswith("/"):
                raise validation(f'S3Uri "{source["S3Uri"]}" must end with a forward slash (/) when S3DataType is S3Prefix.')
            if is_prefix and source["CompressionType"] != "None":
                raise validation("CompressionType must be None when S3DataType is S3Prefix and Mode is SingleModel.")
            if is_prefix and container.get("Mode") == "MultiModel":
                raise validation("Uncompressed model data is not supported for multi-model endpoints.")
        data = model_data(container)
        if data and container.get("Mode") != "MultiModel":
            refuse_inaccessible(shelf.place, data, role)
