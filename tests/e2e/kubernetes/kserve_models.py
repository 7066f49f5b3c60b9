"""Run by an environment that has KServe's Python client: makes its models of the objects on standard input, as JSON.

A name that a model doesn't have, or a value that it refuses, is printed; nothing where all are taken.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from kserve import models
from kubernetes.client import models as of_kubernetes

KINDS = {"ClusterServingRuntime": "V1alpha1ClusterServingRuntime", "InferenceService": "V1beta1InferenceService"}
PLAIN = {"str", "int", "float", "bool", "object", "datetime"}


def taken(value: Any, kind: str, path: str) -> Any:
    """The value as the client's own type, whose making checks it."""
    if listed := re.fullmatch(r"[lL]ist\[(.+)\]", kind):
        return [taken(each, listed[1], f"{path}/{at}") for at, each in enumerate(value)]
    if mapped := re.fullmatch(r"dict\(str, (.+)\)|[dD]ict\[str, (.+)\]", kind):
        return {name: taken(each, mapped[1] or mapped[2], f"{path}/{name}") for name, each in value.items()}
    if kind in PLAIN or kind.startswith(("K8sIoApimachinery", "IntOrString")):
        return value
    model = getattr(models, kind, None) or getattr(of_kubernetes, kind)
    names = {theirs: ours for ours, theirs in model.attribute_map.items()}
    if unknown := value.keys() - names.keys():
        raise ValueError(f"{path}: {kind} has no {', '.join(unknown)}")
    return model(**{names[name]: taken(each, model.openapi_types[names[name]], f"{path}/{name}") for name, each in value.items()})


for each in json.load(sys.stdin):
    try:
        taken(each, KINDS[each["kind"]], each["kind"])
    except ValueError as error:
        print(error)
