"""URIs of clusters whose contexts are named as the clouds name them."""

from __future__ import annotations

import pytest

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.address import ClusterAddress, address_of

EKS = "arn:aws:eks:us-west-2:123456789012:cluster/prod"
OPENSHIFT = "team/api-cluster-example-com:6443/kube:admin"
GKE = "gke_project_us-central1_prod"
KNOWN = (EKS, OPENSHIFT, GKE, "kind-dev", "team", "a/b", "a/b/c")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("kubernetes", ClusterAddress()),
        ("kubernetes:/", ClusterAddress()),
        ("kubernetes:/kind-dev", ClusterAddress("kind-dev")),
        ("kubernetes:/kind-dev/", ClusterAddress("kind-dev")),
        ("kubernetes:/kind-dev/ml", ClusterAddress("kind-dev", "ml")),
        ("deployer-kubernetes:/kind-dev/ml", ClusterAddress("kind-dev", "ml")),
        ("kubernetes://ml", ClusterAddress("", "ml")),
        (f"kubernetes:/{EKS}", ClusterAddress(EKS)),
        (f"kubernetes:/{EKS}/ml", ClusterAddress(EKS, "ml")),
        (f"kubernetes:/{OPENSHIFT}", ClusterAddress(OPENSHIFT)),
        (f"kubernetes:/{OPENSHIFT}/ml", ClusterAddress(OPENSHIFT, "ml")),
        ("kubernetes:/arn%3Aaws%3Aeks%3Aus-west-2%3A123456789012%3Acluster%2Fprod/ml", ClusterAddress(EKS, "ml")),
        ("kubernetes:/team%2Fapi-cluster-example-com%3A6443%2Fkube%3Aadmin", ClusterAddress(OPENSHIFT)),
        (f"kubernetes:/{GKE}/ml", ClusterAddress(GKE, "ml")),
        ("kubernetes:/team/other", ClusterAddress("team", "other")),
        ("kubernetes:/a/b", ClusterAddress("a/b")),
        ("kubernetes:/a/b/c", ClusterAddress("a/b/c")),
        ("kubernetes:/a/b/d", ClusterAddress("a/b", "d")),
    ],
)
def test_a_uri_names_the_longest_context_there_is(uri: str, expected: ClusterAddress) -> None:
    assert address_of(TargetUri.parse(uri).path, KNOWN) == expected


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("kind-deb", "did you mean kind-dev?"),
        ("nowhere/ml", "the kubeconfig has no context nowhere/ml"),
        ("kind-dev/My Namespace", "'My Namespace' is no namespace"),
        ("kind-dev/ml/more", "'ml/more' is no namespace"),
        ("/-ml", "'-ml' is no namespace"),
    ],
)
def test_what_is_none_is_told(path: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        address_of(path, KNOWN)
    assert said in refused.value.message
