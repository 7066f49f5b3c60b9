"""Two generations behind one endpoint, each a variant with a weight, and what CloudWatch measures of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import ensure
from deployer.core.state import DeploymentName
from deployer.core.traffic import PERCENTILES, Measured, Strategy
from deployer.errors import RolloutFailed
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.observe import Endpoint, describe
from deployer_targets.sagemaker.steps import PointEndpoint, changed_by_another
from deployer_targets.sagemaker.waiting import AwaitServing, looks, progress_of


@dataclass(frozen=True, slots=True)
class SetShares(Step[Aws]):
    """The weights of both variants, waited for."""

    name: DeploymentName
    config: str
    weights: tuple[tuple[str, int], ...]
    timeout_seconds: float = 1200
    effect = Effect.SWITCH

    def describe(self) -> str:
        candidate, percent = self.weights[-1]
        return f"{percent} % to {candidate}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        before = self._ours(describe(self.name, cloud))
        if self._agreed(before) and not before.busy:
            return False
        wanted = [{"VariantName": variant, "DesiredWeight": float(weight)} for variant, weight in self.weights]
        ensure(
            lambda: cloud.change("sagemaker", "update_endpoint_weights_and_capacities", EndpointName=self.name, DesiredWeightsAndCapacities=wanted),
            lambda: self._agreed(self._ours(describe(self.name, cloud))),
        )
        for found in looks(self.name, cloud, self.timeout_seconds):
            endpoint = self._ours(found)
            if endpoint.busy:
                progress.note(progress_of(endpoint))
            elif self._agreed(endpoint):
                return True
            else:
                raise RolloutFailed(f"SageMaker did not shift the traffic of {self.name}", why=endpoint.reason)
        return True

    def _ours(self, endpoint: Endpoint | None) -> Endpoint:
        """The endpoint, on the config with both variants still."""
        if endpoint is None or self.config not in endpoint.configs:
            raise changed_by_another(self.name, f"it runs on {endpoint.carried}" if endpoint else "it is gone", self.config)
        return endpoint

    def _agreed(self, endpoint: Endpoint) -> bool:
        return {each["VariantName"]: each.get("DesiredWeight") for each in endpoint.variants} == {name: float(share) for name, share in self.weights}


@dataclass(frozen=True, slots=True)
class GiveBack(Step[Aws]):
    """All of the traffic to the generation before, where the endpoint has both still; elsewhere it is left as it is."""

    name: DeploymentName
    to: str
    split: str
    retain: bool
    timeout_seconds: float = 1200
    effect = Effect.SWITCH

    def describe(self) -> str:
        return f"endpoint {self.name}, back to one generation"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        for endpoint in looks(self.name, cloud, self.timeout_seconds):
            if endpoint is None or self.split not in endpoint.configs:
                return False
            if not endpoint.busy:
                break
            progress.note(progress_of(endpoint))
        changed = PointEndpoint(self.name, self.to, self.split, self.retain).run(cloud, progress)
        AwaitServing(self.name, self.to, timeout_seconds=self.timeout_seconds).run(cloud, progress)
        return changed


class CloudWatch:
    """What there is of strategies, and what CloudWatch tells of a generation."""

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        return {
            Strategy.ALL_AT_ONCE: frozenset({"alarms"}),
            Strategy.BLUE_GREEN: frozenset({"pause", "checks", "alarms"}),
            Strategy.ROLLING: frozenset({"batch", "pause", "alarms"}),
            Strategy.CANARY: frozenset({"steps", "pause", "checks", "alarms"}),
        }

    def measure(self, name: DeploymentName, generation: str, cloud: Aws) -> Measured:
        """What CloudWatch has of the generation's variant, since its weight was set."""
        return _measured(name, generation, cloud)


METER = CloudWatch()


def _measured(name: DeploymentName, generation: str, cloud: Aws) -> Measured:
    cloud.check()
    endpoint = describe(name, cloud)
    if endpoint is None:
        raise changed_by_another(name, "it is gone", generation)
    now, since = datetime.now(UTC), endpoint.description.get("LastModifiedTime")
    start = since if isinstance(since, datetime) else now
    period = 60 * max(1, math.ceil((now - start).total_seconds() / 60) + 1)

    def query(label: str, metric: str, statistic: str) -> dict[str, Any]:
        dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": generation}]
        told = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
        return {"Id": label, "MetricStat": {"Metric": told, "Period": period, "Stat": statistic}}

    queries = [query("requests", "Invocations", "Sum"), query("errors", "Invocation5XXErrors", "Sum")]
    queries += [query(f"p{each}", "ModelLatency", f"p{each}") for each in PERCENTILES]
    answer = cloud.call("cloudwatch", "get_metric_data", MetricDataQueries=queries, StartTime=start.replace(second=0, microsecond=0), EndTime=now)
    found = {each["Id"]: each["Values"] for each in answer["MetricDataResults"]}
    latencies = {each: max(found[f"p{each}"]) / 1e6 for each in PERCENTILES if found.get(f"p{each}")}
    requests, errors = (round(sum(found.get(each, ()))) for each in ("requests", "errors"))
    return Measured(max(requests, errors), errors, latencies)  # each metric comes by itself: a failure may be counted before its request is
