"""A target's options as people read them, taken from its config class."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from deployer.core.options import Mark, TargetConfig

TAKES = {
    "generation": "makes a new generation",
    "live": "changes in place",
    "rollout": "for this rollout and the next ones",
    "another": "for the deployment's life",
    "nothing": "this run only",
}


@dataclass(frozen=True, slots=True)
class OptionHelp:
    """One option: its type and default in words, what changing it takes, what it means."""

    name: str
    type: str
    default: str
    takes: str
    secret: bool
    description: str


def option_help(config: type[TargetConfig]) -> tuple[OptionHelp, ...]:
    """All options of a target, its own first, then those that every target has."""
    marks: Mapping[str, Mark] = config.marks()
    shared = set(TargetConfig.model_fields)
    names = sorted(config.model_fields, key=lambda name: name in shared)
    return tuple(_one(name, config.model_fields[name], marks[name]) for name in names)


def help_text(scheme: str, config: type[TargetConfig]) -> str:
    """The options as `deploy help -t` prints them."""
    lines = [f"Options of {scheme}, given as -C name=value, DEPLOYER_NAME in the environment, or in a file (-f):", ""]
    for each in option_help(config):
        facts = ", ".join(part for part in (each.type, f"default {each.default}" if each.default else "", TAKES[each.takes]) if part)
        lines.append(f"  {each.name} ({facts})")
        lines += textwrap.wrap(each.description, 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _one(name: str, field: Any, mark: Mark) -> OptionHelp:
    return OptionHelp(name, type_name(field.annotation), _default(field), str(mark.takes), mark.secret, field.description or "")


def _default(field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    if default in (None, PydanticUndefined, {}, (), []):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


def type_name(annotation: Any) -> str:
    """An annotation in words: "text", "number", "yes or no", "one of a, b", "mapping"."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return type_name(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_name(each) for each in get_args(annotation) if each is not NoneType))
    if origin is Literal:
        return "one of " + ", ".join(str(each) for each in get_args(annotation))
    if isinstance(origin, type):
        return "mapping" if issubclass(origin, Mapping) else "list"
    return _class_name(annotation)


def _class_name(annotation: Any) -> str:
    if isinstance(annotation, type):
        if issubclass(annotation, Enum):
            return "one of " + ", ".join(str(each.value) for each in annotation)
        if issubclass(annotation, BaseModel):
            return "mapping"
        plain = {str: "text", int: "number", float: "number", bool: "true or false", dict: "mapping", list: "list", tuple: "list"}
        return plain.get(annotation, annotation.__name__)
    return "value"
