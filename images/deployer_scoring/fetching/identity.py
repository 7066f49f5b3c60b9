"""Who a pod is to a cloud: what each platform gives a service account, asked of it where the environment says."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlencode

from deployer_scoring.errors import LoadError
from deployer_scoring.fetching.web import fetched

EARLY = 120.0
"""Seconds before its end that a token isn't used any more."""
_NEAR = 3.0  # seconds that a service on the node has to answer


class Tokens:
    """A header of authorization, asked for again before it ends; `ask` gives one and the time of its end."""

    def __init__(self, ask: Callable[[], tuple[str, float]]) -> None:
        self._ask, self._lock = ask, threading.Lock()
        self._known, self._end = "", 0.0

    def current(self) -> str:
        """One that is valid; "" where nobody gives one, for what is public."""
        with self._lock:
            if time.time() > self._end - EARLY:
                self._known, self._end = self._ask()
            return self._known

    def forget(self) -> bool:
        """A server takes it no more; whether there is another to be had."""
        with self._lock:
            before, self._end = self._known, 0.0
            if not before:
                return False
            self._known, self._end = self._ask()
            return self._known != before


def google_token(environ: Mapping[str, str]) -> tuple[str, float]:
    """That of the pod's service account, by the metadata server that workload identity has on each node."""
    host = environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    return _of_node(f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token", {"Metadata-Flavor": "Google"})


def azure_token(environ: Mapping[str, str]) -> tuple[str, float]:
    """That of the workload identity whose token is in the pod; else of the node's managed identity.

    Raises:
        LoadError: Azure refuses the identity.
    """
    file, tenant = environ.get("AZURE_FEDERATED_TOKEN_FILE"), environ.get("AZURE_TENANT_ID")
    if file and tenant:
        body = {
            "client_id": environ.get("AZURE_CLIENT_ID", ""),
            "grant_type": "client_credentials",
            "scope": "https://storage.azure.com/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": Path(file).read_text(encoding="utf-8").strip(),
        }
        authority = environ.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com/"
        request = urllib.request.Request(f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token", data=urlencode(body).encode())
        try:
            said = json.loads(fetched(request))
        except (OSError, ValueError) as error:
            raise LoadError(f"Azure gives the pod's service account no token: {error}") from error
        return _bearer(said)
    asked = {"api-version": "2018-02-01", "resource": "https://storage.azure.com/"}
    return _of_node(f"http://169.254.169.254/metadata/identity/oauth2/token?{urlencode(asked)}", {"Metadata": "true"})


def _of_node(url: str, headers: Mapping[str, str]) -> tuple[str, float]:
    """What a service on the node gives; nothing for a while, where there is none."""
    try:
        said = json.loads(fetched(urllib.request.Request(url, headers=dict(headers)), _NEAR))
    except (OSError, ValueError):
        return "", time.time() + 2 * EARLY
    return _bearer(said)


def _bearer(said: Mapping[str, Any]) -> tuple[str, float]:
    return f"Bearer {said['access_token']}", time.time() + float(said["expires_in"])
