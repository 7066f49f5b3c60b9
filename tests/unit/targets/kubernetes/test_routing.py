"""What a route lacks until each gateway that it names has taken it as it is now."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_targets.kubernetes.routing import open_points

PARENT = {"name": "public", "namespace": "gateways", "sectionName": "https"}


def route(*said: dict[str, Any], parent: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "churn", "namespace": "ml", "generation": 3},
        "spec": {"parentRefs": [parent or PARENT]},
        "status": {"parents": [*said]},
    }


def told(accepted: str = "True", resolved: str = "True", *, parent: dict[str, Any] | None = None, at: int = 3, reason: str = "Why") -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": status, "reason": reason, "message": "as they say", "observedGeneration": at}
        for kind, status in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]
    return {"parentRef": parent or PARENT, "conditions": conditions}


@pytest.mark.parametrize(
    "found",
    [
        route(told()),
        route(told(at=4)),
        route(told(parent={"name": "public"}), parent={"name": "public"}),
        route(told(parent={"name": "public", "namespace": "ml"}), parent={"name": "public"}),
        route(told(), told("False", parent={"name": "another"})),
    ],
    ids=["as it is", "newer", "here", "here by name", "another's no"],
)
def test_a_route_that_is_taken(found: dict[str, Any]) -> None:
    assert [*open_points(found)] == []


@pytest.mark.parametrize(
    ("found", "what", "certain"),
    [
        (route(), "says nothing", False),
        ({**route(), "status": {}}, "says nothing", False),
        (route(told(parent={**PARENT, "sectionName": "http"})), "says nothing", False),
        (route(told(at=2)), "has not looked", False),
        (route({"parentRef": PARENT, "conditions": []}), "has not looked", False),
        (route(told("False", at=2)), "has not looked", False),
        (route(told("False", reason="NotAllowedByListeners")), "does not take the route (NotAllowedByListeners)", True),
        (route(told("False", reason="Pending")), "does not take", False),
        (route(told("Unknown", reason="")), "does not take", False),
        (route(told(resolved="False", reason="BackendNotFound")), "does not take the route (BackendNotFound)", False),
    ],
)
def test_what_a_route_lacks(found: dict[str, Any], what: str, certain: bool) -> None:
    first = next(open_points(found))
    assert what in first.what
    assert first.certain == certain
