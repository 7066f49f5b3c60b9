"""The calls of SageMaker's API that the local cloud answers itself; moto answers the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.images import Images
from deployer_localstack.aws.sagemaker.configs import Configs
from deployer_localstack.aws.sagemaker.endpoints import Endpoints
from deployer_localstack.aws.sagemaker.models import Models
from deployer_localstack.aws.sagemaker.rollout import Rollouts
from deployer_localstack.aws.sagemaker.store import RegionStore, SageMakerStore, read_tags, write_tags
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.aws.shapes import check

Parameters = Mapping[str, Any]


class SageMaker:
    """SageMaker's control plane."""

    def __init__(self, settings: AwsSettings, store: SageMakerStore, images: Images, rollouts: Rollouts) -> None:
        models, configs, endpoints = Models(settings, images), Configs(settings), Endpoints(settings, rollouts)
        self._store = store
        self._operations: Mapping[str, Callable[[RegionStore, Parameters], dict[str, Any]]] = {
            "CreateModel": models.create,
            "DescribeModel": models.describe,
            "ListModels": models.list_models,
            "DeleteModel": models.delete,
            "CreateEndpointConfig": configs.create,
            "DescribeEndpointConfig": configs.describe,
            "ListEndpointConfigs": configs.list_configs,
            "DeleteEndpointConfig": configs.delete,
            "CreateEndpoint": endpoints.create,
            "UpdateEndpoint": endpoints.update,
            "UpdateEndpointWeightsAndCapacities": endpoints.update_weights_and_capacities,
            "DescribeEndpoint": endpoints.describe,
            "ListEndpoints": endpoints.list_endpoints,
            "DeleteEndpoint": endpoints.delete,
        }
        self._tag_operations: Mapping[str, Callable[[dict[str, str], Parameters], dict[str, Any]]] = {
            "AddTags": _add_tags,
            "ListTags": _list_tags,
            "DeleteTags": _delete_tags,
        }

    def answer(self, place: AccountRegion, operation: str, parameters: Parameters) -> dict[str, Any] | None:
        """The answer; None leaves it to moto.

        Raises:
            AwsError: the request is refused.
        """
        check("sagemaker", operation, parameters)
        shelf = self._store.shelf(place)
        if handler := self._operations.get(operation):
            return handler(shelf, parameters)
        if tagging := self._tag_operations.get(operation):
            with shelf.lock:
                tags = shelf.tags_of(parameters["ResourceArn"])
                return None if tags is None else tagging(tags, parameters)
        if operation == "CreateTransformJob":
            self._refuse_transform_job(shelf, parameters)
        return None

    @staticmethod
    def _refuse_transform_job(shelf: RegionStore, parameters: Parameters) -> None:
        """moto takes any model's name; its jobs are Completed at once."""
        model = shelf.model(parameters["ModelName"])
        for container in model.document.get("Containers") or [model.document["PrimaryContainer"]]:
            source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
            if source.get("CompressionType") == "None":
                raise validation("Uncompressed model data is not supported for batch transform.")


def _add_tags(tags: dict[str, str], parameters: Parameters) -> dict[str, Any]:
    together = read_tags(parameters["Tags"], tags)
    tags.update(together)
    return {"Tags": write_tags(tags)}


def _list_tags(tags: dict[str, str], parameters: Parameters) -> dict[str, Any]:
    start, size = int(parameters.get("NextToken") or 0), int(parameters.get("MaxResults") or 50)
    found = write_tags(tags)
    page = {"Tags": found[start : start + size]}
    return {**page, "NextToken": str(start + size)} if len(found) > start + size else page


def _delete_tags(tags: dict[str, str], parameters: Parameters) -> dict[str, Any]:
    for key in parameters["TagKeys"]:
        tags.pop(key, None)
    return {}
