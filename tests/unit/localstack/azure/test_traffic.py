"""Which splits of an endpoint's traffic the local Azure takes."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.arm.durations import seconds
from deployer_localstack.azure.arm.traffic import checked, checked_mirror

STATES = {"blue": "Succeeded", "green": "Succeeded", "next": "Creating", "lost": "Failed", "moving": "Updating"}


@pytest.mark.parametrize("given", [None, {}, {"blue": 0}, {"blue": 100}, {"Blue": 30, "GREEN": 70}, {"blue": 100, "lost": 0}, {"moving": 100}])
def test_what_sums_to_0_or_100_among_those_that_serve_is_taken(given: dict[str, Any] | None) -> None:
    assert checked(given, STATES) == {name.lower(): share for name, share in (given or {}).items()}


@pytest.mark.parametrize(
    "given",
    [
        {"blue": 99},
        {"blue": 60, "green": 60},
        {"blue": 150, "green": -50},
        {"blue": 100.0},
        {"blue": True},
        {"blue": "100"},
        {"grey": 100},
        {"grey": 0},
        {"next": 100},
        {"blue": 50, "lost": 50},
    ],
)
def test_what_else_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(AzureError) as refusal:
        checked(given, STATES)
    assert (refusal.value.status, refusal.value.target) == (400, "traffic")


def test_up_to_half_is_mirrored_to_one_that_is_not_live() -> None:
    assert checked_mirror({"green": 50, "blue": 0}, {"blue": 100}, STATES) == {"green": 50}
    for given in ({"green": 51}, {"green": 10, "next": 10}, {"blue": 10}, {"grey": 10}):
        with pytest.raises(AzureError):
            checked_mirror(given, {"blue": 100}, STATES)


def test_durations_are_read_as_iso_8601_writes_them() -> None:
    assert [seconds(each) for each in ("PT5S", "PT0.5S", "PT3M", "PT1H1M1S")] == [5, 0.5, 180, 3661]
    for wrong in ("5", "P1D", "", "PT5"):
        with pytest.raises(AzureError):
            seconds(wrong)
