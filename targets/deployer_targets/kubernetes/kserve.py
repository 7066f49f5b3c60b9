"""A deployment as KServe's InferenceService, for who has KServe run it: one predictor of ours, with the model in its image."""

from __future__ import annotations

from deployer_targets.kubernetes import manifests
from deployer_targets.kubernetes.manifests import Manifest

CONTAINER = "kserve-container"
"""What KServe calls the container that answers: it sends requests to the port that this one names."""


def inference_service(deployment: Manifest, timeout: int) -> Manifest:
    """The InferenceService (Standard mode) whose predictor's pods are those of a Deployment."""
    template = deployment["spec"]["template"]
    pod = {**template["spec"], "containers": [_container(each) for each in template["spec"]["containers"]]}
    count = deployment["spec"]["replicas"]
    predictor = {"labels": template["metadata"]["labels"], "minReplicas": count, "maxReplicas": max(count, 1), "timeout": timeout, **pod}
    metadata = deployment["metadata"]
    annotations = {**metadata.get("annotations", {}), "serving.kserve.io/deploymentMode": "Standard"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {**metadata, "annotations": annotations},
        "spec": {"predictor": predictor},
    }


def _container(container: Manifest) -> Manifest:
    return {**container, "name": CONTAINER} if container["name"] == manifests.CONTAINER else container
