"""Quantities as Kubernetes spells them."""

from __future__ import annotations

import pytest

from deployer.core.quantities import amount, exceeds


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1", 1), ("1000m", 1), (0.5, 0.5), ("500m", 0.5), ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("2E", 2e18), ("1Ei", 2**60), ("0", 0)],
)
def test_a_quantity_is_a_number_however_it_is_spelled(given: object, expected: float) -> None:
    assert amount(given) == expected


@pytest.mark.parametrize("given", ["", "much", "1 Gi", "-1", "1KB", "1gi", "1ki", None, True, {}])
def test_what_is_no_quantity_is_none(given: object) -> None:
    assert amount(given) is None
    assert not exceeds(given, "1")
    assert not exceeds("1", given)


def test_units_are_compared_by_what_they_are_worth() -> None:
    assert exceeds("1Gi", "1G")
    assert exceeds("1", "999m")
    assert not exceeds("1024Mi", "1Gi")
