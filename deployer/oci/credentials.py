"""Credentials for a registry, and those that docker is configured with: its config.json and the credential helpers that it names."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.oci.reference import DOCKER_HUB

_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB)
_HELPER_SECONDS = 30

IDENTITY_TOKEN = "<token>"
"""The user's name, as docker's helpers have it, where the password is a token that tokens are fetched with (`az acr login`)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password (or token); the password is never printed."""

    username: str
    password: str = field(repr=False)


Login = Callable[[], "Credentials | None"]
"""Asked anew whenever a registry says no: some passwords last for hours only."""


def configured(registry: str) -> Credentials | None:
    """What `docker login` left for a registry's host, or None. No docker command is called, only the credential helper that it names."""
    config = _config()
    hosts = _HUB_KEYS if registry == DOCKER_HUB else (registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")
    helpers = config.get("credHelpers") or {}
    for host in hosts:
        if helper := helpers.get(host):
            return _from_helper(helper, host)
    for host in hosts:
        if (entry := (config.get("auths") or {}).get(host)) and (found := _from_entry(entry)):
            return found
    if store := config.get("credsStore"):
        return next((found for host in hosts if (found := _from_helper(store, host))), None)
    return None


def _config() -> Mapping[str, Any]:
    directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with suppress(OSError, ValueError):
        found = json.loads((directory / "config.json").read_text())
        return found if isinstance(found, dict) else {}
    return {}


def _from_entry(entry: Mapping[str, str]) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(IDENTITY_TOKEN, entry["identitytoken"])
    if entry.get("username") and entry.get("password"):
        return Credentials(entry["username"], entry["password"])
    with suppress(ValueError):
        user, colon, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
        if colon:
            return Credentials(user, password)
    return None


def _from_helper(helper: str, host: str) -> Credentials | None:
    with suppress(OSError, ValueError, KeyError, subprocess.SubprocessError):
        asked = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=host, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=True
        )
        answer = json.loads(asked.stdout)
        return Credentials(answer["Username"], answer["Secret"]) if answer.get("Username") else None
    return None
