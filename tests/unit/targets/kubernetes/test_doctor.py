"""What doctor reads of a namespace beside its rights."""

from __future__ import annotations

import pytest

from deployer_targets.kubernetes.doctor import bounds_of, mesh_of


@pytest.mark.parametrize(
    ("labels", "annotations", "mesh"),
    [
        ({}, {}, ""),
        ({"istio-injection": "disabled"}, {"linkerd.io/inject": "disabled"}, ""),
        ({"istio-injection": "enabled"}, {}, "Istio"),
        ({"istio.io/rev": "1-22"}, {}, "Istio"),
        ({}, {"linkerd.io/inject": "enabled"}, "Linkerd"),
    ],
)
def test_a_mesh_is_known_by_the_namespace(labels: dict[str, str], annotations: dict[str, str], mesh: str) -> None:
    assert mesh_of(labels, annotations) == mesh


def test_what_a_limit_range_lets_a_container_have_is_told() -> None:
    pod = {"type": "Pod", "max": {"cpu": "9"}}
    container = {"type": "Container", "default": {"cpu": "1"}, "min": {"memory": "64Mi"}, "max": {"memory": "2Gi", "cpu": "2"}}
    assert bounds_of([pod, container]) == "at least 64Mi memory, at most 2 cpu, at most 2Gi memory"
    assert bounds_of([pod]) == bounds_of([]) == ""
