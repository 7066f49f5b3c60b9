"""What a cluster has is asked of it once, and only where a kind isn't one that every cluster has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.discovery import Discovery
from deployer_targets.kubernetes.kinds import KINDS


class Server:
    """An API server with these group-versions, and of each the kinds."""

    def __init__(self, **served: tuple[str, ...]) -> None:
        self.served = {each.replace("__", "/").replace("_", "."): plurals for each, plurals in served.items()}
        self.asked: list[str] = []

    def __call__(self, path: str) -> Mapping[str, Any]:
        self.asked.append(path)
        if path == "apis":
            return {"groups": [{"versions": [{"groupVersion": each}]} for each in self.served]}
        return {"resources": [{"name": each} for each in self.served[path.removeprefix("apis/")]]}


def test_what_every_cluster_has_is_not_asked_for() -> None:
    server = Server()
    found = Discovery(server)
    assert [found.place(kind) for kind in ("Service", "Deployment")] == ["api/v1", "apis/apps/v1"]
    assert not server.asked


@pytest.mark.parametrize(
    ("server", "version"),
    [
        (Server(autoscaling__v1=(), autoscaling__v2beta2=()), "autoscaling/v2beta2"),
        (Server(autoscaling__v2beta2=(), autoscaling__v2=()), "autoscaling/v2"),
    ],
)
def test_the_newest_version_that_is_there_is_taken(server: Server, version: str) -> None:
    found = Discovery(server)
    assert [found.version("HorizontalPodAutoscaler") for _ in range(3)] == [version] * 3
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.everywhere])
@pytest.mark.parametrize("server", [Server(), Server(autoscaling__v1=(), policy__v2=())], ids=["nothing", "other versions"])
def test_what_a_cluster_lacks_is_told_with_what_brings_it(kind: str, server: Server) -> None:
    found = Discovery(server)
    assert found.find(kind) is None
    with pytest.raises(ConfigInvalid, match=f"the cluster has no {kind} ") as told:
        found.version(kind)
    assert KINDS[kind].comes_with in told.value.advice
