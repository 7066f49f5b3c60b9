"""CreateEndpoint, UpdateEndpoint and their siblings: what is allowed in which state. What then happens is in `rollout`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer_localstack.aws import ground
from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.sagemaker import guardrails
from deployer_localstack.aws.sagemaker.describe import describe_endpoint
from deployer_localstack.aws.sagemaker.listing import page
from deployer_localstack.aws.sagemaker.quotas import refuse_over_quota
from deployer_localstack.aws.sagemaker.rollout import Rollouts
from deployer_localstack.aws.sagemaker.store import DeployedConfig, Endpoint, RegionStore, StoredResource, Variant, read_tags
from deployer_localstack.aws.settings import AwsSettings

Parameters = Mapping[str, Any]

_BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class Endpoints:
    """The API's calls on endpoints."""

    def __init__(self, settings: AwsSettings, rollouts: Rollouts) -> None:
        self._settings = settings
        self._rollouts = rollouts

    def create(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        name = parameters["EndpointName"]
        tags = read_tags(parameters.get("Tags"))
        with shelf.lock:
            shelf.refuse_existing(shelf.endpoints, "endpoint", "endpoint", name)
            config = shelf.config(parameters["EndpointConfigName"])
            deployment = _deployment(config)
            guardrails.refuse(parameters.get("DeploymentConfig"), deployment)
            refuse_over_quota(shelf, self._settings, [*deployment.variants, *deployment.shadows])
            endpoint = Endpoint(name, shelf.place.arn("endpoint", name), config.name, tags, pending=deployment)
            endpoint.last_deployment_config = parameters.get("DeploymentConfig")
            shelf.endpoints[name] = endpoint
            self._rollouts.create(shelf, endpoint)
        return {"EndpointArn": endpoint.arn}

    def update(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        with shelf.lock:
            endpoint = shelf.endpoint(parameters["EndpointName"])
            _refuse_unless_in_service(endpoint, "update")
            config = shelf.config(parameters["EndpointConfigName"])
            asked = parameters.get("DeploymentConfig")
            if asked and parameters.get("RetainDeploymentConfig"):
                raise validation("DeploymentConfig and RetainDeploymentConfig cannot be specified together.")
            if parameters.get("ExcludeRetainedVariantProperties") and not parameters.get("RetainAllVariantProperties"):
                raise validation("ExcludeRetainedVariantProperties can only be specified with RetainAllVariantProperties.")
            deployment = _deployment(config)
            _refuse_autoscaled_change(shelf, endpoint, deployment)
            if parameters.get("RetainAllVariantProperties"):
                _retain(endpoint, deployment, parameters.get("ExcludeRetainedVariantProperties") or ())
            guardrails.refuse(asked, deployment, endpoint.current)
            refuse_over_quota(shelf, self._settings, [*deployment.variants, *deployment.shadows])
            if not parameters.get("RetainDeploymentConfig"):
                endpoint.last_deployment_config = asked
            endpoint.pending = deployment
            endpoint.become("Updating")
            self._rollouts.update(shelf, endpoint)
        return {"EndpointArn": endpoint.arn}

    def update_weights_and_capacities(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        with shelf.lock:
            endpoint = shelf.endpoint(parameters["EndpointName"])
            _refuse_unless_in_service(endpoint, "update")
            assert endpoint.current is not None
            known = {variant.name: variant for variant in endpoint.current.variants}
            for change in parameters["DesiredWeightsAndCapacities"]:
                if change["VariantName"] not in known:
                    raise validation(f'The variant name(s) "{change["VariantName"]}" is/are not present within endpoint "{endpoint.name}".')
            for change in parameters["DesiredWeightsAndCapacities"]:
                variant = known[change["VariantName"]]
                variant.weight = float(change.get("DesiredWeight", variant.weight))
                variant.count = change.get("DesiredInstanceCount", variant.count)
            endpoint.become("Updating")
            self._rollouts.rescale(shelf, endpoint)
        return {"EndpointArn": endpoint.arn}

    def describe(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        with shelf.lock:
            return describe_endpoint(shelf.endpoint(parameters["EndpointName"]))

    def list_endpoints(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        found, token = page(list(shelf.endpoints.values()), parameters, lag_seconds=self._settings.list_lag_seconds)
        endpoints = [
            {
                "EndpointName": each.name,
                "EndpointArn": each.arn,
                "CreationTime": each.created.timestamp(),
                "LastModifiedTime": each.modified.timestamp(),
                "EndpointStatus": each.status,
            }
            for each in found
        ]
        return {"Endpoints": endpoints} | ({"NextToken": token} if token else {})

    def delete(self, shelf: RegionStore, parameters: Parameters) -> dict[str, Any]:
        with shelf.lock:
            endpoint = shelf.endpoint(parameters["EndpointName"])
            if endpoint.status in _BUSY:
                raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')
            endpoint.become("Deleting")
            ground.deregister_variants(shelf.place, endpoint.name)
            self._rollouts.delete(shelf, endpoint)
        return {}


def _deployment(config: StoredResource) -> DeployedConfig:
    def variants(name: str) -> list[Variant]:
        return [
            Variant(
                name=each["VariantName"],
                model=each["ModelName"],
                document=each,
                weight=float(each.get("InitialVariantWeight", 1.0)),
                count=None if "ServerlessConfig" in each else each.get("InitialInstanceCount", 1),
            )
            for each in config.document.get(name, ())
        ]

    return DeployedConfig(config.name, config.document, variants("ProductionVariants"), variants("ShadowProductionVariants"))


def _refuse_unless_in_service(endpoint: Endpoint, verb: str) -> None:
    if endpoint.status in _BUSY:
        raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status != "InService":
        raise validation(f'Cannot {verb} endpoint "{endpoint.arn}" in status {endpoint.status}: it can only be deleted.')


def _refuse_autoscaled_change(shelf: RegionStore, endpoint: Endpoint, wanted: DeployedConfig) -> None:
    """A variant that autoscaling owns must keep its name and its instance type."""
    types = {variant.name: variant.instance_type for variant in wanted.variants}
    assert endpoint.current is not None
    present = {variant.name: variant.instance_type for variant in endpoint.current.variants}
    changed = [name for name in ground.scalable_variants(shelf.place, endpoint.name) if types.get(name) != present.get(name)]
    if changed:
        raise validation(
            f'The variant(s) "[{", ".join(changed)}]" must be deregistered as scalable target with AWS Auto Scaling '
            "before they can be removed or have their instance type updated."
        )


def _retain(endpoint: Endpoint, wanted: DeployedConfig, excluded: Any) -> None:
    """Counts and weights as they are now, for variants that keep their name, unless they are excluded."""
    assert endpoint.current is not None
    left_out = {each["VariantPropertyType"] for each in excluded}
    present = {variant.name: variant for variant in endpoint.current.variants}
    for variant in wanted.variants:
        before = present.get(variant.name)
        if before is None:
            continue
        if "DesiredInstanceCount" not in left_out and variant.count is not None and before.count is not None:
            variant.count = before.count
        if "DesiredWeight" not in left_out:
            variant.weight = before.weight
    capture = endpoint.current.document.get("DataCaptureConfig")
    if capture and "DataCaptureConfig" not in left_out:
        wanted.document = {**wanted.document, "DataCaptureConfig": capture}
