"""A generation is measured by what its own scoring servers count."""

from __future__ import annotations

from deployer.core.counters import measured, parsed
from deployer_scoring.server.telemetry.metrics import Metrics


def test_what_the_runtime_tells_is_understood() -> None:
    metrics = Metrics(1)
    recorder = metrics.recorder(0)
    for path, status, seconds in (
        [("/invocations", 200, 0.02)] * 98 + [("/invocations", 500, 0.2), ("/v2/models/m/infer", 200, 0.02)] + [("/ping", 200, 9.0)]
    ):
        recorder.answered(path, status, seconds)
    found = measured(parsed(metrics.text().decode()))
    assert (found.requests, found.errors) == (100, 1)
    assert found.latencies[50] == 0.025
    assert found.latencies[99] == 0.025
