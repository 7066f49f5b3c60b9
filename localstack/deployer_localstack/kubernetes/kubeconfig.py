"""The API server that a kubeconfig's context names, and a kubeconfig that names another one in its place."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_CERTIFICATE = ("client-certificate", "client-certificate-data", "client-key", "client-key-data")


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where it is and how it is trusted, with the context that named it."""

    host: str
    port: int
    tls: ssl.SSLContext
    server_name: str
    context: str
    namespace: str
    user: Mapping[str, Any]
    """The user's entry without a client certificate, which `tls` shows."""


def read(kubeconfig: Path, context: str = "") -> ApiServer:
    """The API server of a context, by default the current one.

    Raises:
        ValueError: there is no such context.
    """
    document = yaml.safe_load(kubeconfig.read_text())
    name = context or document.get("current-context", "")
    chosen = _named(document, "contexts", "context", name)
    cluster, user = _named(document, "clusters", "cluster", chosen["cluster"]), _named(document, "users", "user", chosen["user"])
    address = urlsplit(cluster["server"])
    return ApiServer(
        host=address.hostname or "",
        port=address.port or 443,
        tls=_tls(cluster, user, kubeconfig.parent),
        server_name=cluster.get("tls-server-name") or address.hostname or "",
        context=name,
        namespace=chosen.get("namespace", "default"),
        user={key: value for key, value in user.items() if key not in _CERTIFICATE},
    )


def written(server: ApiServer, url: str, authority: bytes) -> str:
    """A kubeconfig with the same context, at another URL whose certificate an authority vouches for."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    document = {
        **{"apiVersion": "v1", "kind": "Config", "current-context": server.context},
        "clusters": [{"name": "proxy", "cluster": cluster}],
        "users": [{"name": "proxy", "user": dict(server.user)}],
        "contexts": [{"name": server.context, "context": {"cluster": "proxy", "user": "proxy", "namespace": server.namespace}}],
    }
    return yaml.safe_dump(document)


def _named(document: Mapping[str, Any], list_name: str, key: str, name: str) -> dict[str, Any]:
    for entry in document.get(list_name) or ():
        if entry["name"] == name:
            return dict(entry.get(key) or {})
    raise ValueError(f"the kubeconfig has no {key} {name!r}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], directory: Path) -> ssl.SSLContext:
    if cluster.get("insecure-skip-tls-verify"):
        context = ssl._create_unverified_context()
    elif authority := _content(cluster, "certificate-authority", directory):
        context = ssl.create_default_context(cadata=authority.decode())
    else:
        context = ssl.create_default_context()
    certificate, key = _content(user, "client-certificate", directory), _content(user, "client-key", directory)
    if certificate:
        with tempfile.TemporaryDirectory() as private:  # Python reads a key from files alone
            pair = Path(private, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(certificate + b"\n" + key)
            context.load_cert_chain(pair)
    return context


def _content(entry: Mapping[str, Any], key: str, directory: Path) -> bytes:
    """What an entry has inline, or in the file that it names beside the kubeconfig; empty for neither."""
    if inline := entry.get(f"{key}-data"):
        return base64.b64decode(inline)
    return (directory / entry[key]).read_bytes() if entry.get(key) else b""
