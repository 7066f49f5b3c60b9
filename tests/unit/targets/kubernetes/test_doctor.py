"""What doctor reads of a namespace beside its rights."""

from __future__ import annotations

import pytest

from deployer_targets.kubernetes.doctor import mesh_of


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
