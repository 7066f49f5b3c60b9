"""What CloudWatch tells of a generation, whose metrics come each by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deployer.core.traffic import Measured
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.traffic import METER
from tests.unit.targets.sagemaker.builders import NAME


class Counts:
    """Both APIs that are asked: the endpoint, and sums of its metrics."""

    def __init__(self, **sums: float) -> None:
        self.sums = sums

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"EndpointStatus": "InService", "EndpointConfigName": "new", "LastModifiedTime": datetime.now(UTC)}

    def get_metric_data(self, **wanted: Any) -> dict[str, Any]:
        found = [(query["Id"], query["MetricStat"]["Metric"]["MetricName"]) for query in wanted["MetricDataQueries"]]
        return {"MetricDataResults": [{"Id": label, "Values": [self.sums[metric]] if metric in self.sums else []} for label, metric in found]}


@pytest.mark.parametrize(
    ("sums", "measured", "rate"),
    [
        ({}, Measured(), 0.0),
        ({"Invocations": 4, "Invocation5XXErrors": 1}, Measured(4, 1), 0.25),
        ({"Invocations": 3, "Invocation5XXErrors": 4}, Measured(4, 4), 1.0),
        ({"Invocation5XXErrors": 2}, Measured(2, 2), 1.0),
    ],
)
def test_a_failure_that_is_counted_before_its_request_is_one_request_that_failed(sums: dict[str, float], measured: Measured, rate: float) -> None:
    connection, api = RegionClients("us-west-2", sleep=lambda _: None), Counts(**sums)
    connection._clients.update({"sagemaker": api, "cloudwatch": api})
    found = METER.measure(NAME, "3f2a91c07e", Aws(connection, SageMakerConfig.parse({}, target="sagemaker")))
    assert (found, found.error_rate) == (measured, rate)
