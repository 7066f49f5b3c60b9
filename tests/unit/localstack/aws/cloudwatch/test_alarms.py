"""The states of alarms."""

from __future__ import annotations

import pytest

from deployer_localstack.aws.cloudwatch.alarms import Condition

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
