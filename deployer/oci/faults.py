"""What a registry may say, and what it is in our errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable

if TYPE_CHECKING:
    import httpx

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_LASTING = re.compile(r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL")
"""Of an error of TLS: what asking again doesn't change."""
_FULL = re.compile(r"quota|upper limit|no space left|insufficient storage|storage limit", re.IGNORECASE)
"""How registries that have one word for all that they deny say that they are full: Harbor, ACR, GitLab, docker-registry."""
_READ_ONLY = re.compile(r"read.?only", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RegistryFaults:
    """The seam's table of what a registry may say."""

    host: str

    def transient(self, error: BaseException) -> bool:
        import httpx

        if isinstance(error, Unexpected):
            return error.status in _TRANSIENT and not error.is_full
        return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ProxyError) and not _LASTING.search(str(error))

    def unreached(self, error: BaseException) -> bool:
        import httpx

        return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))

    def expired(self, error: BaseException) -> bool:
        """The first 401 says how to log in, a later one that a password or token has run out."""
        return isinstance(error, Unexpected) and error.status == 401 and error.scope is not None

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        import httpx

        if isinstance(error, Unexpected):
            return error.error(self.host, operation)
        if isinstance(error, httpx.ProxyError):
            why, advice = str(error), "HTTPS_PROXY names it; NO_PROXY the hosts that are asked without it"
            return TargetUnavailable(f"the proxy before the registry {self.host} lets nothing through", why=why, advice=advice)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            advice = "SSL_CERT_FILE names a file with the certificates to trust, your own authority's among them"
            return TargetUnavailable(f"the certificate of the registry {self.host} is not trusted", why=str(error), advice=advice)
        if isinstance(error, httpx.HTTPError):
            advice = "check its name, the network, the proxy and the certificates (SSL_CERT_FILE)"
            return TargetUnavailable(f"the registry {self.host} does not answer", why=str(error) or type(error).__name__, advice=advice)
        return None


class Unexpected(Exception):
    """A status that is no answer, with the registry's own words.

    Attributes:
        scope: what was asked for, where it's the registry itself that said so.
        anonymous: nobody was logged in.
    """

    def __init__(self, response: httpx.Response, scope: str | None = None, *, anonymous: bool = False) -> None:
        super().__init__(response.status_code)
        self.status, self.scope, self.anonymous = response.status_code, scope, anonymous
        self.challenge = str(response.headers.get("www-authenticate", ""))
        self.code, self.words = _said(response)

    @property
    def is_full(self) -> bool:
        return self.status == 507 or (self.status in (400, 403, 412, 500) and _FULL.search(self.words) is not None)

    def error(self, host: str, what: str) -> DeployerError:
        """What it is; `what` begins with the method that was refused."""
        why = f"HTTP {self.status} {self.words}".strip()
        if self.anonymous and self.status in (401, 403):
            return no_credentials(host, why)
        nginx = "have its limit raised: a proxy before it has one (nginx: client_max_body_size 0)"
        known: tuple[tuple[bool, type[DeployerError], str, str], ...] = (
            (self.status == 401, CredentialsInvalid, "does not accept the credentials", f"log in again: docker login {host}"),
            (self.is_full, QuotaExceeded, "is full", "deploy images prune makes room, or have its quota raised"),
            (self.status == 413, QuotaExceeded, "takes no request as large as this one", nginx),
            (self._is_read_only(what), Refused, f"is read-only: it refuses {what}", "name another by --registry, or have it opened"),
            (self.status == 403, PermissionDenied, f"refuses {what}", "ask for push and pull permission on the repository"),
            (self.status == 429 or self.code == "TOOMANYREQUESTS", QuotaExceeded, "limits our requests", "wait, and run the same command again"),
            (self.status in _TRANSIENT or self.status >= 500, TargetUnavailable, "failed", "run the same command again"),
            (self.code == "NAME_UNKNOWN", Refused, f"refuses {what}", "create the repository first"),
            (True, Refused, f"refuses {what}", ""),
        )
        kind, said, advice = next(row[1:] for row in known if row[0])
        return kind(f"the registry {host} {said}", why=why, advice=advice)

    def _is_read_only(self, what: str) -> bool:
        """docker-registry says of it that nothing of the kind is supported, Harbor that it is denied."""
        return (self.status == 405 and not what.startswith(("GET", "HEAD"))) or (self.status == 403 and _READ_ONLY.search(self.words) is not None)


def no_credentials(host: str, why: str = "") -> CredentialsInvalid:
    return CredentialsInvalid(f"the registry {host} wants credentials, and there are none", why=why, advice=f"docker login {host}")


def _said(response: httpx.Response) -> tuple[str, str]:
    try:
        error = response.json()["errors"][0]
        return str(error.get("code", "")), f"{error.get('code', '')}: {error.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", response.text[:200]
