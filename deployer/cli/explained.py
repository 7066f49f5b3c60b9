"""Where each option of a deployment comes from, as `get --explain-config` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer.core.options import Mark, Takes, TargetConfig
from deployer.settings.precedence import RunOptions
from deployer.verbs.deployment import HIDDEN, Deployment
from deployer.words import shown


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option: its value, and where that comes from."""

    option: str
    value: str
    origin: str


def explained(deployment: Deployment, settings: RunOptions, config: type[TargetConfig]) -> list[OptionRow]:
    """All options of a deployment.

    Its record says what is in service; what is named on this machine says where that came from, if it says the same. Options that only the client
    uses have this machine's value.
    """
    here = settings.all
    parsed = config.parse(here.values, here.origins, target=deployment.target).model_dump(mode="json")
    defaults = config.parse({}, target=deployment.target).model_dump(mode="json")
    return [_row(option, mark, deployment, here.origins.get(option), (parsed, defaults)) for option, mark in config.marks().items()]


def _row(option: str, mark: Mark, deployment: Deployment, origin: str | None, values: tuple[dict[str, Any], dict[str, Any]]) -> OptionRow:
    parsed, defaults = values
    if option in deployment.owned_elsewhere:
        return OptionRow(option, shown(deployment.owned_elsewhere[option]), "somebody else took it over since; it is kept")
    if mark.secret:
        return OptionRow(option, _names_of(parsed.get(option)) if origin else "", origin or "not named here; what is in service stays")
    if mark.takes is Takes.NOTHING or option not in deployment.options:
        return OptionRow(option, _text(parsed.get(option)), origin or "default")
    value = deployment.options[option]
    if origin and parsed.get(option) == value:
        return OptionRow(option, _text(value), origin)
    if value == defaults.get(option):
        return OptionRow(option, _text(value), "default")
    other = f"; {origin} has {_text(parsed.get(option))}" if origin else ""
    return OptionRow(option, _text(value), f"generation {deployment.generation or deployment.incoming}{other}")


def _text(value: Any) -> str:
    return "" if value in (None, {}, [], ()) else shown(value)


def _names_of(value: Any) -> str:
    """A secret mapping's names, never its values."""
    return ", ".join(f"{key}={HIDDEN}" for key in value) if isinstance(value, dict) else HIDDEN
