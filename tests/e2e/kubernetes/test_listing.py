"""Lists of one namespace and of all, by label, on a real cluster; and by whom they may be asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer import get_deploy_client
from deployer.errors import PermissionDenied
from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.e2e.kubernetes.deploys import NAME, SMALL, Deploys
from tests.e2e.kubernetes.members import Member
from tests.kubernetes import kubectl, new_namespace

TEAM = "example.com/team"


@pytest.fixture
def elsewhere(namespace: str, cluster_repository: Repository, cluster_image: str) -> Iterator[str]:
    """Another namespace; both have a deployment of the same name, each of another team."""
    with new_namespace() as other:
        for place, team in ((namespace, "ml"), (other, "web")):
            deploys = Deploys(place, cluster_repository, resources=SMALL, drain_seconds=0)
            assert deploys("create", "doubler", labels={TEAM: team}).done
        yield other


def test_all_namespaces_by_label(
    namespace: str,
    elsewhere: str,
    cluster: str,
    cluster_repository: Repository,
    tmp_path: Path,
) -> None:
    here, there = f"kubernetes://{namespace}", f"kubernetes://{elsewhere}"
    client = get_deploy_client(here)
    assert [(each.name, each.target) for each in client.list_deployments()] == [(NAME, here)]
    everywhere = {each.target: each for each in client.list_deployments(all_namespaces=True)}
    assert {here, there} <= everywhere.keys()
    assert everywhere[there] == get_deploy_client(there).list_deployments()[0], "under its target it is the same"
    for selector, found in ((f"{TEAM}=web", {there}), (f"{TEAM} in (ml,web)", {here, there}), (f"{TEAM},{TEAM}!=web", {here}), (f"{TEAM}=no", set())):
        assert {each.target for each in client.list_deployments(selector=selector, all_namespaces=True)} == found, selector
    assert not client.list_deployments(selector=f"{TEAM}=web")

    # Once the newest generation is of another team, a label of the one that is kept picks no more.
    web = Deploys(elsewhere, cluster_repository, resources=SMALL, drain_seconds=0)
    assert web("update", labels={TEAM: "ml"}).done
    assert not client.list_deployments(selector=f"{TEAM}=web", all_namespaces=True)

    context = kubectl("config", "current-context").strip()
    named = get_deploy_client(f"kubernetes:/{context}").list_deployments(all_namespaces=True)
    assert f"kubernetes:/{context}/{elsewhere}" in {each.target for each in named}

    with ClusterProxy(cluster) as proxy:
        reader = Member("read", namespace, proxy, tmp_path)
        assert reader.deploy("list", "-t", "kubernetes", "-o", "name", "-l", f"{TEAM}=ml") == f"{NAME}\n"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(PermissionDenied, match="of all namespaces may not be listed") as denied:
            patch.setenv("KUBECONFIG", str(reader.kubeconfig))
            get_deploy_client("kubernetes").list_deployments(all_namespaces=True)
        assert "kubernetes://NAMESPACE" in denied.value.advice
        try:
            lister = Member("list-all", namespace, proxy, tmp_path)
            assert f"kubernetes://{elsewhere}" in lister.deploy("list", "-t", "kubernetes", "-A", "-o", "wide")
            assert lister.allowed == lister.asked
        finally:
            for kind in ("clusterrole", "clusterrolebinding"):
                subprocess.run(["kubectl", "delete", kind, "deployer-list-all", "--ignore-not-found"], check=True)
