"""From a URI to the addresses of the files below it: S3, Google Cloud Storage, Azure Blob Storage, or a web server."""

from __future__ import annotations

import base64
import os
import urllib.error
from collections.abc import Mapping
from typing import Optional, Protocol
from urllib.parse import quote, urlsplit

from deployer_scoring.errors import LoadError
from deployer_scoring.fetching.identity import Tokens, azure_token, google_token
from deployer_scoring.fetching.s3 import SignedBucket
from deployer_scoring.fetching.uris import SCHEMES
from deployer_scoring.fetching.web import FileAddress


class Store(Protocol):
    """Where a URI leads."""

    def address(self, path: str) -> FileAddress:
        """That of a file below it; of itself, where the path is empty."""

    def learn(self, refusal: urllib.error.HTTPError) -> bool:
        """Told of a refusal: whether asking again at once makes sense."""


def opened(uri: str, environ: Optional[Mapping[str, str]] = None) -> Store:
    """The store of a URI.

    Raises:
        LoadError: None is known for it.
    """
    environ = os.environ if environ is None else environ
    parts = urlsplit(uri)
    if parts.scheme in ("s3", "s3a", "s3n"):
        return SignedBucket(parts.netloc, parts.path.strip("/"), environ)
    if parts.scheme in ("gs", "gcs"):
        host = environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
        return _Plain(f"{host}/{parts.netloc}/{quote(parts.path.strip('/'))}", Tokens(lambda: google_token(environ)))
    if parts.scheme in ("wasb", "wasbs", "abfs", "abfss"):
        container, _, host = parts.netloc.rpartition("@")
        if container:
            url = f"https://{host.replace('.dfs.', '.blob.', 1)}/{container}/{quote(parts.path.strip('/'))}"
            return _Plain(url, Tokens(lambda: azure_token(environ)), {"x-ms-version": "2021-08-06"})
    if parts.scheme in ("http", "https"):
        return _Plain(uri, Tokens(lambda: _of_the_server(environ)))
    raise LoadError(f"nothing here fetches {parts.scheme}://: it is one of {', '.join(f'{each}://' for each in SCHEMES)}")


class _Plain:
    """Whose files are asked for by their address, with a token where there is one."""

    def __init__(self, url: str, tokens: Tokens, headers: Optional[Mapping[str, str]] = None) -> None:
        self._url = url.rstrip("/")
        self._tokens, self._headers = tokens, headers or {}

    def address(self, path: str) -> FileAddress:
        authorization = self._tokens.current()
        headers = {**self._headers, **({"Authorization": authorization} if authorization else {})}
        return FileAddress(f"{self._url}/{quote(path)}" if path else self._url, headers)

    def learn(self, refusal: urllib.error.HTTPError) -> bool:
        return refusal.code == 401 and self._tokens.forget()


def _of_the_server(environ: Mapping[str, str]) -> tuple[str, float]:
    """The login for a server of MLflow's that hands its artifacts out, under MLflow's own names."""
    if token := environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}", float("inf")
    if user := environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}", float("inf")
    return "", float("inf")
