"""Whether documents are what Azure ML's SDK has models for: reads JSON, [[MODEL, DOCUMENT], ...], and prints what is wrong, as JSON.

Unlike the SDK itself it takes no unknown member and no value of another kind.
"""

import datetime
import enum
import inspect
import json
import sys
import typing

from azure.ai.ml._restclient.arm_ml_service import models
from azure.ai.ml._restclient.arm_ml_service._utils.model_base import Model

SCALARS = {str: str, int: int, float: (int, float), bool: bool, datetime.datetime: str, datetime.timedelta: str, bytes: str}


def fields(kind):
    """The annotations of its members, by their names on the wire."""
    kind.__new__(kind)  # which works the names out
    annotations = {}
    for each in reversed(kind.__mro__):
        annotations |= inspect.get_annotations(each)
    return {rest._rest_name: annotations.get(name) for name, rest in kind._attr_to_rest_field.items()}


def resolved(annotation):
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, {**vars(typing), **vars(models), "_models": models, "datetime": datetime})  # the SDK's own text


def discriminated(kind, document):
    """The model that a discriminator names."""
    for member, sub in getattr(kind, "__mapping__", {}).items():
        if member in document.values() and issubclass(sub, kind):
            return sub
    return kind


def wrong(annotation, value, where):
    annotation = resolved(annotation)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        return of_union([resolved(each) for each in inner], value, where)
    if origin in (dict, list):
        return of_many(origin, inner[-1], value, where)
    if origin is typing.Literal or is_enumeration(annotation):
        known = {getattr(each, "value", each) for each in (inner or annotation)}
        return [] if value in known else [f"{where} is {value!r}"]
    if inspect.isclass(annotation) and issubclass(annotation, Model):
        return of_model(discriminated(annotation, value), value, where) if isinstance(value, dict) else [f"{where} is no object"]
    right = isinstance(value, SCALARS.get(annotation, object)) and (annotation is bool or not isinstance(value, bool))
    return [] if right else [f"{where} is {value!r}, no {annotation.__name__}"]


def of_union(kinds, value, where):
    if type(None) in kinds and value is None:
        return []
    named = [each for each in kinds if is_enumeration(each)] or [each for each in kinds if each is not type(None)]
    return min((wrong(each, value, where) for each in named), key=len)


def of_many(kind, inner, value, where):
    if not isinstance(value, kind):
        return [f"{where} is no {kind.__name__}"]
    items = value.items() if kind is dict else enumerate(value)
    return [each for key, item in items for each in wrong(inner, item, f"{where}.{key}")]


def is_enumeration(annotation):
    return inspect.isclass(annotation) and issubclass(annotation, enum.Enum)


def of_model(kind, document, where):
    known, found = fields(kind), []
    for key, value in document.items():
        if key not in known:
            found.append(f"{where}.{key} is not in {kind.__name__}")
        else:
            found += wrong(known[key], value, f"{where}.{key}")
    return found


print(json.dumps([each for name, document in json.load(sys.stdin) for each in of_model(getattr(models, name), document, name)]))
