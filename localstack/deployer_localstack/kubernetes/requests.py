"""What a request asks of Kubernetes' API, in the words of RBAC."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from deployer_localstack.control.calls import Call

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get", "OPTIONS": "get"}


class Asked(NamedTuple):
    """A path's parts; empty where it has none."""

    group: str = ""
    resource: str = ""
    """With its subresource: "pods/log"."""
    namespace: str = ""
    name: str = ""


def call_of(method: str, path: str, query: str, body: bytes) -> Call:
    """The call that a request makes."""
    asked, parameters = asked_by(path), dict(parse_qsl(query))
    verb = _VERBS.get(method, method.lower())
    if asked.resource and not asked.name and verb in {"get", "delete"}:
        watches = parameters.get("watch", "").lower() in {"1", "true"}
        verb = "deletecollection" if verb == "delete" else "watch" if watches else "list"
    named = {"namespace": asked.namespace, "name": asked.name or _name_in(body)} if asked.resource else {}
    return Call(
        service=asked.group,
        operation=f"{verb} {asked.resource or path}",
        region=asked.namespace,
        access_key="",
        parameters={**{key: value for key, value in named.items() if value}, **parameters},
        body=body,
    )


def asked_by(path: str) -> Asked:
    """The parts of a path: /api/v1/..., /apis/GROUP/VERSION/...; none of them where it names no resource."""
    first, *rest = [unquote(part) for part in path.strip("/").split("/")]
    if first == "api" and len(rest) > 1:
        group, parts = "core", rest[1:]
    elif first == "apis" and len(rest) > 2:
        group, parts = rest[0], rest[2:]
    else:
        return Asked()
    namespace = ""
    # A namespace's own subresources are the namespace's.
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in {"status", "finalize"}:
        namespace, parts = parts[1], parts[2:]
    resource, name, subresource = [*parts[:3], "", ""][:3]
    return Asked(group, f"{resource}/{subresource}" if subresource else resource, namespace, name)


def _name_in(body: bytes) -> str:
    """What an object that is made is called; empty where the body is none, or leaves it to the server."""
    with suppress(ValueError, AttributeError, KeyError, TypeError):
        document: Any = json.loads(body)
        return str(document["metadata"].get("name", ""))
    return ""
