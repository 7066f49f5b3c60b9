"""A deployment as KServe's InferenceService, for who has KServe run it: a predictor of ours, with the model in its image, or one of our runtime."""

from __future__ import annotations

from deployer.core.state import DeploymentName
from deployer_targets.kubernetes import manifests
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.manifests import Manifest

CONTAINER = "kserve-container"
"""What KServe calls the container that answers: it sends requests to the port that this one names."""
_MODE = "serving.kserve.io/deploymentMode"


def inference_service(deployment: Manifest, config: KubernetesConfig) -> Manifest:
    """The InferenceService (Standard mode) whose predictor's pods are those of a Deployment."""
    template = deployment["spec"]["template"]
    pod = {**template["spec"], "containers": [_container(each) for each in template["spec"]["containers"]]}
    predictor = {"labels": template["metadata"]["labels"], **_bounds(config), "timeout": config.request_timeout, **pod}
    metadata = deployment["metadata"]
    return _service({**metadata, "annotations": {**metadata.get("annotations", {}), _MODE: "Standard"}}, predictor)


def service_of_runtime(name: DeploymentName, config: KubernetesConfig, storage_uri: str, runtime: str) -> Manifest:
    """The InferenceService that has a runtime serve what is at a URI; in Standard mode, unless the option `annotations` names another."""
    model = {
        "modelFormat": {"name": "mlflow"},
        "runtime": runtime,
        "protocolVersion": "v2",
        "storageUri": storage_uri,
        "resources": config.resources.model_dump(mode="json"),
    }
    wanted = {"serviceAccountName": config.service_account, "imagePullSecrets": [{"name": each} for each in config.image_pull_secrets]}
    predictor = {**_bounds(config), "timeout": config.request_timeout, "model": model, **{key: value for key, value in wanted.items() if value}}
    labels = {"labels": dict(config.labels)} if config.labels else {}
    return _service({"name": name, **labels, "annotations": {_MODE: "Standard", **config.annotations}}, predictor)


def _service(metadata: Manifest, predictor: Manifest) -> Manifest:
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata, "spec": {"predictor": predictor}}


def _bounds(config: KubernetesConfig) -> Manifest:
    """How many pods there are. KServe's own autoscaler goes by one resource: the first that is named."""
    if config.autoscaling is None:
        return {"minReplicas": config.replicas, "maxReplicas": config.replicas}
    shares = [{"scaleMetric": name, "scaleTarget": share} for name, share in config.autoscaling.shares.items()]
    return {"minReplicas": config.autoscaling.min, "maxReplicas": config.autoscaling.max, **(shares[0] if shares else {})}


def _container(container: Manifest) -> Manifest:
    return {**container, "name": CONTAINER} if container["name"] == manifests.CONTAINER else container
