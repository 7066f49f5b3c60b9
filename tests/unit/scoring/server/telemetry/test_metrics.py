"""What is counted, by how many processes, and what Prometheus reads of it."""

from __future__ import annotations

import math
import os
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deployer_scoring.server.telemetry.metrics import SECONDS, Metrics, label


def read(metrics: Metrics) -> dict[str, float]:
    """The samples by name and labels, as Prometheus' own parser reads them."""
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def used(workers: int = 1) -> Metrics:
    metrics = Metrics(workers)
    recorder = metrics.recorder(0)
    recorder.answered("/invocations", 200, 0.003)
    recorder.answered("/invocations", 400, 40.0)
    recorder.answered("/v2/models/a/infer", 299, 0.0)
    recorder.batch(3, 5000, 0.02)
    recorder.queue(4)
    recorder.in_flight(7)
    metrics.loaded(1.5)
    metrics.restarted()
    return metrics


def test_what_is_recorded_is_read() -> None:
    found = read(used())
    assert found["deployer_requests_total[('path', '/invocations'), ('status', '200')]"] == 1
    assert found["deployer_requests_total[('path', '/invocations'), ('status', '400')]"] == 1
    assert found["deployer_requests_total[('path', '/v2/models/{name}/infer'), ('status', 'other')]"] == 1
    assert found["deployer_request_duration_seconds_bucket[('le', '0.0025'), ('path', '/invocations')]"] == 0
    assert found["deployer_request_duration_seconds_bucket[('le', '0.005'), ('path', '/invocations')]"] == 1
    assert found["deployer_request_duration_seconds_bucket[('le', '+Inf'), ('path', '/invocations')]"] == 2
    assert found["deployer_request_duration_seconds_sum[('path', '/invocations')]"] == 40.003
    assert found["deployer_batch_requests_bucket[('le', '2')]"] == 0
    assert found["deployer_batch_requests_bucket[('le', '4')]"] == 1
    assert found["deployer_batch_rows_sum"] == 5000
    assert found["deployer_predict_duration_seconds_count"] == 1
    assert found["deployer_queue_depth"] == 4
    assert found["deployer_requests_in_flight"] == 7
    assert found["deployer_model_load_seconds"] == 1.5
    assert found["deployer_worker_restarts_total"] == 1
    assert 0 < time.time() - found["process_start_time_seconds"] < 3600
    assert any(name.startswith("deployer_build_info") for name in found)


def test_a_duration_on_a_bucket_s_bound_counts_in_that_bucket() -> None:
    metrics = Metrics()
    metrics.recorder(0).answered("/ping", 200, SECONDS[3])
    assert read(metrics)[f"deployer_request_duration_seconds_bucket[('le', '{SECONDS[3]}'), ('path', '/ping')]"] == 1


def test_forked_workers_are_summed_and_one_that_takes_a_dead_one_s_place_goes_on_in_its_slot() -> None:
    metrics = Metrics(2)
    for slot in (0, 1, 1):
        child = os.fork()
        if not child:
            recorder = metrics.recorder(slot)
            for _ in range(1000):
                recorder.answered("/invocations", 200, 0.001)
            recorder.queue(5)
            os._exit(0)
        os.waitpid(child, 0)
    found = read(metrics)
    assert found["deployer_requests_total[('path', '/invocations'), ('status', '200')]"] == 3000
    assert found["deployer_queue_depth"] == 10
    metrics.recorder(1)  # a successor: what its predecessor held is gone
    assert read(metrics)["deployer_queue_depth"] == 5
    assert read(metrics)["deployer_requests_total[('path', '/invocations'), ('status', '200')]"] == 3000


def test_the_process_that_forks_has_a_slot_too_and_there_are_no_others() -> None:
    metrics = Metrics(2)
    metrics.recorder(metrics.supervisor).answered("/ping", 503, 0.001)
    assert read(metrics)["deployer_requests_total[('path', '/ping'), ('status', '503')]"] == 1
    with pytest.raises(IndexError, match="no slot 3"):
        metrics.recorder(3)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/invocations", "/invocations"),
        ("/v2/models/iris/infer", "/v2/models/{name}/infer"),
        ("/v2/models/iris/versions/3/infer", "/v2/models/{name}/infer"),
        ("/v2/models/iris/versions/3", "/v2/models/{name}"),
        ("/v2/models/iris", "/v2/models/{name}"),
        ("/models/iris/invoke", "/models/{name}/invoke"),
        ("/models/iris", "/models/{name}"),
        ("/v2/models/iris/explain", "other"),
        ("/etc/passwd", "other"),
        ("", "other"),
        ("*", "other"),
        ("other", "other"),
    ],
)
def test_what_clients_send_makes_no_series_of_its_own(path: str, expected: str) -> None:
    assert label(path) == expected


def test_the_text_keeps_the_rules_of_promtool() -> None:
    """Names end in their unit, counters in _total; each family has help and type, once, and stands together; buckets only rise."""
    text = used().text().decode()
    assert text.endswith("\n")
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch("[a-z][a-z0-9_]*", family.name)
        assert family.documentation.endswith(".")
        assert text.count(f"# HELP {family.name} ") + text.count(f"# HELP {family.name}_total ") == 1
        assert family.samples
        assert ("# TYPE " + family.name + "_total counter" in text) == (family.type == "counter")
        assert not re.search("(milli|micro)seconds|minutes|_ms$|kilobytes", family.name)
        for name in ("_bucket", "_count", "_sum", "_total"):
            assert not family.name.endswith(name)
        for sample in family.samples:
            assert math.isfinite(sample.value)
            assert not (sample.labels.keys() & {"le", "quantile"}) or family.type == "histogram"
    buckets = [line for line in text.splitlines() if line.startswith("deployer_batch_rows_bucket")]
    values = [float(line.rsplit(" ", 1)[1]) for line in buckets]
    bounds = [float(line.split('"')[1]) for line in buckets]
    assert values == sorted(values)
    assert bounds == sorted(bounds)
    assert bounds[-1] == math.inf
    assert f"deployer_batch_rows_count {int(values[-1])}" in text
