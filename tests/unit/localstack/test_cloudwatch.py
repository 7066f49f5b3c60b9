"""Statistics of metrics, and the states of alarms."""

from __future__ import annotations

from collections import Counter

import pytest

from deployer_localstack.aws.cloudwatch.alarms import Condition
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


# CloudWatch's user guide, "Configuring how CloudWatch alarms treat missing data": datapoints oldest first, o is fine, X breaches, - is missing.
# The states by missing, ignore, breaching, notBreaching; "=" is the state before.
THREE_OF_THREE = {
    "o-X-X": "OK OK OK OK",
    "o----": "OK OK OK OK",
    "-----": "INSUFFICIENT_DATA = ALARM OK",
    "oXX-X": "ALARM ALARM ALARM ALARM",
    "--X--": "ALARM = ALARM OK",
}
TWO_OF_THREE = {
    "o-X-X": "ALARM ALARM ALARM ALARM",
    "ooXoX": "ALARM ALARM ALARM ALARM",
    "o-X--": "OK OK ALARM OK",
    "----o": "OK OK ALARM OK",
    "---X-": "ALARM = ALARM OK",
}


@pytest.mark.parametrize(
    ("needed", "points", "states"), [(3, *each) for each in THREE_OF_THREE.items()] + [(2, *each) for each in TWO_OF_THREE.items()], ids=str
)
def test_missing_data_is_treated_as_the_user_guide_has_it(needed: int, points: str, states: str) -> None:
    values = [{"o": 0.0, "X": 9.0, "-": None}[each] for each in reversed(points)]
    for missing, expected in zip(("missing", "ignore", "breaching", "notBreaching"), states.split(), strict=True):
        condition = Condition("GreaterThanThreshold", 1.0, 3, needed, missing)
        before = "ALARM" if points == "-----" else "OK"
        assert condition.looked_at == 5
        assert condition.state(values, before)[0] == (before if expected == "=" else expected), missing


@pytest.mark.parametrize(
    ("comparison", "on"),
    [
        ("GreaterThanThreshold", [2.0]),
        ("GreaterThanOrEqualToThreshold", [1.0, 2.0]),
        ("LessThanThreshold", [0.0]),
        ("LessThanOrEqualToThreshold", [0.0, 1.0]),
    ],
)
def test_comparisons(comparison: str, on: list[float]) -> None:
    condition = Condition(comparison, 1.0, 1, 1, "missing")
    assert [value for value in (0.0, 1.0, 2.0) if condition.state([value], "OK")[0] == "ALARM"] == on
