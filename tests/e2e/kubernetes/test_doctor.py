"""What doctor tries on a real cluster: a pod that pulls the image; what stops it is told, and nothing is left."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deployer.core.target import Diagnosis, Verdict
from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes.pull_trial import NAME
from tests.docker import serving_registry
from tests.e2e.kubernetes.deploys import SMALL, TARGET, Deploys
from tests.e2e.kubernetes.members import Member
from tests.kubernetes import kubectl

PASSWORD, HTPASSWD = "registry-pa55word", "me:$2b$05$abcdefghijklmnopqrstuuTMgCuQV6fDwRldCq0rh/HNBaX5zuFoe\n"


def tried(deploys: Deploys, **options: Any) -> tuple[Diagnosis, Diagnosis]:
    told, judged = TARGET.trial(deploys.cloud(**options))
    assert f"makes the pod {NAME}" in told.detail
    assert f"namespace {deploys.namespace}" in told.detail
    return told, judged


def nothing_left(deploys: Deploys) -> bool:
    return not deploys.pods() and not [each for each in deploys.names("secrets") if str(NAME) in each]


@pytest.mark.usefixtures("cluster_image")
def test_whether_nodes_can_pull_is_tried(
    namespace: str,
    cluster: str,
    cluster_repository: Repository,
    tmp_path: Path,
) -> None:
    deploys = Deploys(namespace, cluster_repository, resources=SMALL)
    _, judged = tried(deploys)
    assert (judged.verdict, "has pulled it" in judged.detail) == (Verdict.OK, True), judged
    assert nothing_left(deploys)

    _, judged = tried(deploys, node_selector={"example.com/pool": "none"})
    assert judged.verdict is Verdict.WARNING
    assert "no node has room for it" in judged.detail
    kubectl("create", "quota", "tight", "--hard", "limits.memory=1Mi", "-n", namespace)
    _, judged = tried(deploys)
    assert judged.verdict is Verdict.WRONG
    assert "exceeded quota: tight" in judged.detail
    kubectl("delete", "quota", "tight", "-n", namespace)
    assert nothing_left(deploys)

    with ClusterProxy(cluster) as proxy:
        asks = ("doctor", "--try", "-t", "kubernetes", "-C", f"image_repository={cluster_repository.uri}", "-C", f"resources={json.dumps(SMALL)}")
        said = Member("deploy", namespace, proxy, tmp_path).run(*asks).stdout
        assert f"not tried: make Pod {NAME} is not allowed" in said, said
        more = Member("read", namespace, proxy, tmp_path).run("doctor", "-t", "kubernetes", "-C", "model_delivery=image_volume").stdout
        assert "not allowed, for model_delivery=image_volume: create pods, get pods, delete pods" in more
        member = Member("image-volume", namespace, proxy, tmp_path)
        assert "has pulled it" in member.run(*asks).stdout
        assert member.allowed == {each for each in member.asked if each.endswith(" pods")}
    assert nothing_left(deploys)


def test_a_registry_with_a_password(
    namespace: str,
    cluster_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    with serving_registry(tmp_path, f"auth:\n  htpasswd:\n    realm: test\n    path: {tmp_path / 'htpasswd'}\n") as host:
        repository = Repository(host, "scoring")
        auth = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        copied = f"{repository.uri}:1-py311"
        without_tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
        subprocess.run(
            ["skopeo", "copy", *without_tls, f"docker://{cluster_image}", f"docker://{copied}", "--dest-creds", f"me:{PASSWORD}"], check=True
        )
        deploys = Deploys(namespace, repository, resources=SMALL)
        _, judged = tried(deploys)
        assert (judged.verdict, "can't pull" in judged.detail) == (Verdict.WRONG, True), judged
        told, judged = tried(deploys, pull_secret=True)
        assert f"the Secret {NAME}-pull" in told.detail
        assert judged.verdict is Verdict.OK, judged
        assert nothing_left(deploys)

        kubectl(
            "create",
            "secret",
            "docker-registry",
            "mine",
            "-n",
            namespace,
            "--docker-server",
            "other.example",
            "--docker-username=me",
            "--docker-password=x",
        )
        found = {each.subject: each for each in TARGET.doctor(deploys.cloud(image_pull_secrets=["mine", "gone"]))}
        assert (found["secret mine"].verdict, found["secret gone"].verdict) == (Verdict.WARNING, Verdict.WRONG)
        assert f"has no login for {host}: it has other.example" in found["secret mine"].detail
