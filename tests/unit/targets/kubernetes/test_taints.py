"""Which taints pods tolerate for the devices that they ask for, by what the nodes say, and that it stays so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.core.state import ModelFacts, PackagedModel, digest_of
from deployer.core.target import DeploymentRequest, Intent
from deployer.errors import PermissionDenied
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.taints import devices, settled, tolerations, well_known
from tests.unit.targets.kubernetes.builders import NAME, spec

GPU = "nvidia.com/gpu"
ASKS = {"limits": {"memory": "2Gi", GPU: "1"}}
KNOWN = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
POOL = {"key": "pool", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}


def node(*taints: str, has: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A node with taints as kubectl writes them."""
    found = []
    for each in taints:
        named, _, effect = each.rpartition(":")
        key, _, value = named.partition("=")
        found.append({"key": key, "effect": effect, **({"value": value} if value else {})})
    return {"spec": {"taints": found}, "status": {"allocatable": {"cpu": "4", **({GPU: "1"} if has is None else has)}}}


@pytest.mark.parametrize(
    ("nodes", "tolerated"),
    [
        ([], []),
        ([node()], []),
        ([node(f"{GPU}=present:NoSchedule")], []),
        ([node("pool=gpu:NoSchedule")], [POOL]),
        ([node("pool=gpu:NoSchedule"), node("pool=gpu:NoSchedule", "team=web:NoSchedule")], [POOL]),
        ([node("pool=gpu:NoSchedule"), node()], []),
        ([node("pool=gpu:NoSchedule"), node("dedicated:NoExecute")], [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, POOL]),
        ([node("team=web:NoSchedule", has={})], []),
        ([node("team=web:NoSchedule", has={GPU: "0"})], []),
        ([node("pool=gpu:PreferNoSchedule", "node.kubernetes.io/not-ready:NoSchedule", "node-role.kubernetes.io/control-plane:NoSchedule")], []),
        ([node("ToBeDeletedByClusterAutoscaler=1:NoSchedule")], []),
    ],
)
def test_what_it_takes_to_get_onto_the_nodes(nodes: list[dict[str, Any]], tolerated: list[dict[str, Any]]) -> None:
    assert list(tolerations((GPU,), nodes)) == tolerated


def test_a_part_of_a_gpu_is_on_nodes_that_are_kept_for_gpus() -> None:
    assert well_known(("nvidia.com/mig-1g.5gb", GPU)) == (KNOWN,)
    assert well_known(("example.com/npu",)) == ({**KNOWN, "key": "example.com/npu"},)


def test_what_every_node_has_is_no_device() -> None:
    asked = {"limits": {"memory": "1Gi", "hugepages-2Mi": "4Mi", "kubernetes.io/x": "1"}, "requests": {"ephemeral-storage": "1Gi"}}
    assert devices(KubernetesConfig.parse({"resources": asked}, target="kubernetes")) == ()


class Nodes:
    """A cluster with these nodes; "": who asks may not see them."""

    def __init__(self, *nodes: dict[str, Any], denied: str = "") -> None:
        self.nodes, self.denied, self.asked = [*nodes], denied, list[dict[str, str]]()

    def list(self, kind: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        assert kind == "Node"
        self.asked.append(labels)
        if self.denied:
            raise PermissionDenied("list Nodes is not allowed", why=self.denied)
        return self.nodes


def settle(cloud: Nodes, serving: Any = None, **options: Any) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    config = KubernetesConfig.parse(options, target="kubernetes")
    wanted = PackagedModel(ModelFacts(uri="models:/churn/1", digest=digest_of("one")))
    request = DeploymentRequest(NAME, Intent.APPLY, wanted, config, named=frozenset(options))
    found, told = settled(request, config, serving, SimpleNamespace(list=cloud.list))  # type: ignore[arg-type]
    return found.tolerated, told


def test_nothing_is_asked_where_no_device_is() -> None:
    cloud = Nodes(node("pool=gpu:NoSchedule"))
    assert settle(cloud) == ([], ())
    assert settle(cloud, resources=ASKS, tolerations=[{"key": "mine", "operator": "Exists"}]) == ([{"key": "mine", "operator": "Exists"}], ())
    assert settle(cloud, resources=ASKS, tolerations=[]) == ([], ()), "none are wanted"
    assert settle(cloud, resources=ASKS, resource_tolerations=[POOL]) == ([POOL], ())
    assert not cloud.asked


def test_the_nodes_that_pods_are_for_are_asked() -> None:
    cloud = Nodes(node("pool=gpu:NoSchedule"))
    assert settle(cloud, resources=ASKS, node_selector={"zone": "a"}) == ([KNOWN, POOL], ())
    assert cloud.asked == [{"zone": "a"}]


def test_who_may_not_see_nodes_is_told_what_is_tolerated() -> None:
    found, (told,) = settle(Nodes(denied="nodes is forbidden"), resources=ASKS)
    assert found == [KNOWN]
    assert f"{GPU}:NoSchedule alone" in told
    assert "nodes is forbidden" in told


def test_a_node_that_comes_changes_nothing() -> None:
    cloud = Nodes(node("pool=gpu:NoSchedule"))
    served = spec(resources=ASKS, resource_tolerations=[KNOWN, POOL]).record
    assert settle(cloud, served, resources=ASKS) == ([KNOWN, POOL], ())
    assert not cloud.asked
    more = {"limits": {**ASKS["limits"], "example.com/npu": "1"}}
    assert settle(cloud, served, resources=more)[0] == [{**KNOWN, "key": "example.com/npu"}, KNOWN]
    without = replace(served, options={key: value for key, value in served.options.items() if key != "resource_tolerations"})
    assert settle(cloud, without, resources=ASKS)[0] == [KNOWN, POOL], "an earlier version's record"
    assert len(cloud.asked) == 2
