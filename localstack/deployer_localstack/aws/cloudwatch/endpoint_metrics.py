"""What SageMaker tells CloudWatch of each invocation, by endpoint and variant, and by the configuration, too."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from deployer_localstack.aws import ground
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.cloudwatch.series import Metric

_NAMESPACE = "AWS/SageMaker"
_DIGITS = 3
"""Of a latency: what differs by less than a thousandth counts as one value, so that a busy second takes little room."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One that reached the model.

    Attributes:
        status: of the container's answer; 0 where there was none.
        seconds: from the request to the answer.
        model_seconds: the part of it that the container took.
    """

    endpoint: str
    variant: str
    config: str
    instances: int
    status: int
    seconds: float
    model_seconds: float


def record(place: AccountRegion, invocation: Invocation) -> None:
    """Add it to the metrics: errors as 1 or 0, so that their average is a rate, and latencies in microseconds."""
    status, microseconds = invocation.status, 1e6 * invocation.model_seconds
    values = {
        "Invocations": (1.0, "None"),
        "InvocationsPerInstance": (1.0 / max(1, invocation.instances), "None"),
        "Invocation4XXErrors": (float(400 <= status < 500), "None"),
        "Invocation5XXErrors": (float(500 <= status < 600), "None"),
        "InvocationModelErrors": (float(not 200 <= status < 300), "None"),
        "ModelLatency": (_rounded(microseconds), "Microseconds"),
        "OverheadLatency": (_rounded(max(0.0, 1e6 * invocation.seconds - microseconds)), "Microseconds"),
    }
    series, now = ground.metrics(place), time.time()
    variant = frozenset({("EndpointName", invocation.endpoint), ("VariantName", invocation.variant)})
    for dimensions in (variant, variant | {("EndpointConfigName", invocation.config)}):
        for name, (value, unit) in values.items():
            series.add(Metric(_NAMESPACE, name, dimensions), {value: 1}, now, unit)


def _rounded(value: float) -> float:
    return 0.0 if value <= 0 else round(value, _DIGITS - 1 - math.floor(math.log10(value)))
