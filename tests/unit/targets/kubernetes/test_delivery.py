"""How the model comes to the pods, and what its size asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from deployer.core.state import ModelFacts, digest_of
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import delivery, manifests
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.images import pods_image
from deployer_targets.kubernetes.plan import plan
from deployer_targets.kubernetes.routing import AwaitRoute
from deployer_targets.kubernetes.steps import PushImage
from deployer_targets.kubernetes.target import Kubernetes
from deployer_targets.kubernetes.waiting import AwaitPods
from tests.unit.targets.kubernetes.builders import spec

GIB = 1024**3
FETCHED: dict[str, Any] = {"model_delivery": {"uri": "s3://models/churn"}}
VOLUME: dict[str, Any] = {"model_delivery": {"pvc": {"claim": "models"}}}


def of_model(wanted: DeploymentSpec[KubernetesConfig], **facts: Any) -> DeploymentSpec[KubernetesConfig]:
    return replace(wanted, record=replace(wanted.record, model=replace(wanted.record.model, **facts)))


def facts(size: int = 0, uri: str = "models:/churn/3", location: str = "") -> ModelFacts:
    return ModelFacts(uri, digest_of(uri), size=size, location=location)


def container(wanted: DeploymentSpec[KubernetesConfig]) -> dict[str, Any]:
    manifest = manifests.deployment(wanted)
    kubernetes_validate.validate(manifest, "1.33", strict=True)
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def source(wanted: DeploymentSpec[KubernetesConfig]) -> str:
    return {each["name"]: each.get("value", "") for each in container(wanted)["env"]}.get("DEPLOYER_MODEL_SOURCE", "")


@pytest.mark.parametrize(
    ("given", "model", "wanted"),
    [
        ("layer", {"uri": "s3://models/churn"}, ""),
        ("uri", {"uri": "s3://models/churn"}, "s3://models/churn"),
        ("uri", {"uri": "models:/churn/3", "location": "gs://store/1/churn"}, "gs://store/1/churn"),
        ({"uri": "https://files.example/churn.tar.gz"}, {"uri": "/srv/churn"}, "https://files.example/churn.tar.gz"),
        ({"pvc": {"claim": "models"}}, {"uri": "s3://models/churn"}, ""),
    ],
)
def test_pods_are_told_where_the_model_is_fetched_from(given: Any, model: dict[str, str], wanted: str) -> None:
    made = of_model(spec(model_delivery=given), **model)
    assert source(made) == wanted


@pytest.mark.parametrize(
    ("given", "model", "listed"),
    [
        ("layer", True, False),
        ({"uri": "s3://models/churn"}, True, True),
        ({"pvc": {"claim": "models"}}, True, True),
        ("image_volume", False, False),
        ({"pvc": {"claim": "models", "check": False}}, False, False),
    ],
)
def test_what_the_image_says_of_the_model(given: Any, model: bool, listed: bool) -> None:
    image = pods_image(spec(model_delivery=given))
    assert (image.model is not None, image.listed) == (model, listed)


def test_a_model_that_is_fetched_has_a_room_of_its_own_that_outlives_the_container() -> None:
    made = of_model(spec(**FETCHED), size=3 * GIB)
    found = container(made)
    assert {"name": "model", "emptyDir": {}} in manifests.pod(made, "image")["volumes"]
    assert {"name": "model", "mountPath": "/opt/ml/model"} in found["volumeMounts"]
    assert found["resources"]["requests"]["ephemeral-storage"] == f"{3 * 1024 + 256}Mi"
    (pushed,) = (each for each in plan(made, None, Kubernetes()).forward if isinstance(each, PushImage))
    assert pushed.image.listed


def test_room_is_asked_for_the_archive_too_and_never_beside_the_user_s_own_word() -> None:
    archive = of_model(spec(model_delivery={"uri": "s3://models/churn.tar.gz"}), size=GIB)
    assert container(archive)["resources"]["requests"]["ephemeral-storage"] == f"{2 * 1024 + 256}Mi"
    own = {"requests": {"cpu": "1", "ephemeral-storage": "9Gi"}, "limits": {"memory": "2Gi"}}
    assert container(of_model(spec(**FETCHED, resources=own), size=GIB))["resources"]["requests"]["ephemeral-storage"] == "9Gi"
    assert "ephemeral-storage" not in container(of_model(spec(), size=GIB))["resources"]["requests"]


def test_the_time_to_start_follows_the_size() -> None:
    def seconds(size: int, **options: Any) -> int:
        made = of_model(spec(**options), size=size)
        (wait,) = (each for each in plan(made, None, Kubernetes()).forward if isinstance(each, AwaitPods))
        assert manifests.deployment(made)["spec"]["progressDeadlineSeconds"] == wait.deadline_seconds
        return int(wait.deadline_seconds)

    assert seconds(10**7) == seconds(5 * 10**9) == 600
    assert seconds(25 * 10**9) == 1600
    assert seconds(25 * 10**9, progress_deadline=77) == 77


@pytest.mark.parametrize(
    ("size", "options", "seconds"),
    [
        (10**7, {}, 1200),
        (17 * 10**9, {}, 1800),
        (60 * 10**9, FETCHED, 3950),
        (60 * 10**9, VOLUME, 3950),
        (60 * 10**9, {"timeout_seconds": 1200}, 1200),
        (10**7, {"progress_deadline": 3000}, 3600),
        (10**7, {"progress_deadline": 20}, 1200),
    ],
)
def test_a_run_waits_until_it_is_known_whether_pods_fail(size: int, options: dict[str, Any], seconds: int) -> None:
    route = {"parent_refs": [{"name": "public"}]}
    waits = plan(of_model(spec(**options, route=route), size=size), None, Kubernetes()).forward
    assert {int(each.timeout_seconds) for each in waits if isinstance(each, AwaitPods | AwaitRoute)} == {seconds}


@pytest.mark.parametrize(
    ("size", "options", "said"),
    [
        (5 * 10**9, {}, ""),
        (6 * 10**9, {}, "twice on their disks"),
        (6 * 10**9, FETCHED, "fetches the model's"),
        (21 * 10**9, {}, "on a volume instead"),
        (21 * 10**9, FETCHED, "on a volume instead"),
        (90 * 10**9, VOLUME, ""),
    ],
)
def test_a_large_model_is_warned_of(size: int, options: dict[str, Any], said: str) -> None:
    found = [*delivery.warnings(spec(**options).config, facts(size))]
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize(
    ("options", "model", "said"),
    [
        ({"model_delivery": "uri"}, facts(uri="/srv/churn"), "pods can't fetch the model from /srv/churn"),
        ({"model_delivery": "uri"}, facts(location="file:///mlruns/1"), "pods can't fetch"),
        ({"model_delivery": "uri"}, facts(uri="hdfs://node/churn"), "pods can't fetch"),
        ({"model_delivery": "uri"}, facts(uri="https://files.example/download"), "doesn't end as an archive"),
        ({**FETCHED, "network_policy": {"allow_from": [{"podSelector": {}}]}}, facts(), "names alone"),
    ],
)
def test_what_no_pod_could_fetch_is_refused_before_anything_is_made(options: dict[str, Any], model: ModelFacts, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        delivery.check_source(spec(**options).config, model)


@pytest.mark.parametrize(
    "model",
    [facts(uri="https://files.example/churn.zip"), facts(location="https://mlflow.example/api/2.0/mlflow-artifacts/artifacts/1/churn")],
)
def test_what_pods_can_fetch_is_taken(model: ModelFacts) -> None:
    delivery.check_source(spec(model_delivery="uri").config, model)


@pytest.mark.parametrize(
    "given",
    [
        {"uri": "https://files.example/churn?signature=abc"},
        {"uri": "https://me:mine@files.example/churn"},
        {"uri": "s3://a/b", "pvc": {"claim": "models"}},
        {},
        "volume",
    ],
)
def test_secrets_and_two_ways_at_once_are_refused(given: Any) -> None:
    with pytest.raises(ConfigInvalid):
        spec(model_delivery=given)


def test_run_local_mounts_the_model_and_fetches_nothing() -> None:
    wanted = replace(spec(**FETCHED), path=Path("/srv/churn"))
    assert "DEPLOYER_MODEL_SOURCE" not in Kubernetes().container(wanted).environment
