"""Checks requests against botocore's own shapes, as the services do: required members, lengths, ranges, patterns, enums.

The messages are the services': "1 validation error detected: Value 'x' at 'endpointName' failed to satisfy constraint: Member must ...".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

from deployer_localstack.aws.errors import AwsError

if TYPE_CHECKING:
    from botocore.model import ServiceModel, Shape

# Java's classes that Python's re lacks.
_CLASSES = ((r"\p{L}\p{Z}\p{N}_", r"\w\s"), (r"\p{ASCII}", r"\x00-\x7F"), (r"\p{Print}", r"\x20-\x7E"), (r"\z", r"\Z"))


@cache
def service_model(service: str) -> ServiceModel:
    """botocore's description of a service, loaded once."""
    return botocore.session.get_session().get_service_model(service)


def check(service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    """Raise ValidationException for the first twenty faults of a request; operations botocore doesn't know pass."""
    model = service_model(service)
    if operation not in model.operation_names:
        return
    shape = model.operation_model(operation).input_shape
    faults = list(_faults(shape, parameters, "")) if shape is not None else []
    if faults:
        many = "s" if len(faults) > 1 else ""
        raise AwsError("ValidationException", f"{len(faults)} validation error{many} detected: {'; '.join(faults[:20])}")


def output_members(service: str, operation: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a document that an operation's answer has members for."""
    shape: Any = service_model(service).operation_model(operation).output_shape
    return {name: value for name, value in document.items() if shape is not None and name in shape.members}


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        yield from _structure(shape, value, path)
    elif kind == "list" and isinstance(value, list):
        yield from _length(shape, len(value), "[...]", path)
        for number, item in enumerate(value, 1):
            yield from _faults(shape.member, item, f"{path}.{number}.member")
    elif kind == "map" and isinstance(value, Mapping):
        yield from _length(shape, len(value), "{...}", path)
        for key, item in value.items():
            yield from _text(shape.key, key, f"{path}.key")
            yield from _text(shape.value, item, f"{path}.{key}.value", hidden=True)
    elif kind == "string" and value is not None:
        yield from _text(shape, value, path)
    elif kind in {"integer", "long", "float", "double"} and isinstance(value, int | float):
        yield from _range(shape, value, path)


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.metadata.get("required", ()):
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if name in value:
            yield from _faults(member, value[name], _join(path, name))


def _text(shape: Shape, value: Any, path: str, *, hidden: bool = False) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be a string"
        return
    # What is said about a value must not repeat one that may be secret.
    shown = "***" if hidden else value
    yield from _length(shape, len(value), shown, path)
    if (pattern := shape.metadata.get("pattern")) and not _compiled(pattern).fullmatch(value):
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    if (allowed := shape.metadata.get("enum")) and value not in allowed:
        listed = ", ".join(allowed)
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{listed}]"


def _length(shape: Shape, length: int, shown: str, path: str) -> Iterator[str]:
    limits = shape.metadata
    if "max" in limits and length > limits["max"]:
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must have length less than or equal to {limits['max']}"
    if "min" in limits and length < limits["min"]:
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must have length greater than or equal to {limits['min']}"


def _range(shape: Shape, value: float, path: str) -> Iterator[str]:
    limits = shape.metadata
    if "max" in limits and value > limits["max"]:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value less than or equal to {limits['max']}"
    if "min" in limits and value < limits["min"]:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value greater than or equal to {limits['min']}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _CLASSES:
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _join(path: str, name: str) -> str:
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member
