"""Our server as a runtime of KServe's, which has it serve what KServe's storage-initializer fetches.

What a model requires is in the image, or installed at the start. What a runtime says is what Knative takes, too: one port, and no probe of another.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from deployer.core.container import AT_START
from deployer.core.state import Image, short
from deployer.core.target import DeploymentSpec, Exported
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import delivery, images, kserve, manifests
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.manifests import Manifest

FORM = "serving-runtime"
_MODELS = "/mnt/models"  # where storage-initializer puts them
_FORMATS = {"mlflow": ("1", "2", "3"), "sklearn": ("1",), "xgboost": ("1", "2"), "lightgbm": ("3", "4"), "catboost": ("1",), "onnx": ("1",)}
_FETCHED = re.compile(r"(s3|gs|hf|pvc|hdfs|webhdfs|https?)://")
_GRACE = 30  # seconds from SIGTERM to the kill: Kubernetes' own, which no runtime can change
_METRICS = {"prometheus.kserve.io/port": str(manifests.PORT), "prometheus.kserve.io/path": "/metrics"}


def of_registry(cloud: Kube) -> Exported:
    """The runtimes for any model, whose packages are installed when it starts: of each Python for which the registry has a shared image.

    Raises:
        ConfigInvalid: it has none.
    """
    from deployer.oci import image_at
    from deployer_images.layers.planning import shared_tags

    config = cloud.config
    repository = images.repository(config)
    documents: dict[str, Manifest] = {}
    tags = shared_tags(repository)
    for tag in tags:
        image = image_at(repository, tag)
        own = images.PodsImage(image).opened(cloud)
        own.push(lambda done, total: None)
        found = runtimes(image, own.reference(), config, _name(image), at_start=True)
        documents |= {f"py{image.python_version.replace('.', '')}/{path}" if len(tags) > 1 else path: each for path, each in found.items()}
    if not documents:
        advice = "deploy build-and-push-container -t kubernetes makes one; with gRPC: --with grpcio --with protobuf"
        raise ConfigInvalid(f"there is no scoring image in {repository.uri}", advice=advice)
    return _written(documents, _needs(config))


def of_model(spec: DeploymentSpec[KubernetesConfig], runs: str) -> Exported:
    """The runtime whose image has a model's packages; and the InferenceService of that model, where KServe can fetch it. Pure.

    Args:
        runs: that image, as pods run it.
    """
    image, config, uri = spec.image, spec.config, _storage(spec)
    name = f"{_name(image)}-{short(image.digest)}"
    documents, needs = runtimes(image, runs, config, name, at_start=False), _needs(config)
    if _FETCHED.match(uri):
        documents["inferenceservice.yaml"] = kserve.service_of_runtime(spec.name, config, uri, name)
    else:
        needs += (
            f"KServe can't fetch {uri}: put the model where it can (s3://, gs://, https://, pvc://), and export from there for its InferenceService",
        )
    return _written(documents, needs)


def service_of(spec: DeploymentSpec[KubernetesConfig]) -> Exported:
    """The InferenceService that has the runtime for any model serve this one, which KServe fetches; no image is made for it. Pure.

    Raises:
        ConfigInvalid: KServe can't fetch it.
    """
    source, runtime = delivery.source_of(spec), _name(spec.image)
    if not _FETCHED.match(source):
        raise ConfigInvalid(
            f"KServe can't fetch {source}", advice="put the model where it can (s3://, gs://, https://), or leave -C model_delivery out"
        )
    document = kserve.service_of_runtime(spec.name, spec.config, source, runtime)
    there = f"the runtime {runtime} has to be in the cluster: deploy export -t kubernetes --format serving-runtime -o DIR writes it"
    return _written({"inferenceservice.yaml": document}, (there, *_needs(spec.config)))


def runtimes(image: Image, runs: str, config: KubernetesConfig, name: str, *, at_start: bool) -> dict[str, Manifest]:
    """The ClusterServingRuntimes of an image by file: one for HTTP, and one for gRPC where the image has what that takes.

    Args:
        runs: the image as pods run it.
        name: of the first; the other's has `-grpc` after it.
        at_start: whether a model's packages are installed when it starts; else the image has them.
    """
    environment = _environment(config, at_start=at_start)
    web = {
        "ports": [{"containerPort": manifests.PORT, "protocol": "TCP"}],
        "readinessProbe": _asks(manifests.READY, periodSeconds=1, failureThreshold=3),
        "livenessProbe": _asks(manifests.LIVE, initialDelaySeconds=10, periodSeconds=10, failureThreshold=6),
    }
    found = {"servingruntime.yaml": _runtime(name, runs, config, ["v1", "v2"], {**web, "env": environment})}
    if images.has_grpc(image):
        grpc = {
            "ports": [{"name": "h2c", "containerPort": manifests.GRPC_PORT, "protocol": "TCP"}],
            "readinessProbe": {"grpc": {"port": manifests.GRPC_PORT}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3},
        }
        told = [*environment, {"name": "DEPLOYER_GRPC_PORT", "value": str(manifests.GRPC_PORT)}]
        found["servingruntime-grpc.yaml"] = _runtime(f"{name}-grpc", runs, config, ["grpc-v2"], {**grpc, "env": told})
    return found


def _storage(spec: DeploymentSpec[KubernetesConfig]) -> str:
    """Where KServe has the model from."""
    if volume := delivery.volume_of(spec.config):
        return "/".join(filter(None, (f"pvc://{volume.claim}", volume.path)))
    return delivery.source_of(spec) or spec.record.model.uri


def _runtime(name: str, image: str, config: KubernetesConfig, protocols: list[str], own: Manifest) -> Manifest:
    # Not chosen by KServe itself: what is served by another runtime would move here. An InferenceService names it.
    formats = [{"name": each, "version": version, "autoSelect": False} for each, versions in _FORMATS.items() for version in versions]
    container = {
        "name": kserve.CONTAINER,
        "image": image,
        "args": ["serve", "--model-name", "{{.Name}}"],
        **own,
        "resources": config.resources.model_dump(mode="json"),
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    wanted = {
        "imagePullSecrets": [{"name": each} for each in config.image_pull_secrets],
        "nodeSelector": dict(config.node_selector),
        "tolerations": config.tolerated,
        "labels": dict(config.labels),
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "annotations": {**_METRICS, **config.annotations},
            "supportedModelFormats": formats,
            "protocolVersions": protocols,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            **{key: value for key, value in wanted.items() if value},
        },
    }


def _environment(config: KubernetesConfig, *, at_start: bool) -> list[dict[str, Any]]:
    told = {
        **manifests.environment(config),
        "DEPLOYER_DRAIN_SECONDS": str(min(config.drain_seconds, _GRACE // 2)),
        "DEPLOYER_GRACE_SECONDS": str(_GRACE),
        "DEPLOYER_MODEL": _MODELS,
        **(AT_START if at_start else {}),
    }
    return [
        *({"name": name, "value": value} for name, value in told.items()),
        *({"name": name, "valueFrom": dict(source)} for name, source in sorted(config.env_from.items())),
    ]


def _asks(path: str, **terms: int) -> Manifest:
    return {"httpGet": {"path": path, "port": manifests.PORT}, "timeoutSeconds": 2, **terms}


def _name(image: Image) -> str:
    return f"deployer-py{image.python_version.replace('.', '')}"


def _needs(config: KubernetesConfig) -> tuple[str, ...]:
    """A runtime is of the whole cluster, and has no Secret of its own."""
    if not config.env:
        return ()
    return (f"the values of {', '.join(config.env)} are in no file, and a runtime is of no namespace: name them by -C env_from",)


def _written(documents: dict[str, Manifest], needs: tuple[str, ...]) -> Exported:
    files = {path: yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=120) for path, each in documents.items()}
    return Exported(files, needs)
