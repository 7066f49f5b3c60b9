"""Paths of a container as they are called outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.core.container import Container, Mount

CONTAINER = Container("image", (), 8080, mounts=(Mount(Path("/here/model"), "/opt/ml/model"), Mount(Path("/there"), "/var/models/churn/1")))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("/opt/ml/model", "/here/model"),
        ("/opt/ml/model/data/x", "/here/model/data/x"),
        ("/var/models/churn/1", "/there"),
        ("/opt/ml/models", "/opt/ml/models"),
        ("opt/ml/model", "opt/ml/model"),
        ("", ""),
        ("a=/opt/ml/model", "a=/opt/ml/model"),
    ],
)
def test_a_path_below_a_mount_is_that_of_its_source(inside: str, outside: str) -> None:
    assert CONTAINER.outside(inside) == outside
