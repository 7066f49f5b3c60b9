"""A Helm chart: templates that are the same for every model, and the options as its values. Pure but for reading the templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.manifests import Manifest

_OPTIONS = (
    "replicas",
    "resources",
    "env",
    "env_from",
    "image_pull_secrets",
    "service_account",
    "node_selector",
    "tolerations",
    "affinity",
    "priority_class",
    "runtime_class",
    "labels",
    "annotations",
    "workers",
    "request_timeout",
    "drain_seconds",
    "progress_deadline",
)
"""The options that are values of the chart, under their own names."""


def documents(spec: DeploymentSpec[KubernetesConfig], deployment: Manifest, image: str) -> Mapping[str, Any]:
    """Chart.yaml and values.yaml of the chart that renders to this Deployment. The environment has no value in them: it may be secret."""
    given = spec.config.model_dump(mode="json", include=set(_OPTIONS))
    given |= {"env": {}, "affinity": deployment["spec"]["template"]["spec"]["affinity"]}
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
        "values.yaml": {"image": image, **{name: given[name] for name in _OPTIONS}},
    }


def texts() -> Mapping[str, str]:
    """The files that are the same in every chart: its templates, and the schema of its values."""
    templates = files("deployer_targets.kubernetes") / "helm" / "templates"
    found = {f"templates/{each.name}": each.read_text() for each in sorted(templates.iterdir(), key=lambda each: each.name)}
    return {"values.schema.json": json.dumps(_schema(), indent=2) + "\n", **found}


def _schema() -> Mapping[str, Any]:
    whole = KubernetesConfig.model_json_schema()
    properties = {name: whole["properties"][name] for name in _OPTIONS}
    image = {"type": "string", "description": "The image with the model, by digest."}
    return {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {"global": {"type": "object"}, "image": image, **properties},
        "$defs": {name: each for name, each in whole.get("$defs", {}).items() if f"#/$defs/{name}" in json.dumps(properties)},
    }
