"""The Kubernetes target keeps the contract: a real API server, real pods, a registry on this machine, a proxy that misbehaves between.

Most of the time is waited for pods, so promises are tried side by side. Those in LONG are left out without KUBE_CONTEXT (`make test-kubernetes`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployer.conformance import Origin, Place, Sample, SideBySide, Stream, TargetContract, TrafficContract, waiting_for_its_own
from deployer.core.state import DeploymentName
from deployer.core.target import Payload, TargetUri
from deployer.oci import Manifest, Repository
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.target import Kubernetes
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl  # noqa: F401
from tests.models import failing_model, saved_model

SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
THREADS = 4

WHOLE = "KUBE_CONTEXT" in os.environ
LONG = frozenset({"test_a_large_model_takes_little_memory"})


class KubernetesPlace(Place):
    generation_option: Mapping[str, Any] = {"env": {"WORD": "two"}}
    live_option: ClassVar[Mapping[str, Any]] = {"replicas": 2}
    question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
    stride = 4

    def __init__(self, proxy: ClusterProxy, repository: Repository, image: str, directory: Path) -> None:
        self.target = Kubernetes()
        self.proxy = proxy
        self.options = {"image_repository": repository.uri, "resources": SMALL, "drain_seconds": 2}  # type: ignore[misc]
        usual = repository.manifest(image.rpartition("@")[2])
        other = {**usual.document, "annotations": {**usual.annotations, "for": "tests"}}
        self.other_image = repository.reference(repository.put_manifest(Manifest(usual.media_type, json.dumps(other).encode())))
        self.first = Sample(self.model_at(saved_model("doubler")), {"predictions": [3.0]})
        self.second = Sample(self.model_at(saved_model("tripler")), {"predictions": [4.5]})
        self.broken = self.model_at(saved_model("broken"))
        self.failing = self.model_at(failing_model(directory))

    def connect(self) -> Kube:
        return self.target.connect(TargetUri("kubernetes"), self.target.config.parse(self.options, target="kubernetes"))

    def origin(self) -> Origin:
        return Origin("deployer_targets.kubernetes.target:Kubernetes", "kubernetes", self.options, {"KUBECONFIG": str(self.proxy.kubeconfig)})

    def stream(self, name: DeploymentName) -> Stream:
        cloud = self.connect()
        return Stream(lambda: self.ask(name, cloud), pause_seconds=0.1)  # many are sent side by side

    def real_share(self, percent: int) -> int:
        return 50 if 0 < percent < 100 else percent  # of one pod and another

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        found = kubectl("get", "services,deployments,secrets,configmaps", "-l", f"{names.INSTANCE}={name}", "-o", "json")["items"]
        records = [key for each in found for key in each.get("data", {}) if each["kind"] == "ConfigMap" and key.startswith("record.")]
        return tuple(sorted([*(f"{each['kind']}/{each['metadata']['name']}" for each in found), *(f"record/{each}" for each in records)]))

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        asked = {(entry["service"], entry["operation"]) for entry in self.proxy.calls()} - {("core", "create services/proxy")}
        rules = [self.proxy.fault("throttle", service=service, operation=operation, count=1) for service, operation in sorted(asked)]
        try:
            yield
            assert sum(rule.hits for rule in rules) > 10
        finally:
            self.proxy.clear()

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        spec = {"selector": {"app": "another"}, "ports": [{"port": 80, "name": "theirs"}]}
        kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"team": "a"}}, "spec": spec})

        def untouched() -> bool:
            found = kubectl("get", "service", name, "-o", "json")
            return bool(found["spec"]["selector"] == {"app": "another"} and found["metadata"]["labels"] == {"team": "a"})

        try:
            yield untouched
        finally:
            kubectl("delete", "service", name, "--ignore-not-found")


@pytest.fixture(scope="module")
def place(
    cluster: str,  # noqa: F811
    cluster_repository: Repository,  # noqa: F811
    cluster_image: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    with ClusterProxy(cluster) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(proxy.kubeconfig))
        yield KubernetesPlace(proxy, cluster_repository, cluster_image, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def tried(place: Place, request: pytest.FixtureRequest) -> Iterator[SideBySide]:
    with SideBySide(place, request, threads=THREADS) as tried:
        yield tried


class TestKubernetes(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_rollout_whose_outcome_is_not_known_is_left_alone": "never: the Service is moved by the run that waits; the same command goes on",
    }


waiting_for_its_own(TestKubernetes, alone={"test_every_call_throttled_once"})  # which strikes whoever calls
for promise in () if WHOLE else LONG:
    setattr(TestKubernetes, promise, None)
