"""A DeploymentConfig: which share of the traffic a new fleet gets when, what sends it back, and which combinations are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.sagemaker.store import DeployedConfig

Parameters = Mapping[str, Any]

# The smallest and the largest part of a fleet, in percent, that a step may be.
_SIZES = {"CanarySize": (0, 50), "LinearStepSize": (10, 50), "MaximumBatchSize": (5, 50), "RollbackMaximumBatchSize": (0, 100)}
_STEPS = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}


@dataclass(frozen=True, slots=True)
class Guardrails:
    """What happens once the new fleet answers. Seconds are those that were asked for; the rollout scales them.

    Attributes:
        shares: the new fleet's share after each step; the last is 1.
        wait_seconds: the baking period after each step, in which the alarms are watched.
        back: how much of the fleet returns in one step of a rollback.
        termination_wait_seconds: how long the old fleet is kept after the last step.
        limit_seconds: an update that takes longer is rolled back.
        alarms: the CloudWatch alarms that send the traffic back.
        rolling: instances are exchanged batch by batch, instead of a second fleet of full size.
    """

    shares: tuple[float, ...] = (1.0,)
    wait_seconds: float = 0.0
    back: float = 1.0
    termination_wait_seconds: float = 0.0
    limit_seconds: float | None = None
    alarms: tuple[str, ...] = ()
    rolling: bool = False

    @property
    def waits_seconds(self) -> float:
        """All waits of an update that goes well, together."""
        return self.wait_seconds * len(self.shares) + self.termination_wait_seconds


def read(config: Parameters | None, wanted: DeployedConfig) -> Guardrails:
    """The guardrails of an update to `wanted`. Fleets that can't have them go over all at once, without baking."""
    config = config or {}
    rolling: Parameters | None = config.get("RollingUpdatePolicy")
    if _without_guardrails(wanted, rolling=rolling is not None):
        return Guardrails()
    alarms = tuple(each["AlarmName"] for each in (config.get("AutoRollbackConfiguration") or {}).get("Alarms", ()))
    policy: Parameters = rolling or config.get("BlueGreenUpdatePolicy") or {}
    routing: Parameters = rolling or policy.get("TrafficRoutingConfiguration") or {}
    back = policy.get("RollbackMaximumBatchSize")
    return Guardrails(
        shares=_shares(routing, wanted),
        wait_seconds=routing.get("WaitIntervalInSeconds", 0),
        back=_part(back, wanted) if back else 1.0,
        termination_wait_seconds=policy.get("TerminationWaitInSeconds", 0),
        limit_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=alarms,
        rolling=rolling is not None,
    )


def refuse(config: Parameters | None, wanted: DeployedConfig, current: DeployedConfig | None = None) -> None:
    """Raise the ValidationException for what the shapes alone can't say of a DeploymentConfig."""
    if not config:
        return
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise validation("BlueGreenUpdatePolicy and RollingUpdatePolicy cannot be specified together.")
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    for kind, size in _STEPS.items():
        if routing.get("Type") == kind and not routing.get(size):
            raise validation(f"{size} is required when the traffic routing type is {kind}.")
        if routing.get("Type") != kind and size in routing:
            raise validation(f"{size} is only allowed when the traffic routing type is {kind}.")
    for size, chosen in {**routing, **config.get("RollingUpdatePolicy", {})}.items():
        if size in _SIZES:
            _refuse_size(size, chosen, wanted)
    names = [variant.name for variant in wanted.variants]
    if current and (before := [variant.name for variant in current.variants]) != names:
        raise validation(
            f"DeploymentConfig requires the variants of the new endpoint configuration ({', '.join(names)}) "
            f"to have the names of those in service ({', '.join(before)})."
        )
    asked = read(config, wanted)
    if asked.limit_seconds is not None and asked.limit_seconds <= asked.waits_seconds:
        raise validation(
            f"MaximumExecutionTimeoutInSeconds {asked.limit_seconds:.0f} must be larger than the total waiting time of "
            f"WaitIntervalInSeconds and TerminationWaitInSeconds, {asked.waits_seconds:.0f}."
        )


def _without_guardrails(wanted: DeployedConfig, *, rolling: bool) -> bool:
    """The page "Exclusions" of the documentation."""
    serverless = any("ServerlessConfig" in variant.document for variant in wanted.variants)
    inferentia = any(variant.instance_type.startswith("ml.inf1.") for variant in wanted.variants)
    return serverless or inferentia or (rolling and len(wanted.variants) > 1)


def _shares(routing: Parameters, wanted: DeployedConfig) -> tuple[float, ...]:
    size = routing.get("MaximumBatchSize") or routing.get(_STEPS.get(routing.get("Type", ""), ""))
    if size is None:
        return (1.0,)
    step = _part(size, wanted)
    if routing.get("Type") == "CANARY":
        return (step, 1.0)
    shares = [step]
    while shares[-1] < 1.0 - 1e-9:
        shares.append(min(1.0, shares[-1] + step))
    return (*shares[:-1], 1.0)


def _part(size: Parameters, wanted: DeployedConfig) -> float:
    """The part of the fleet that a size stands for."""
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else _instances(wanted)
    return min(1.0, float(size["Value"]) / whole)


def _instances(wanted: DeployedConfig) -> int:
    return min((variant.count or 1 for variant in wanted.variants), default=1)


def _refuse_size(name: str, size: Parameters, wanted: DeployedConfig) -> None:
    low, high = _SIZES[name]
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else _instances(wanted)
    if not low <= 100 * size["Value"] / whole <= high:
        raise validation(f"{name} must be between {low or 1} and {high} percent of the variant's total instance count, {_instances(wanted)}.")
