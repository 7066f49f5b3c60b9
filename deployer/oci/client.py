"""The seam to a registry's HTTP API (OCI Distribution): logging in, retrying, and saying in our errors what it said.

A registry asks for basic credentials, or sends one for a token to a server that takes them; which one it is, its first 401 tells.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deployer.core.interruption import pause
from deployer.core.retry import DEADLINE_SECONDS
from deployer.core.seam import Seam
from deployer.errors import ConfigInvalid, TargetUnavailable
from deployer.oci.credentials import IDENTITY_TOKEN, Credentials, Login
from deployer.oci.faults import RegistryFaults, Unexpected, no_credentials
from deployer.oci.reference import DOCKER_HUB

if TYPE_CHECKING:
    import ssl

    import httpx

_ASKED_TO_WAIT = frozenset({429, 503})
_LONGEST_PAUSE = 60.0
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 120.0
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")

Body = Callable[[], Iterable[bytes]]
"""Opens the body from its beginning, once for each try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A registry's answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class RegistryClient:
    """Talks to one registry. Safe for several threads."""

    def __init__(
        self,
        registry: str,
        login: Login = lambda: None,
        *,
        verify: ssl.SSLContext | bool = True,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """Make a client; nothing is asked yet.

        Args:
            registry: a host, or a URL; http only on this machine.
            deadline_seconds: how long transient faults are retried.

        Raises:
            ConfigInvalid: plain http over a network.
        """
        scheme, _, host = registry.rstrip("/").rpartition("://")
        if scheme == "http" and not _LOOPBACK.fullmatch(host):
            raise ConfigInvalid(f"{registry} would send images and credentials in the clear", advice="use a registry that speaks https")
        self.host = host
        self._base = f"{scheme or ('http' if _LOOPBACK.fullmatch(host) else 'https')}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self._login, self._verify = login, verify
        self._authorizations: dict[str, str] = {}
        self._anonymous = False
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._seam = Seam(RegistryFaults(host), renew=self._log_in, deadline_seconds=deadline_seconds)

    def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        expect: frozenset[int],
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        retry: bool = True,
    ) -> Answer:
        """Send one request, and unless `retry` is false again while the fault is transient.

        Args:
            path: below the registry, or a whole URL that it gave.
            scope: what a token is to allow: "repository:NAME:pull,push".
            expect: statuses that are answers; others are errors.

        Raises:
            CredentialsInvalid, PermissionDenied, QuotaExceeded, Refused: a definite no.
            TargetUnavailable: no answer, or a transient fault that lasted.
        """
        with self._asked(method, path, scope=scope, expect=expect, headers=headers, body=body, retry=retry) as response:
            return Answer(response.status_code, response.headers, response.read(), str(response.url))

    @contextmanager
    def stream(self, path: str, *, scope: str) -> Iterator[Iterator[bytes]]:
        """The body of an answer to GET, piece by piece, in bounded memory."""
        with self._asked("GET", path, scope=scope, expect=frozenset({200})) as response:
            yield response.iter_bytes(1024 * 1024)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        expect: frozenset[int],
        retry: bool = True,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[httpx.Response]:
        import httpx

        url = path if "://" in path else self._base + path

        def once() -> httpx.Response:
            response = self._send(method, url, scope, headers, body)
            if response.status_code in expect:
                return response
            response.read()
            response.close()
            if retry and response.status_code in _ASKED_TO_WAIT:
                pause(_asked_pause(response.headers.get("retry-after", "")))
            raise Unexpected(response, scope if self._is_ours(url) else None, anonymous=self._anonymous)

        response = self._seam.call(once, f"{method} {urlsplit(url).path}", retry=retry)
        try:
            yield response
        except httpx.HTTPError as fault:
            raise TargetUnavailable(f"the registry {self.host} broke off its answer", why=str(fault) or type(fault).__name__) from fault
        finally:
            response.close()

    def _log_in(self, refused: BaseException) -> None:
        assert isinstance(refused, Unexpected)
        if refused.scope is not None:
            with self._lock:
                self._authorizations[refused.scope] = self._authorization(refused.challenge, refused.scope)

    def _send(self, method: str, url: str, scope: str, headers: Mapping[str, str] | None, body: Body | None) -> httpx.Response:
        authorization = self._authorizations.get(scope)
        known = {"Authorization": authorization} if authorization and self._is_ours(url) else {}
        client = self._client()
        request = client.build_request(method, url, headers={**(headers or {}), **known}, content=body() if body else None)
        # The client drops our authorization where a redirect leads to another host (a blob store with signed addresses).
        return client.send(request, stream=True, follow_redirects=True)

    def _authorization(self, challenge: str, scope: str) -> str:
        kind, _, rest = challenge.partition(" ")
        credentials = self._login()
        self._anonymous = credentials is None
        if kind.lower() == "bearer":
            return "Bearer " + self._token(dict(re.findall(r'(\w+)="([^"]*)"', rest)), scope, credentials)
        if credentials is None:
            raise no_credentials(self.host)
        return _basic(credentials)

    def _token(self, challenge: Mapping[str, str], scope: str, credentials: Credentials | None) -> str:
        realm = challenge.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and _LOOPBACK.fullmatch(urlsplit(realm).netloc)):
            raise TargetUnavailable(f"the registry {self.host} sends us for a token to {realm or 'nowhere'}, which is not https")
        service = challenge.get("service", "")
        if credentials and credentials.username == IDENTITY_TOKEN:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.password, "client_id": "deployer", "service": service, "scope": scope}
            answer = self._client().post(realm, data=form)
        else:
            answer = self._client().get(
                realm,
                params={"scope": scope.split(" "), **({"service": service} if service else {})},
                headers={"Authorization": _basic(credentials)} if credentials else {},
            )
        if answer.status_code != 200:
            raise Unexpected(answer, anonymous=credentials is None)
        document = answer.json()
        return str(document.get("token") or document.get("access_token") or "")

    def _client(self) -> httpx.Client:
        if self._http is None:
            import httpx

            timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
            trusted = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")) if self._verify is True else self._verify
            self._http = httpx.Client(timeout=timeout, verify=trusted, headers={"User-Agent": "deployer"})
        return self._http

    def _is_ours(self, url: str) -> bool:
        return urlsplit(url).netloc == urlsplit(self._base).netloc


@cache
def _trusted(*_environment: str | None) -> ssl.SSLContext:
    """Of what the environment says, once: reading a system's certificates takes as long as all the requests of a command."""
    import httpx

    return httpx.create_ssl_context()


def _asked_pause(said: str) -> float:
    """The seconds of a Retry-After, within bounds; a date, which no registry gives, is none."""
    return min(float(said), _LONGEST_PAUSE) if re.fullmatch(r"\d+", said.strip()) else 0.0


def _basic(credentials: Credentials) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
