"""Volumes that are made: the claim and the pod that fills it, when that is, and whose they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest

from deployer.core.state import DeploymentName, Resource
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import chart, delivery, manifests, names, volumes
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.plan import plan, plan_delete, plan_prune
from deployer_targets.kubernetes.steps import Clear, MakeDeployment, PushImage
from deployer_targets.kubernetes.target import Kubernetes
from deployer_targets.kubernetes.volumes import FillVolume
from tests.unit.targets.kubernetes.builders import NAME, serving, spec

MADE: dict[str, Any] = {"size": "50Gi", "storage_class": "fast", "uri": "s3://models/churn"}
OPTIONS: dict[str, Any] = {"model_delivery": {"pvc": MADE}}
FILLED = spec(**OPTIONS)


@pytest.mark.parametrize("version", ["1.28", "1.33", "1.37"])
def test_claim_and_pod_are_what_a_cluster_takes(version: str) -> None:
    for manifest in (volumes.claim(FILLED), volumes.pod(FILLED)):
        kubernetes_validate.validate(manifest, version, strict=True)
        assert manifest["metadata"]["name"] == names.of_generation(NAME, FILLED.generation)


def test_the_pod_writes_what_those_of_the_deployment_read() -> None:
    filling, served = volumes.pod(FILLED), manifests.deployment(FILLED)["spec"]["template"]["spec"]
    (writer,), (reader,) = filling["spec"]["containers"], served["containers"]
    claim = names.of_generation(NAME, FILLED.generation)
    assert {"name": "model", "persistentVolumeClaim": {"claimName": claim}} in filling["spec"]["volumes"]
    assert {"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}} in served["volumes"]
    assert {"name": "model", "mountPath": delivery.PATH} in writer["volumeMounts"]
    assert {"name": "model", "mountPath": delivery.PATH, "readOnly": True} in reader["volumeMounts"]
    assert {"name": "DEPLOYER_MODEL_SOURCE", "value": "s3://models/churn"} in writer["env"]
    assert "DEPLOYER_MODEL_SOURCE" not in json.dumps(reader)
    assert writer["args"] == ["fetch"]
    assert writer["securityContext"] == reader["securityContext"]
    assert filling["spec"]["securityContext"] == {**served["securityContext"], "fsGroup": 10001}
    assert names.INSTANCE not in filling["metadata"]["labels"], "no Service selects it, and no rollout counts it"
    own = spec(model_delivery={"pvc": {**MADE, "fs_group": None}})
    assert volumes.pod(own)["spec"]["securityContext"] == served["securityContext"]


def test_it_is_filled_before_there_are_pods_and_is_the_generations_own() -> None:
    steps = plan(FILLED, None, Kubernetes()).forward
    order = [type(each) for each in steps if isinstance(each, PushImage | FillVolume | MakeDeployment)]
    assert order == [PushImage, FillVolume, MakeDeployment]
    volume = Resource(names.VOLUME, names.of_generation(NAME, FILLED.generation))
    (fills,) = (each for each in steps if isinstance(each, FillVolume))
    assert fills.makes == volume
    taken_back = plan(FILLED, serving(spec("two")), Kubernetes()).back
    assert any(volume in each.resources for each in taken_back if isinstance(each, Clear))
    there = serving(FILLED)
    assert not [each for each in plan(FILLED, there, Kubernetes()).forward if isinstance(each, FillVolume)]
    assert volume in plan_delete(NAME, there).removes
    after = serving(FILLED, spec("two"))
    assert volume in plan_prune(NAME, after, KubernetesConfig.parse({"keep": 0}, target="kubernetes")).removes
    assert volume not in plan_prune(NAME, after, KubernetesConfig.parse({"keep": 1}, target="kubernetes")).removes


def test_a_claim_that_is_named_is_nothing_of_ours() -> None:
    named = spec(model_delivery={"pvc": {"claim": "models", "path": "churn"}})
    assert not [each for each in named.record.resources if each.kind == names.VOLUME]
    assert not [each for each in plan(named, None, Kubernetes()).forward if isinstance(each, FillVolume)]
    recorded = KubernetesConfig.model_validate(named.record.options)
    assert recorded.model_delivery == named.config.model_delivery


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "one of the two"),
        ({"claim": "models", "size": "1Gi"}, "one of the two"),
        ({"claim": "models", "access_mode": "ReadWriteMany", "storage_class": "fast"}, "storage_class, access_mode: of a claim that is made"),
        ({"size": "1Gi", "path": "churn"}, "path: of a claim that is there"),
        ({"size": "1Gi", "check": False}, "what is copied is compared"),
        ({"size": "1Gi", "uri": "https://me:mine@files.example/churn"}, "the right to read"),
        ({"size": "much"}, "form"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        spec(model_delivery={"pvc": given})


def test_what_could_not_be_filled_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ConfigInvalid, match="pods can't fetch the model from /srv/churn"):
        delivery.check_source(spec(model_delivery={"pvc": {"size": "1Gi"}}).config, replace(FILLED.record.model, uri="/srv/churn"))
    request: Any = type("Request", (), {"exported": False, "model": type("Model", (), {"facts": replace(FILLED.record.model, size=2**40)})})
    with pytest.raises(ConfigInvalid, match="size is 50Gi, and the model has"):
        volumes.refuse(request, FILLED.config)
    request.exported = True
    with pytest.raises(ConfigInvalid, match="files have no volume that is filled"):
        volumes.refuse(request, FILLED.config)


def test_one_node_and_several_pods_are_warned_of() -> None:
    several = spec(**OPTIONS, replicas=2)
    assert "ReadWriteMany" in " ".join(delivery.warnings(several.config, several.record.model))
    shared = spec(model_delivery={"pvc": {**MADE, "access_mode": "ReadWriteMany"}}, replicas=2)
    assert not list(delivery.warnings(shared.config, shared.record.model))
    assert not list(delivery.warnings(FILLED.config, FILLED.record.model))


def test_a_chart_knows_claims_that_are_there_alone() -> None:
    known = json.loads(chart.texts()["values.schema.json"])["$defs"]["VolumeClaim"]
    assert (sorted(known["properties"]), known["required"]) == (["check", "claim", "path"], ["claim"])


def test_names_of_any_length_go() -> None:
    longest = replace(FILLED.record, deployment=DeploymentName("a" * 63))
    kubernetes_validate.validate(volumes.claim(replace(FILLED, record=longest)), "1.37", strict=True)
