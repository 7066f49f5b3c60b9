"""Our server as KServe's runtime, and what uses it; what KServe itself makes of them is in tests/e2e/kubernetes/test_kserve.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from deployer.core.target import DeploymentSpec, Exported
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import serving_runtimes
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.export import exported
from tests.unit.targets.kubernetes.builders import spec

RUNS = "registry.example/scoring@sha256:0"
GRPC = {"grpcio": "1.85.3", "protobuf": "7.0.0"}


def made(*, packages: dict[str, str] | None = None, uri: str = "s3://bucket/churn", at_start: bool = False, **options: Any) -> dict[str, Any]:
    wanted = with_image(spec(**options), packages)
    if at_start:
        found: dict[str, Any] = dict(serving_runtimes.runtimes(wanted.image, RUNS, wanted.config, "deployer-py311", at_start=True))
        return found
    return parsed(serving_runtimes.of_model(replace(wanted, record=replace(wanted.record, model=replace(wanted.record.model, uri=uri))), RUNS))


def with_image(wanted: DeploymentSpec[KubernetesConfig], packages: dict[str, str] | None) -> DeploymentSpec[KubernetesConfig]:
    return replace(wanted, image=replace(wanted.image, python_version="3.11", packages=packages))


def parsed(exported: Exported) -> dict[str, Any]:
    return {path: yaml.safe_load(text) for path, text in exported.files.items()}


def container(runtime: dict[str, Any]) -> dict[str, Any]:
    (found,) = runtime["spec"]["containers"]
    assert found["name"] == "kserve-container"
    return dict(found)


def variables(runtime: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container(runtime)["env"]}


def test_a_runtime_serves_what_storage_initializer_fetched_under_the_services_name() -> None:
    runtime = made(at_start=True)["servingruntime.yaml"]
    assert container(runtime)["args"] == ["serve", "--model-name", "{{.Name}}"]
    assert variables(runtime)["DEPLOYER_MODEL"] == "/mnt/models"
    assert variables(runtime)["DEPLOYER_PACKAGES"] == "at-start"
    assert runtime["spec"]["protocolVersions"] == ["v1", "v2"]
    assert runtime["spec"]["annotations"] == {"prometheus.kserve.io/port": "8080", "prometheus.kserve.io/path": "/metrics"}
    assert {each["name"] for each in runtime["spec"]["supportedModelFormats"]} == {"mlflow", "sklearn", "xgboost", "lightgbm", "catboost", "onnx"}


def test_no_service_moves_to_a_runtime_that_it_does_not_name() -> None:
    assert not any(each["autoSelect"] for each in made()["servingruntime.yaml"]["spec"]["supportedModelFormats"])


@pytest.mark.parametrize("path", ["servingruntime.yaml", "servingruntime-grpc.yaml"])
def test_a_runtime_is_what_knative_takes_and_restricted_pods_are(path: str) -> None:
    runtime = made(packages=GRPC)[path]
    own = container(runtime)
    (port,) = own["ports"]
    for name in ("readinessProbe", "livenessProbe"):
        for way in ("httpGet", "grpc"):
            assert own.get(name, {}).get(way, {}).get("port", port["containerPort"]) == port["containerPort"]
    assert "startupProbe" not in own
    assert own["image"] == RUNS
    assert own["securityContext"]["readOnlyRootFilesystem"] is True
    assert "runAsUser" not in own["securityContext"]
    assert own["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert runtime["spec"].keys() == {"annotations", "supportedModelFormats", "protocolVersions", "containers", "volumes"}


def test_grpc_has_a_runtime_of_its_own_where_the_image_has_its_packages() -> None:
    assert made(packages={"numpy": "2.0"}).keys() == {"servingruntime.yaml", "inferenceservice.yaml"}
    runtime = made(packages=GRPC)["servingruntime-grpc.yaml"]
    assert container(runtime)["ports"] == [{"name": "h2c", "containerPort": 9000, "protocol": "TCP"}]
    assert variables(runtime)["DEPLOYER_GRPC_PORT"] == "9000"
    assert runtime["spec"]["protocolVersions"] == ["grpc-v2"]
    assert runtime["metadata"]["name"] == made(packages=GRPC)["servingruntime.yaml"]["metadata"]["name"] + "-grpc"


def test_a_model_has_a_runtime_with_its_packages_and_a_service_that_names_it() -> None:
    files = made(replicas=3, request_timeout=90, service_account="reader", image_pull_secrets=["pull"])
    runtime, service = files["servingruntime.yaml"], files["inferenceservice.yaml"]
    assert "DEPLOYER_PACKAGES" not in variables(runtime)
    predictor = service["spec"]["predictor"]
    assert service["metadata"] == {"name": "churn", "annotations": {"serving.kserve.io/deploymentMode": "Standard"}}
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["timeout"], predictor["serviceAccountName"]) == (3, 3, 90, "reader")
    assert predictor["model"]["modelFormat"] == {"name": "mlflow"}
    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    assert predictor["model"]["storageUri"] == "s3://bucket/churn"
    assert runtime["spec"]["imagePullSecrets"] == predictor["imagePullSecrets"] == [{"name": "pull"}]


def test_the_mode_is_an_annotation_that_the_options_may_say() -> None:
    service = made(annotations={"serving.kserve.io/deploymentMode": "Knative"})["inferenceservice.yaml"]
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Knative"}


@pytest.mark.parametrize("uri", ["models:/churn/3", "/srv/churn", "runs:/1234/model"])
def test_a_model_that_kserve_can_t_fetch_has_no_service_and_it_is_said(uri: str) -> None:
    wanted = with_image(spec(), None)
    found = serving_runtimes.of_model(replace(wanted, record=replace(wanted.record, model=replace(wanted.record.model, uri=uri))), RUNS)
    assert parsed(found).keys() == {"servingruntime.yaml"}
    assert uri in found.needs[-1]


@pytest.mark.parametrize(
    ("given", "storage"),
    [
        ("layer", "s3://models/churn"),
        ("uri", "s3://models/churn"),
        ({"uri": "gs://mirror/churn"}, "gs://mirror/churn"),
        ({"pvc": {"claim": "models", "path": "churn/3"}}, "pvc://models/churn/3"),
        ({"pvc": {"claim": "models"}}, "pvc://models"),
    ],
)
def test_kserve_has_the_model_from_where_the_pods_would(given: Any, storage: str) -> None:
    wanted = with_image(spec(uri="s3://models/churn", model_delivery=given), None)
    found = parsed(serving_runtimes.of_model(wanted, RUNS))["inferenceservice.yaml"]
    assert found["spec"]["predictor"]["model"]["storageUri"] == storage


def test_values_of_the_environment_are_in_no_runtime() -> None:
    wanted = with_image(spec(env={"TOKEN": "hunter2"}, env_from={"KEY": {"secretKeyRef": {"name": "api", "key": "k"}}}), None)
    found = serving_runtimes.of_model(wanted, RUNS)
    assert "hunter2" not in str(found)
    assert "TOKEN" in found.needs[0]
    assert {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "k"}}} in container(parsed(found)["servingruntime.yaml"])["env"]


def test_the_end_is_within_kubernetes_own_grace() -> None:
    told = variables(made(drain_seconds=300)["servingruntime.yaml"])
    assert (told["DEPLOYER_DRAIN_SECONDS"], told["DEPLOYER_GRACE_SECONDS"]) == ("15", "30")


def test_a_service_of_the_runtime_for_any_model_takes_no_image_of_its_own() -> None:
    wanted = with_image(spec(model_delivery={"uri": "s3://bucket/churn"}, replicas=2), None)
    found = exported(wanted, "inference-service", None, None)  # type: ignore[arg-type]
    (service,) = parsed(found).values()
    model = service["spec"]["predictor"]["model"]
    assert (model["runtime"], model["storageUri"]) == ("deployer-py311", "s3://bucket/churn")
    assert "deployer-py311" in found.needs[0]


def test_a_service_of_what_kserve_does_not_fetch_is_refused() -> None:
    wanted = with_image(spec(model_delivery={"uri": "wasbs://box@account.blob.core.windows.net/churn"}), None)
    with pytest.raises(ConfigInvalid, match="KServe can't fetch wasbs://"):
        exported(wanted, "inference-service", None, None)  # type: ignore[arg-type]
