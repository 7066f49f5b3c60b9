"""What the Dockerfile sets in an image's config, read from the Dockerfile: an image that is put together without it behaves alike."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any


def settings(text: str) -> dict[str, Any]:
    """The config of its last stage, as registries keep it; what copies and runs is left out."""
    found: dict[str, Any] = {"Env": [], "Labels": {}, "ExposedPorts": {}}
    for word, rest in _instructions(text):
        if word == "ENV":
            found["Env"] += shlex.split(rest)
        elif word == "LABEL":
            found["Labels"] |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif word == "EXPOSE":
            found["ExposedPorts"] |= {f"{port}/tcp": {} for port in rest.split()}
        elif word == "WORKDIR":
            found["WorkingDir"] = rest
        elif word in ("ENTRYPOINT", "CMD"):
            found[word.capitalize()] = json.loads(rest)
    return found


def over(base: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A base's config with these settings over it: variables, labels and ports join, the rest replaces."""
    variables = {each.partition("=")[0]: each for each in (*(base.get("Env") or ()), *ours["Env"])}
    joined = {name: {**(base.get(name) or {}), **ours[name]} for name in ("Labels", "ExposedPorts")}
    return {**base, **ours, **joined, "Env": [*variables.values()]}


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    last = re.split(r"(?m)^FROM ", lines.replace("\\\n", " "))[-1]
    for line in last.splitlines()[1:]:
        word, _, rest = line.partition(" ")
        yield word, rest.strip()
