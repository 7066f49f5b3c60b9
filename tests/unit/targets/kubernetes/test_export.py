"""What is exported: a create's pods and Service under a lasting name, in every form the same; Helm itself renders the chart."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import attachments, delivery, manifests, names
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.export import files_of
from tests.unit.targets.kubernetes.builders import NAME, spec
from tests.unit.targets.kubernetes.test_attachments import ALL as ATTACHED
from tests.unit.targets.kubernetes.test_attachments import OTHERS
from tests.unit.targets.kubernetes.test_manifests import ALL, VERSIONS

MODEL = "registry.example/scoring@sha256:" + "a1" * 32
IMAGE = "registry.example/scoring@sha256:" + "5d" * 32
HELM = Path(sys.executable).with_name("helm")
ALL_BUT_SECRET = {key: value for key, value in ALL.items() if key not in ("env", "patch")}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "environment": {"env": {"PASSWORD": "hunter2", "NUMBER": "007"}},
    "all options": ALL_BUT_SECRET,
    "autoscaled": {"autoscaling": {"max": 9}},
    "with a limit of CPU": {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "4", "memory": "2Gi"}}},
    "with all beside it": ATTACHED,
    "with all beside it, over gRPC": {**ATTACHED, "grpc": True},
    "with little beside it": {
        "pdb": {},
        "route": {"parent_refs": [{"name": "public"}]},
        "ingress": {},
        "network_policy": {"allow_from": [{"podSelector": {}}], "scrapers": [{"podSelector": {}}]},
        "monitoring": {"kind": "ServiceMonitor"},
    },
    "fetched": {"model_delivery": {"uri": "s3://models/churn"}},
    "fetched as an archive, from where the model is": {"model_delivery": "uri", "uri": "https://files.example/churn.tar.gz"},
    "fetched, with room asked for": {**ALL_BUT_SECRET, "model_delivery": {"uri": "gs://models/churn"}},
    "on a volume": {"model_delivery": {"pvc": {"claim": "models", "path": "churn/3"}}},
    "on a volume's root": {"model_delivery": {"pvc": {"claim": "models", "check": False}}, "env_from": {"A": {"fieldRef": {"fieldPath": "b"}}}},
    "mounted as an image": {"model_delivery": "image_volume"},
    "installed at the start": {"packages": "at-start", "grpc": True, "model_delivery": {"uri": "s3://models/churn"}},
}


def model_of(wanted: DeploymentSpec[KubernetesConfig]) -> str:
    """The model's own image, where it has one."""
    return MODEL if delivery.mounted(wanted.config) else ""


def _objects(files: Mapping[str, str]) -> dict[str, Any]:
    return {each["kind"]: each for each in map(yaml.safe_load, files.values()) if "kind" in each}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_pods_and_service_are_a_creates(options: dict[str, Any]) -> None:
    wanted = spec(**options)
    exported = _objects(files_of(wanted, "plain", IMAGE, model_of(wanted)).files)
    created = manifests.with_image(manifests.deployment(wanted), IMAGE, MODEL)["spec"]["template"]
    template = copy.deepcopy(exported["Deployment"]["spec"]["template"])
    for each in template["spec"]["containers"]:
        for source in each.get("envFrom", ()):
            assert source["secretRef"]["name"] == "churn-env"
            source["secretRef"]["name"] = names.of_generation(NAME, wanted.generation)
    assert template == created
    service = manifests.service(NAME, "", wanted.config, {})
    assert exported["Service"]["spec"] == service["spec"]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_kserves_predictor_has_a_creates_pods(options: dict[str, Any]) -> None:
    wanted = spec(**options)
    (text,) = files_of(wanted, "inference-service", IMAGE, model_of(wanted)).files.values()
    service, plain = yaml.safe_load(text), _objects(files_of(wanted, "plain", IMAGE, model_of(wanted)).files)["Deployment"]
    predictor, template = service["spec"]["predictor"], plain["spec"]["template"]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    bounds = wanted.config.autoscaling
    assert (predictor.pop("minReplicas"), predictor.pop("maxReplicas")) == ((bounds.min, bounds.max) if bounds else (plain["spec"]["replicas"],) * 2)
    assert ("cpu" in {predictor.pop("scaleMetric", None)}) == (predictor.pop("scaleTarget", None) is not None) == bool(bounds)
    assert predictor.pop("timeout") == wanted.config.request_timeout
    assert predictor.pop("labels") == template["metadata"]["labels"]
    assert predictor["containers"][0].pop("name") == "kserve-container"
    del template["spec"]["containers"][0]["name"]
    assert predictor == template["spec"]


