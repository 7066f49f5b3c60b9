"""Which deployments a list is to have, by their labels or tags, in the words that kubectl has for it: `team=ml,env in (dev, test),!canary`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deployer.core.state import Record
from deployer.errors import ConfigInvalid

_COMMA = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^=!]+?)\s*(?P<operator>!=|==|=)\s*(?P<values>.*)")
_THERE = re.compile(r"(?P<operator>!?)\s*(?P<key>[^\s=!()]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a selector. No values: the key is to be there, or not to be."""

    key: str
    values: tuple[str, ...] = ()
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = self.key in labels and (not self.values or labels[self.key] in self.values)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """What labels have to be; all of the requirements hold."""

    text: str
    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """A selector as it is written.

        Raises:
            ConfigInvalid: it is none.
        """
        return cls(text, tuple(_requirement(part.strip(), text) for part in _COMMA.split(text)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self.requirements)


def tags_of(record: Record | None) -> Mapping[str, str]:
    """The tags that a deployment was given."""
    return dict(record.options.get("tags") or {}) if record else {}


def _requirement(part: str, whole: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = tuple(each.strip() for each in found["values"].split(","))
        return Requirement(found["key"], values, found["operator"] == "notin")
    if found := _EQUAL.fullmatch(part):
        return Requirement(found["key"].strip(), (found["values"],), found["operator"] == "!=")
    if found := _THERE.fullmatch(part):
        return Requirement(found["key"], (), bool(found["operator"]))
    advice = "write it as team=ml, team!=ml, 'team in (ml, web)', team or !team, with commas between several"
    raise ConfigInvalid(f"{whole!r} is no selector: {part!r} can't be read", advice=advice)
