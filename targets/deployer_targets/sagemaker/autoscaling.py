"""Autoscaling that somebody registered for the endpoint's variant: kept over an update, put aside and back where the instance type changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.errors import PermissionDenied
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.plain import plain

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_NAMESPACE = {"ServiceNamespace": "sagemaker"}

_TARGET = ("MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
_POLICY = (
    "PolicyName",
    "PolicyType",
    "StepScalingPolicyConfiguration",
    "TargetTrackingScalingPolicyConfiguration",
    "PredictiveScalingPolicyConfiguration",
)
_ACTION = ("ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")

Registration = Mapping[str, Any]
"""One variant's scalable target with its policies and scheduled actions, JSON-ready: enough to register it again as it was."""


def registered(cloud: Aws, name: str, endpoint: Mapping[str, Any]) -> Registration | None:
    """The registration of the endpoint's first variant, or None; who may not look is told of none."""
    variants = [variant["VariantName"] for variant in endpoint.get("ProductionVariants") or ()]
    if not variants:
        return None
    where = {"ResourceId": f"endpoint/{name}/variant/{variants[0]}", "ScalableDimension": DIMENSION}
    try:
        ids = {"ResourceIds": [where["ResourceId"]], "ScalableDimension": DIMENSION}
        targets = list(cloud.pages("application-autoscaling", "describe_scalable_targets", "ScalableTargets", **_NAMESPACE, **ids))
        if not targets:
            return None
        policies = list(cloud.pages("application-autoscaling", "describe_scaling_policies", "ScalingPolicies", **_NAMESPACE, **where))
        actions = list(cloud.pages("application-autoscaling", "describe_scheduled_actions", "ScheduledActions", **_NAMESPACE, **where))
    except PermissionDenied:
        return None
    return {
        **where,
        "target": _only(targets[0], _TARGET),
        "policies": [_only(policy, _POLICY) for policy in policies],
        "actions": [_only(action, _ACTION) for action in actions],
    }


def deregister(cloud: Aws, registration: Registration) -> None:
    """The variant loses its autoscaling, policies and scheduled actions with it; nothing where there is none."""
    cloud.check()
    cloud.find("application-autoscaling", "deregister_scalable_target", **_NAMESPACE, **_where(registration))


def register(cloud: Aws, registration: Registration) -> None:
    """As it was. Each call puts, so that it may be made twice."""
    where = _where(registration)
    target = {key: value for key, value in registration["target"].items() if key != "RoleARN"}
    cloud.change("application-autoscaling", "register_scalable_target", **_NAMESPACE, **where, **target)
    for policy in registration["policies"]:
        cloud.change("application-autoscaling", "put_scaling_policy", **_NAMESPACE, **where, **policy)
    for action in registration["actions"]:
        cloud.change("application-autoscaling", "put_scheduled_action", **_NAMESPACE, **where, **action)


def _where(registration: Registration) -> dict[str, str]:
    return {"ResourceId": registration["ResourceId"], "ScalableDimension": registration["ScalableDimension"]}


def _only(value: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {key: plain(value[key]) for key in fields if value.get(key) is not None}