def test_what_stands_beside_is_for_the_one_deployment_and_leaves_its_pods_to_the_autoscaler() -> None:
    for form in ("plain", "kustomize"):
        made = _objects(files_of(spec(**ATTACHED), form, IMAGE).files)
        assert made.keys() >= set(attachments.KINDS) - {"ServiceMonitor"}
        assert {each["metadata"]["name"] for kind, each in made.items() if kind != "Kustomization"} == {"churn"}
        assert made["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "churn"
        assert [each["name"] for each in made["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]] == ["churn"]
        assert made["PodDisruptionBudget"]["spec"]["selector"] == made["Deployment"]["spec"]["selector"]
        assert "replicas" not in made["Deployment"]["spec"]
    assert "edit-last-applied" in files_of(spec(**ATTACHED), "plain", IMAGE).needs[0]


def test_a_deployment_lasts_from_model_to_model_and_rolls() -> None:
    one, two = (_objects(files_of(spec(model), "plain", IMAGE).files)["Deployment"] for model in ("one", "two"))
    for each in (one, two):
        assert each["metadata"]["name"] == "churn"
        assert each["spec"]["selector"]["matchLabels"].items() <= each["spec"]["template"]["metadata"]["labels"].items()
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert one["spec"]["selector"] == two["spec"]["selector"]
    assert one["spec"]["template"] != two["spec"]["template"]


@pytest.mark.parametrize("form", ["plain", "kustomize", "helm", "inference-service"])
def test_the_same_spec_gives_the_same_bytes_whoever_exports_it(form: str) -> None:
    first, second = (files_of(spec(env={"WORD": "a"}, secrets=secrets), form, IMAGE) for secrets in ("one", "two"))
    assert first == second


@pytest.mark.parametrize("form", ["plain", "kustomize", "helm", "inference-service"])
def test_no_value_of_the_environment_is_in_any_file(form: str) -> None:
    made = files_of(spec(env={"PASSWORD": "hunter2"}), form, IMAGE)
    assert "hunter2" not in json.dumps([dict(made.files), made.needs])
    assert "PASSWORD" in made.needs[0]


@pytest.mark.parametrize("form", ["plain", "kustomize", "helm", "inference-service"])
@pytest.mark.parametrize(("path", "said"), [("churn/3", "the claim models .* in churn/3"), ("", "the claim models .* in its root")])
def test_a_claim_that_is_in_no_file_is_told(form: str, path: str, said: str) -> None:
    (need,) = files_of(spec(model_delivery={"pvc": {"claim": "models", "path": path}}), form, IMAGE).needs
    assert re.search(said, need)


def test_nothing_exported_counts_as_a_deployment_of_ours() -> None:
    for each in _objects(files_of(spec(), "plain", IMAGE).files).values():
        assert names.MANAGED_BY not in each["metadata"]["labels"]
        assert "namespace" not in each["metadata"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_files_are_valid(version: str, options: dict[str, Any]) -> None:
    wanted = spec(**options)
    for kind, each in _objects(files_of(wanted, "plain", IMAGE, model_of(wanted)).files).items():
        if kind in OTHERS or (delivery.mounted(wanted.config) and version == VERSIONS[0]):
            continue  # which knew no image as a volume
        kubernetes_validate.validate(each, version, strict=True)


def test_kustomize_builds_what_is_plain(tmp_path: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(_written(files_of(spec(**OPTIONS["all options"]), "kustomize", IMAGE).files, tmp_path))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert _parsed(built.stdout) == _objects(files_of(spec(**OPTIONS["all options"]), "plain", IMAGE).files)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_helm_renders_what_is_plain(tmp_path: Path, options: dict[str, Any]) -> None:
    wanted = spec(**options)
    chart = _written(files_of(wanted, "helm", IMAGE, model_of(wanted)).files, tmp_path)
    given = [word for key, value in wanted.config.env.items() for word in ("--set-string", f"env.{key}={value}")]
    rendered = _parsed(_helm("template", NAME, chart, *given).stdout)
    secret = rendered.pop("Secret", None)
    assert (secret or {}).get("stringData", {}) == wanted.config.env
    if secret:
        assert secret["metadata"]["name"] == "churn-env"
        del rendered["Deployment"]["spec"]["template"]["metadata"]["annotations"]["deployer.io/env"]
    plain = _objects(files_of(wanted, "plain", IMAGE, model_of(wanted)).files)
    assert _without_empty(rendered) == _without_empty(plain)
    assert _helm("lint", chart).returncode == 0


def test_a_chart_takes_the_options_as_values_and_refuses_others(tmp_path: Path) -> None:
    chart = _written(files_of(spec(), "helm", IMAGE).files, tmp_path)
    rendered = _parsed(_helm("template", "other", chart, "--set", "replicas=4,drain_seconds=20,workers=3").stdout)
    deployment = rendered["Deployment"]
    assert deployment["metadata"]["name"] == rendered["Service"]["metadata"]["name"] == "other"
    assert deployment["spec"]["replicas"] == 4
    assert (
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        == manifests.pod(spec(drain_seconds=20), IMAGE)["terminationGracePeriodSeconds"]
    )
    assert rendered["Service"]["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert "packages" not in json.dumps(deployment)
    for wrong in ("packages=auto", "model_delivery=uri", "model_delivery.pvc.path=churn", "replicas=none", "drain_seconds=9000", "replica=2"):
        assert "values don't meet the specifications of the schema" in _helm("template", "other", chart, "--set", wrong, check=False).stderr


def test_a_chart_s_model_comes_from_another_store_or_volume_where_its_values_say_so(tmp_path: Path) -> None:
    for given, value, wanted in (
        ({"uri": "s3://models/churn"}, "uri=gs://mirror/churn", {"uri": "gs://mirror/churn"}),
        ({"pvc": {"claim": "models", "path": "3"}}, "pvc.claim=others", {"pvc": {"claim": "others", "path": "3"}}),
    ):
        chart = _written(files_of(spec(model_delivery=given), "helm", IMAGE).files, tmp_path)
        rendered = _parsed(_helm("template", NAME, chart, "--set", f"model_delivery.{value}").stdout)["Deployment"]["spec"]["template"]["spec"]
        pod = manifests.pod(spec(model_delivery=wanted), IMAGE)
        assert rendered["volumes"] == pod["volumes"]
        assert [rendered["containers"][0][each] for each in ("env", "volumeMounts")] == [
            pod["containers"][0][each] for each in ("env", "volumeMounts")
        ]


def _written(files: Mapping[str, str], directory: Path) -> Path:
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def _helm(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def _parsed(text: str) -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(text) if each}


def _without_empty(value: Any) -> Any:
    """Kubernetes reads an empty mapping or list as one that isn't there."""
    if isinstance(value, dict):
        return {key: kept for key, each in value.items() if (kept := _without_empty(each)) not in ({}, [], None)}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value
