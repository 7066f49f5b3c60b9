"""The Kubernetes target keeps the contract: a real API server, real pods, a registry on this machine, a proxy that misbehaves between.

Each pod takes seconds to load its model, so without KUBE_CONTEXT (`make test-kubernetes`, which runs all) only the promises in BRIEF are tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployer.conformance import Origin, Place, Sample, TargetContract, TrafficContract
from deployer.core.state import DeploymentName
from deployer.core.target import Payload, TargetUri
from deployer.events import silent
from deployer.oci import Repository
from deployer_images.builder import LAYERS, BuildOptions, build_and_push
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.target import Kubernetes
from tests.docker import root_directory
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl  # noqa: F401
from tests.models import failing_model, saved_model

SMALL = {"requests": {"cpu": "300m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}


WHOLE = "KUBE_CONTEXT" in os.environ
BRIEF = frozenset(
    {
        "test_what_it_can_do_with_traffic_is_held_to_its_contract",
        "test_round_trip",
        "test_the_old_generation_answers_while_a_broken_one_is_tried",
        "test_a_create_that_fails_leaves_nothing",
        "test_every_call_throttled_once",
        "test_somebody_elses_endpoint_is_refused",
        "test_somebody_elses_endpoint_is_taken_over_when_asked",
        "test_a_model_or_directory_of_any_name_gives_a_valid_one",
        "test_delete_of_what_is_not_there_is_done",
        "test_a_plan_changes_nothing",
        "test_update_of_what_is_not_there_is_told",
    }
)


class KubernetesPlace(Place):
    generation_option: Mapping[str, Any] = {"env": {"WORD": "two"}}
    live_option: ClassVar[Mapping[str, Any]] = {"replicas": 2}
    question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
    stride = 4

    def __init__(self, proxy: ClusterProxy, repository: Repository, directory: Path) -> None:
        self.target = Kubernetes()
        self.proxy = proxy
        self.options = {"image_repository": repository.uri, "resources": SMALL, "drain_seconds": 2}  # type: ignore[misc]
        other = BuildOptions(base_image=str(root_directory()), python="3.11", runtime=LAYERS, requirements=("iniconfig==2.0.0",))
        self.other_image = build_and_push(other, repository, silent).reference
        self.first = Sample(self.model_at(saved_model("doubler")), {"predictions": [3.0]})
        self.second = Sample(self.model_at(saved_model("tripler")), {"predictions": [4.5]})
        self.broken = self.model_at(saved_model("broken"))
        self.failing = self.model_at(failing_model(directory))

    def connect(self) -> Kube:
        return self.target.connect(TargetUri("kubernetes"), self.target.config.parse(self.options, target="kubernetes"))

    def origin(self) -> Origin:
        return Origin("deployer_targets.kubernetes.target:Kubernetes", "kubernetes", self.options, {"KUBECONFIG": str(self.proxy.kubeconfig)})

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
        yield KubernetesPlace(proxy, cluster_repository, tmp_path_factory.mktemp("models"))


class TestKubernetes(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_rollout_whose_outcome_is_not_known_is_left_alone": "never: the Service is moved by the run that waits; the same command goes on",
    }


if not WHOLE:
    for promise in [each for each in dir(TestKubernetes) if each.startswith("test_") and each not in BRIEF]:
        setattr(TestKubernetes, promise, None)
