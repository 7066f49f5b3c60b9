"""Statistics of metrics."""

from __future__ import annotations

from collections import Counter

import pytest

from deployer_localstack.aws.cloudwatch.series import AllSeries, Metric, statistic

METRIC = Metric("AWS/SageMaker", "Invocations", frozenset({("EndpointName", "e")}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Sum", 5110.0), ("Average", 51.1), ("Minimum", 1.0), ("Maximum", 160.0), ("SampleCount", 100.0), ("p50", 50.0), ("p99", 99.0), ("p100", 160.0)],
)
def test_statistics(name: str, expected: float) -> None:
    assert statistic(Counter([*map(float, range(1, 100)), 160.0]), name) == pytest.approx(expected)


def test_no_values_have_no_statistic() -> None:
    assert statistic(Counter(), "Average") is None
    with pytest.raises(ValueError, match="Median"):
        statistic(Counter([1.0]), "Median")


def test_values_are_found_by_their_second_and_by_all_dimensions() -> None:
    series = AllSeries()
    for when in (100.2, 100.9, 101.0, 159.9, 160.1):
        series.add(METRIC, {1.0: 1}, when)
    assert [each.total() for each in series.periods(METRIC, [100, 160, 220])] == [4, 1]
    assert [each.total() for each in series.periods(METRIC, [100, 160, 160.5])] == [4, 1]  # what came in the last second counts
    assert [each.total() for each in series.periods(Metric("AWS/SageMaker", "Invocations"), [100, 160])] == [0]


def test_old_seconds_are_forgotten() -> None:
    series = AllSeries()
    series.add(METRIC, {1.0: 1}, 1000)
    series.add(METRIC, {1.0: 1}, 1000 + 4 * 3600)
    assert [each.total() for each in series.periods(METRIC, [0, 2000, 20000])] == [0, 1]
