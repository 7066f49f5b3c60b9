"""What is applied to a cluster, from what is wanted. Pure: the same spec gives the same manifests, here and in an export.

The pods keep the restricted Pod Security standard and run under any UID, as OpenShift gives one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from deployer.core.state import DeploymentName, Image
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import names, patching
from deployer_targets.kubernetes.config import KubernetesConfig

PORT = 8080
CONTAINER = "model"
MODEL_PATH = "/opt/ml/model"
LIVE, READY = "/v2/health/live", "/v2/health/ready"
PENDING = "made-with-the-model"
"""Stands for the image until the model is on it."""

_STARTS = 600
"""Seconds that the server's own process may take until it answers that it lives, before the model is loaded."""

Manifest = dict[str, Any]
Spec = DeploymentSpec[KubernetesConfig]


def deployment(spec: Spec, image: str = PENDING) -> Manifest:
    """One generation, without pods at first: how many it has is said by another field manager, once it is known to be wanted still."""
    name, config, generation = spec.name, spec.config, spec.generation
    own = {**config.labels, **names.labels(name, generation), names.NAME: name}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names.of_generation(name, generation),
            "labels": own,
            "annotations": {**config.annotations, names.IMAGE: spec.record.image},
        },
        "spec": {
            "replicas": 0,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": config.progress_deadline,
            "selector": {"matchLabels": names.selector(name, generation)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {"metadata": {"labels": own, "annotations": dict(config.annotations)}, "spec": pod(spec, image)},
        },
    }
    return _patched(config, manifest)


def pod(spec: Spec, image: str) -> Manifest:
    """The pod's spec."""
    config = spec.config
    wanted = {
        "imagePullSecrets": [{"name": each} for each in config.image_pull_secrets],
        "serviceAccountName": config.service_account,
        "nodeSelector": dict(config.node_selector),
        "tolerations": [dict(each) for each in config.tolerations],
        "priorityClassName": config.priority_class,
        "runtimeClassName": config.runtime_class,
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace(config),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": _affinity(config.affinity, spec.image),
        "topologySpreadConstraints": [_spread(spec, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")],
        "containers": [_container(spec, image)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **{key: value for key, value in wanted.items() if value},
    }


def with_image(manifest: Manifest, image: str) -> Manifest:
    """A Deployment whose container runs this image; what a patch has put there stays."""
    made = copy.deepcopy(manifest)
    for each in made["spec"]["template"]["spec"]["containers"]:
        if each["image"] == PENDING:
            each["image"] = image
    return made


def service(name: DeploymentName, generation: str, config: KubernetesConfig, annotations: Mapping[str, str]) -> Manifest:
    """The pointer: what it selects is what serves; no generation: all that have pods."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {**names.labels(name), names.NAME: name}, "annotations": dict(annotations)},
        "spec": {
            "selector": names.selector(name, generation),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
    return _patched(config, manifest)


def secret(spec: Spec) -> Manifest:
    """The environment of a generation, whose values no pod spec shows."""
    config = spec.config
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.of_generation(spec.name, spec.generation),
            "labels": {**config.labels, **names.labels(spec.name, spec.generation)},
            "annotations": dict(config.annotations),
        },
        "type": "Opaque",
        "stringData": dict(config.env),
    }
    return _patched(config, manifest)


def replicas(name: DeploymentName, generation: str, count: int, version: str) -> Manifest:
    """The number of pods of a generation, in place of that which the version has."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.of_generation(name, generation), "resourceVersion": version},
        "spec": {"replicas": count},
    }


def environment(config: KubernetesConfig) -> dict[str, str]:
    """What the runtime is told, beside the variables of the user."""
    told = {
        "DEPLOYER_DRAIN_SECONDS": str(config.drain_seconds),
        "DEPLOYER_GRACE_SECONDS": str(_grace(config)),
        "DEPLOYER_REQUEST_TIMEOUT_SECONDS": str(config.request_timeout),
    }
    return told | ({"DEPLOYER_WORKERS": str(config.workers)} if config.workers else {})


def _grace(config: KubernetesConfig) -> int:
    """Seconds from a pod's SIGTERM to its kill: the drain, the longest request, and a little."""
    return config.drain_seconds + config.request_timeout + 5


def _container(spec: Spec, image: str) -> Manifest:
    config = spec.config
    container: Manifest = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve"],
        "env": [
            *({"name": name, "value": value} for name, value in environment(config).items()),
            *({"name": name, "valueFrom": dict(source)} for name, source in sorted(config.env_from.items())),
        ],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": config.resources.model_dump(mode="json"),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "startupProbe": {"httpGet": {"path": LIVE, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": _STARTS},
        "livenessProbe": {"httpGet": {"path": LIVE, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"httpGet": {"path": READY, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    if config.env:
        container["envFrom"] = [{"secretRef": {"name": names.of_generation(spec.name, spec.generation)}}]
    return container


def _affinity(asked: Mapping[str, Any], image: Image) -> Manifest:
    """What is asked for, on nodes of the image's architecture alone."""
    fits = {"key": "kubernetes.io/arch", "operator": "In", "values": [image.platform.split("/")[1]]}
    node = dict(asked.get("nodeAffinity") or {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = (node.get(required) or {}).get("nodeSelectorTerms") or [{}]
    node[required] = {"nodeSelectorTerms": [{**each, "matchExpressions": [*(each.get("matchExpressions") or ()), fits]} for each in terms]}
    return {**asked, "nodeAffinity": node}


def _spread(spec: Spec, key: str) -> Manifest:
    chosen = {"matchLabels": names.selector(spec.name, spec.generation)}
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": chosen}


def _patched(config: KubernetesConfig, manifest: Manifest) -> Manifest:
    try:
        return patching.patched(manifest, config.patch.get(manifest["kind"], ()))
    except ValueError as error:
        raise ConfigInvalid(f"{error} (of the {manifest['kind']})", advice="deploy plan -o yaml shows the manifests that -C patch changes") from error
