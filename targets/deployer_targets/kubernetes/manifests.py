"""What is applied to a cluster, from what is wanted. Pure: the same spec gives the same manifests, here and in an export.

The pods keep the restricted Pod Security standard and run under any UID, as OpenShift gives one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from deployer.core.container import with_packages
from deployer.core.state import DeploymentName, Image
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import delivery, names, patching
from deployer_targets.kubernetes.config import KubernetesConfig

PORT, GRPC_PORT = 8080, 9000
SERVICE_PORT = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}
CONTAINER = "model"
LIVE, READY = "/v2/health/live", "/v2/health/ready"
PENDING = "made-with-the-model"
"""Stands for the pods' image until it is made."""

_STARTS = 600
"""Seconds that the server's own process may take until it answers that it lives, before the model is loaded."""

Manifest = dict[str, Any]
Spec = DeploymentSpec[KubernetesConfig]


def deployment(spec: Spec) -> Manifest:
    """One generation, without pods at first: how many it has is said by another field manager, once it is known to be wanted still."""
    name, config, generation = spec.name, spec.config, spec.generation
    own = {**config.labels, **names.labels(name, generation), names.NAME: name}
    mounts = {names.MOUNTS: "image"} if delivery.mounted(config) else {}
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
            "progressDeadlineSeconds": delivery.deadline(spec),
            "selector": {"matchLabels": names.selector(name, generation)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {**own, **mounts}, "annotations": dict(config.annotations)}, "spec": pod(spec, PENDING)},
        },
    }
    return patched(config, manifest)


def pod(spec: Spec, image: str) -> Manifest:
    """The pod's spec."""
    config = spec.config
    pull_secrets = (*config.image_pull_secrets, *([names.pull_secret(spec.name)] if config.pull_secret else ()))
    wanted = {
        "imagePullSecrets": [{"name": each} for each in pull_secrets],
        "serviceAccountName": config.service_account,
        "nodeSelector": dict(config.node_selector),
        "tolerations": config.tolerated,
        "topologySpreadConstraints": [_spread(spec, each) for each in config.topology_spread],
        "priorityClassName": config.priority_class,
        "runtimeClassName": config.runtime_class,
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace(config),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": _affinity(config.affinity, spec.image),
        "containers": [_container(spec, image)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            *delivery.volumes(spec),
        ],
        **{key: value for key, value in wanted.items() if value},
    }


def pending(manifest: Manifest) -> bool:
    """Whether a Deployment waits for its pods' image."""
    pod = manifest["spec"]["template"]["spec"]
    mounted = any(each.get("image", {}).get("reference") == delivery.PENDING for each in pod["volumes"])
    return mounted or any(each["image"] == PENDING for each in pod["containers"])


def with_image(manifest: Manifest, image: str, model: str = "") -> Manifest:
    """A Deployment whose container runs this image, with the model's own mounted where it has one; what a patch has put there stays."""
    made = copy.deepcopy(manifest)
    for each in made["spec"]["template"]["spec"]["containers"]:
        if each["image"] == PENDING:
            each["image"] = image
    for each in made["spec"]["template"]["spec"]["volumes"]:
        if each.get("image", {}).get("reference") == delivery.PENDING:
            each["image"]["reference"] = model
    return made


def again(manifest: Manifest, found: Mapping[str, Any]) -> Manifest:
    """A Deployment in place of the one that was found, with as many pods as that has."""
    version = found["metadata"]["resourceVersion"]
    spec = {key: value for key, value in manifest["spec"].items() if key != "replicas"}
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}, "spec": spec}


def service(name: DeploymentName, generation: str, config: KubernetesConfig, annotations: Mapping[str, str]) -> Manifest:
    """The pointer: what it selects is what serves; no generation: all that have pods."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {**names.labels(name), names.NAME: name}, "annotations": dict(annotations)},
        "spec": {
            "selector": names.selector(name, generation),
            "ports": [
                SERVICE_PORT,
                *([{"name": "grpc", "port": GRPC_PORT, "protocol": "TCP", "targetPort": "grpc"}] if config.grpc else []),
            ],
        },
    }
    return patched(config, manifest)


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
    return patched(config, manifest)


def marked(manifest: Manifest, run: str) -> Manifest:
    """The same, made by this run."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), names.RUN: run}}}


def environment(config: KubernetesConfig) -> dict[str, str]:
    """What the runtime is told, beside the variables of the user."""
    told = {
        "DEPLOYER_DRAIN_SECONDS": str(config.drain_seconds),
        "DEPLOYER_GRACE_SECONDS": str(_grace(config)),
        "DEPLOYER_REQUEST_TIMEOUT_SECONDS": str(config.request_timeout),
    }
    said = {
        "DEPLOYER_WORKERS": config.workers,
        "DEPLOYER_CPUS": None if "cpu" in config.resources.limits else config.resources.requests.get("cpu"),  # a limit is a quota, which it sees
        "DEPLOYER_GRPC_PORT": GRPC_PORT if config.grpc else None,
    }
    return told | {name: str(value) for name, value in said.items() if value}


def told(spec: Spec) -> dict[str, str]:
    """What the runtime of a deployment is told."""
    return with_packages(environment(spec.config), spec.record.packages)


def patched(config: KubernetesConfig, manifest: Manifest) -> Manifest:
    """A manifest with the user's patches of its kind."""
    try:
        return patching.patched(manifest, config.patch.get(manifest["kind"], ()))
    except ValueError as error:
        raise ConfigInvalid(f"{error} (of the {manifest['kind']})", advice="deploy plan -o yaml shows the manifests that -C patch changes") from error


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
            *({"name": name, "value": value} for name, value in {**told(spec), **delivery.variables(spec)}.items()),
            *({"name": name, "valueFrom": dict(source)} for name, source in sorted(config.env_from.items())),
        ],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            *([{"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"}] if config.grpc else []),
        ],
        "resources": delivery.resources(spec),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "startupProbe": {"httpGet": {"path": LIVE, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": _STARTS},
        "livenessProbe": {"httpGet": {"path": LIVE, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"httpGet": {"path": READY, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *delivery.mounts(spec)],
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


def _spread(spec: Spec, asked: Mapping[str, Any]) -> Manifest:
    chosen = {"matchLabels": names.selector(spec.name, spec.generation)}
    return {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": chosen, **asked}
