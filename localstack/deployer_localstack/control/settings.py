"""What is adjustable while a cloud runs: read from text, checked, put back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(slots=True)
class CloudSettings:
    """What every cloud's settings can: a cloud adds its own as fields, each with a default."""

    def change(self, values: Mapping[str, Any]) -> None:
        """Set some; raises ValueError that names the wrong key or the value of the wrong kind, and then changes nothing."""
        AllSettings(self).change(values)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def restore(self) -> None:
        """All back to their defaults."""
        self.change(dataclasses.asdict(type(self)()))


class AllSettings:
    """The settings of several clouds as one: no two have one of the same name."""

    def __init__(self, *parts: CloudSettings) -> None:
        self._owners = {each.name: part for part in parts for each in dataclasses.fields(part)}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set some, or raise ValueError as `CloudSettings.change` does, and change nothing."""
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in self._owners:
                raise ValueError(f"{name} is not a setting; there are {', '.join(sorted(self._owners))}")
            checked[name] = _as(type(getattr(self._owners[name], name)), name, value)
        for name, value in checked.items():
            setattr(self._owners[name], name, value)

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(part, name) for name, part in self._owners.items()}


def _as(kind: type, name: str, value: Any) -> Any:
    if isinstance(value, str) and kind is not str:
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"{name}={value}: not a {kind.__name__}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name}={value}: not a {kind.__name__}")
    return {str(key): int(limit) for key, limit in value.items()} if isinstance(value, dict) else value
