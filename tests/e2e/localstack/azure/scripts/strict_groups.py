"""Whether documents are container groups as Azure's SDK has them: reads JSON, a list of them, and prints what is wrong, as JSON.

Unlike the SDK itself it takes no unknown member.
"""

import json
import sys

from azure.mgmt.containerinstance import models

SCALARS = {"str": str, "int": int, "float": (int, float), "bool": bool, "iso-8601": str}


def wrong(kind, value, where):
    if value is None:
        return []
    if kind.startswith("["):
        return [each for item in value for each in wrong(kind[1:-1], item, f"{where}[]")]
    if kind.startswith("{"):
        return [each for key, item in value.items() for each in wrong(kind[1:-1], item, f"{where}.{key}")]
    if hasattr(getattr(models, kind, None), "_attribute_map"):
        return of_model(getattr(models, kind), value, where)
    return [] if isinstance(value, SCALARS.get(kind, object)) else [f"{where} is {value!r}, no {kind}"]


def of_model(model, document, where):
    known = {each["key"]: each["type"] for each in model._attribute_map.values()}
    nested = {key.partition(".")[0] for key in known if "." in key}
    found = []
    for key, value in document.items():
        inner = value.items() if key in nested else ()
        found += [f"{where}.{key}.{name} is not in {model.__name__}" for name, _ in inner if f"{key}.{name}" not in known]
        found += [each for name, item in inner if f"{key}.{name}" in known for each in wrong(known[f"{key}.{name}"], item, f"{where}.{key}.{name}")]
        if key not in nested:
            found += wrong(known[key], value, f"{where}.{key}") if key in known else [f"{where}.{key} is not in {model.__name__}"]
    return found


print(json.dumps([each for document in json.load(sys.stdin) for each in of_model(models.ContainerGroup, document, "ContainerGroup")]))
