"""A Helm chart: templates that are the same for every model, and the options as its values. Pure but for reading the templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import delivery, names
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.manifests import Manifest

_OPTIONS = (
    "replicas",
    "resources",
    "env",
    "env_from",
    "image_pull_secrets",
    "model_delivery",
    "service_account",
    "node_selector",
    "tolerations",
    "affinity",
    "topology_spread",
    "priority_class",
    "runtime_class",
    "labels",
    "annotations",
    "grpc",
    "workers",
    "request_timeout",
    "drain_seconds",
    "progress_deadline",
    "autoscaling",
    "pdb",
    "ingress",
    "route",
    "network_policy",
    "monitoring",
)
"""The options that are values of the chart, under their own names."""


def documents(spec: DeploymentSpec[KubernetesConfig], deployment: Manifest, image: str, model: str = "") -> Mapping[str, Any]:
    """Chart.yaml and values.yaml of the chart that renders to this Deployment. The environment has no value in them: it may be secret."""
    given = spec.config.model_dump(mode="json", include=set(_OPTIONS))
    given |= {"env": {}, "tolerations": spec.config.tolerated, "affinity": deployment["spec"]["template"]["spec"]["affinity"]}
    given |= {"model_delivery": delivery.said(spec), "resources": delivery.resources(spec), "progress_deadline": delivery.deadline(spec)}
    packages = "at-start" if spec.record.packages == "at-start" else "image"
    return {
        "Chart.yaml": {
            "apiVersion": "v2",
            "name": spec.name,
            "description": f"Serves {spec.record.model.uri}",
            "type": "application",
            "version": f"0.1.0+{spec.generation}",
            "appVersion": spec.generation,
            "annotations": {names.MODEL: spec.record.model.uri},
        },
        "values.yaml": {
            "image": image,
            **({"model_image": model} if model else {}),
            "packages": packages,
            **{name: given[name] for name in _OPTIONS},
        },
    }


def texts() -> Mapping[str, str]:
    """The files that are the same in every chart: its templates, and the schema of its values."""
    templates = files("deployer_targets.kubernetes") / "helm" / "templates"
    found = {f"templates/{each.name}": each.read_text() for each in sorted(templates.iterdir(), key=lambda each: each.name)}
    return {"values.schema.json": json.dumps(_schema(), indent=2) + "\n", **found}


def _schema() -> Mapping[str, Any]:
    whole = KubernetesConfig.model_json_schema()
    properties = {name: whole["properties"][name] for name in _OPTIONS}
    own = {
        "image": {"type": "string", "description": "What the pods run, by digest: with the model, or the list of its files."},
        "model_image": {"type": "string", "description": "The model's own image, by digest, where model_delivery is image_volume."},
        "packages": {"enum": ["image", "at-start"], "description": "Where the model's packages are: on the image, or installed when a pod starts."},
        "model_delivery": {
            "anyOf": [{"enum": ["layer", delivery.IMAGE_VOLUME]}, {"$ref": "#/$defs/ModelDelivery"}],
            "description": "How the model comes to the pods: layer, on the image; image_volume, as model_image; "
            "{uri: ADDRESS}, {pvc: {claim: NAME, path: FOLDER}}. "
            "The image was made for one of them: another store or claim with the same files will do, another way only by another export.",
        },
    }
    return {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {"global": {"type": "object"}, **properties, **own},
        "$defs": _named({**properties, **own}, {**whole["$defs"], "VolumeClaim": _of_claims(whole["$defs"]["VolumeClaim"])}),
    }


def _of_claims(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A claim that is there: a chart makes none."""
    known = {name: schema["properties"][name] for name in ("claim", "path", "check")}
    return {**schema, "properties": {**known, "claim": {**known["claim"], "minLength": 1}}, "required": ["claim"]}


def _named(properties: object, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definitions that these name, and those that such a one names."""
    found: dict[str, Any] = {}
    while more := {name: each for name, each in known.items() if name not in found and f'"#/$defs/{name}"' in json.dumps([properties, found])}:
        found |= more
    return found
