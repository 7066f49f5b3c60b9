"""The nodes' login to the image's registry: this machine's entry for it and no other, where that lasts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import DeploymentName, Resource
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ConfigInvalid, DeployerError, PermissionDenied
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube, Object

if TYPE_CHECKING:
    from deployer.oci import Credentials

_SUBJECT = "registry login"
_KEY, _TYPE = ".dockerconfigjson", "kubernetes.io/dockerconfigjson"
_HUB = "https://index.docker.io/v1/"
_SHORT_LIVED = (
    (re.compile(r"\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$"), re.compile(r"AWS"), "12 hours"),
    (re.compile(r"\.azurecr\.(io|cn|us)$"), re.compile(r"00000000-0000-0000-0000-000000000000"), "3 hours"),
    (re.compile(r"(^|\.)gcr\.io$|\.pkg\.dev$"), re.compile(r"oauth2accesstoken|_token|_dcgcloud_token"), "an hour"),
)
"""Registries whose passwords for these users are tokens, and how long those hold."""


def login(registry: str) -> Credentials:
    """What docker is configured with for a registry.

    Raises:
        ConfigInvalid: nothing, or what the nodes couldn't use for long.
    """
    from deployer.oci import configured

    found = configured(registry)
    if found is None:
        raise ConfigInvalid(f"docker has no login for {registry}, which pull_secret would give to the nodes", advice=f"docker login {registry}")
    lasts = _lasts(registry, found) or ("until " + _written(end) if (end := _end(found.password)) else "")
    if lasts:
        raise ConfigInvalid(
            f"the login for {registry} is a token that lasts {lasts}: pods that start later could not be pulled",
            advice="let the nodes log in by themselves (node identity), or log in with a deploy token that stays",
        )
    return found


def _lasts(registry: str, found: Credentials) -> str:
    """How long it holds, where that is short; "" where it stays."""
    from deployer.oci.credentials import IDENTITY_TOKEN

    if found.username == IDENTITY_TOKEN:
        return "for a session"
    return next((lasts for host, user, lasts in _SHORT_LIVED if host.search(registry) and user.fullmatch(found.username)), "")


def told(registry: str) -> Diagnosis:
    """What this machine's login for a registry is good for: for how long, and whether nodes can be given it."""
    from deployer.oci import configured

    try:
        found = configured(registry)
    except DeployerError as error:
        return Diagnosis(_SUBJECT, Verdict.WARNING, error.message, error.advice)
    if found is None:
        return Diagnosis(_SUBJECT, Verdict.OK, f"docker has none for {registry}: it is asked as anybody")
    lasts, end = _lasts(registry, found), _end(found.password)
    if end is not None and end < datetime.now(UTC):
        return Diagnosis(_SUBJECT, Verdict.WRONG, f"that for {registry} ended at {_written(end)}", f"docker login {registry}")
    if not lasts and end is None:
        return Diagnosis(_SUBJECT, Verdict.OK, f"{found.username} at {registry}, with no end that it tells of: nodes can be given it (pull_secret)")
    until = f"until {_written(end)}" if end else f"{lasts} from its beginning"
    detail = f"a token for {registry}, which holds {until}: enough for a deploy, and too short for nodes, which log in by themselves"
    return Diagnosis(_SUBJECT, Verdict.OK, detail)


def given(cloud: Kube, registry: str) -> Iterator[Diagnosis]:
    """What the logins are good for that the nodes have of Secrets in the namespace: those made on request, and those named."""
    with suppress(PermissionDenied):
        made = [each["metadata"]["name"] for each in cloud.list("Secret", {names.MANAGED_BY: names.MANAGER}, fields=f"type={_TYPE}", metadata=True)]
        for name in dict.fromkeys((*cloud.config.image_pull_secrets, *made)):
            found = cloud.find("Secret", name)
            if found is None:
                advice = f"kubectl create secret docker-registry {name} --docker-server {registry} ... makes it"
                yield Diagnosis(f"secret {name}", Verdict.WRONG, f"there is none in namespace {cloud.namespace}", advice)
            elif found.get("type") == _TYPE:
                yield _of_secret(name, found, registry)


def _of_secret(name: str, found: Object, registry: str) -> Diagnosis:
    """One login, as a Secret has it. Pure."""
    from deployer.oci import Credentials

    subject, anew = f"secret {name}", "the nodes need another: deploy update with pull_secret gives them docker's of this machine"
    try:
        entries = json.loads(base64.b64decode(found["data"][_KEY]))["auths"]
        entry = next((entry for host, entry in entries.items() if _host(host) == _host(registry)), None)
        if entry is None:
            return Diagnosis(subject, Verdict.WARNING, f"has no login for {registry}: it has {', '.join(sorted(entries)) or 'none'}")
        user, _, password = (
            base64.b64decode(entry["auth"]).decode().partition(":") if entry.get("auth") else (entry["username"], "", entry["password"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Diagnosis(subject, Verdict.WRONG, "isn't docker's configuration, which a node could read")
    end, lasts = _end(password), _lasts(registry, Credentials(user, password))
    if end is not None and end < datetime.now(UTC):
        return Diagnosis(subject, Verdict.WRONG, f"its login for {registry} ended at {_written(end)}: pods that start now can't be pulled", anew)
    if end is not None or lasts:
        until = f"until {_written(end)}" if end else f"{lasts} from its beginning"
        return Diagnosis(subject, Verdict.WARNING, f"its login for {registry} is a token that holds {until}", anew)
    return Diagnosis(subject, Verdict.OK, f"{user} at {registry}, with no end that it tells of")


def _host(text: str) -> str:
    """A registry's host, by whichever of its names docker's configuration has it."""
    host = re.sub(r"^https?://|/.*$", "", text)
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


def _end(password: str) -> datetime | None:
    """When a token says that it ends: a JWT, or ECR's, which is JSON; None where it doesn't say."""
    parts = password.split(".")
    text = parts[1] if len(parts) == 3 else password
    try:
        said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return datetime.fromtimestamp(float(said.get("exp") or said["expiration"]), UTC)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        return None


def _written(end: datetime) -> str:
    return f"{end:%Y-%m-%d %H:%M} UTC"


def content(registry: str, found: Credentials) -> bytes:
    """The Secret's value: docker's configuration with one entry."""
    auth = base64.b64encode(f"{found.username}:{found.password}".encode()).decode()
    entry = {"username": found.username, "password": found.password, "auth": auth}
    host = _HUB if registry in ("docker.io", "registry-1.docker.io") else registry
    return json.dumps({"auths": {host: entry}}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class MakePullSecret(Step[Kube]):
    """A Secret with the login, which is looked up as it is made: no plan holds it."""

    name: DeploymentName
    registry: str
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.SECRET, names.pull_secret(self.name))

    def describe(self) -> str:
        return f"secret {names.pull_secret(self.name)}, the login to {self.registry}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        value = base64.b64encode(content(self.registry, login(self.registry))).decode()
        metadata = {"name": names.pull_secret(self.name), "labels": {**names.labels(self.name), names.NAME: self.name}}
        manifest = {"apiVersion": "v1", "kind": "Secret", "type": _TYPE, "metadata": metadata, "data": {_KEY: value}}

        def wanted(found: Object | None) -> Object | None:
            there = ((found or {}).get("data") or {}).get(_KEY)
            return None if there == value else manifest

        return cloud.settle("Secret", names.pull_secret(self.name), wanted, force=True)
