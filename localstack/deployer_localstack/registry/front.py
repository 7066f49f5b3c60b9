"""What docker and other clients see of a cloud's registry: passwords, repositories that must exist, tags that may be immutable.

Everything else is done by the registry behind it, whose answers are passed on as they come.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode

from deployer_localstack.http.server import Environ, StartResponse
from deployer_localstack.registry.index import ImageIndex, RepositoryAddress, digest_of
from deployer_localstack.registry.upstream import Upstream

_ROUTE = re.compile(r"/v2/(?P<name>.+?)/(?P<rest>(?:blobs|manifests|tags)/.*)")
_PASSED_ON = ("CONTENT_TYPE", "HTTP_ACCEPT", "HTTP_RANGE", "HTTP_CONTENT_RANGE", "HTTP_IF_NONE_MATCH")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "date"})
_PIECE = 256 * 1024


class Repositories(Protocol):
    """What the front must know of a cloud's repositories."""

    def exists(self, repository: RepositoryAddress) -> bool: ...
    def is_immutable(self, repository: RepositoryAddress) -> bool: ...
    def mounts_blobs(self, account: str, region: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Login:
    """A password's meaning: whose registry, until when (seconds since the epoch)."""

    account: str
    region: str
    expires: float


class Passwords:
    """The passwords that a cloud gave out, for one user name, or for others that stand for the same."""

    def __init__(self, user: str = "AWS", *also: str) -> None:
        self.user, self._users = user, {user, *also}
        self._logins: dict[str, Login] = {}
        self._lock = threading.Lock()

    def issue(self, account: str, region: str, seconds: float, password: str = "") -> tuple[str, Login]:
        """A new password, or the given one."""
        password, login = password or secrets.token_urlsafe(48), Login(account, region, time.time() + seconds)
        with self._lock:
            self._logins[password] = login
        return password, login

    def login(self, authorization: str) -> Login | None:
        """The login of a basic Authorization header; None for any other."""
        kind, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        with self._lock:
            return self._logins.get(password) if kind.lower() == "basic" and user in self._users else None


class Refusal(Exception):
    """An error in the distribution specification's words."""

    def __init__(self, status: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class RegistryFront:
    """The WSGI application at repositoryUri's address."""

    def __init__(self, upstream: Upstream, passwords: Passwords, repositories: Repositories, index: ImageIndex, service: str) -> None:
        """A front; `service` is what it calls itself to who has no password."""
        self._upstream = upstream
        self._passwords = passwords
        self._repositories = repositories
        self._index, self._service = index, service

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            login = self._login(environ)
            if environ["PATH_INFO"].rstrip("/") == "/v2":
                return _send(start_response, "200 OK", b"{}")
            return self._route(environ, start_response, login)
        except Refusal as refusal:
            body = json.dumps({"errors": [{"code": refusal.code, "message": refusal.message}]}).encode()
            ask = [("WWW-Authenticate", f'Basic realm="local",service="{self._service}"')] if refusal.status.startswith("401") else []
            return _send(start_response, refusal.status, b"" if environ["REQUEST_METHOD"] == "HEAD" else body, ask, len(body))

    def _login(self, environ: Environ) -> Login:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not authorization:
            raise Refusal("401 Unauthorized", "UNAUTHORIZED", "no basic auth credentials")
        login = self._passwords.login(authorization)
        if login is None:
            raise Refusal("401 Unauthorized", "UNAUTHORIZED", "authentication required")
        if login.expires < time.time():
            raise Refusal("403 Forbidden", "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
        return login

    def _route(self, environ: Environ, start_response: StartResponse, login: Login) -> Iterable[bytes]:
        match = _ROUTE.fullmatch(environ["PATH_INFO"])
        if not match:
            raise Refusal("404 Not Found", "UNSUPPORTED", f"not a path of a registry: {environ['PATH_INFO']}")
        repository, rest, method = RepositoryAddress(login.account, login.region, match["name"]), match["rest"], environ["REQUEST_METHOD"]
        if not self._repositories.exists(repository):
            message = f"The repository with name '{repository.name}' does not exist in the registry with id '{repository.account}'"
            raise Refusal("404 Not Found", "NAME_UNKNOWN", message)
        if rest == "tags/list":
            return _send(start_response, "200 OK", self._tags(repository))
        if rest.startswith("manifests/") and method in {"PUT", "DELETE"}:
            return self._change_manifest(environ, start_response, repository, rest.removeprefix("manifests/"))
        query = environ.get("QUERY_STRING", "")
        if method == "POST" and rest == "blobs/uploads/" and "mount=" in query:
            query = self._mount_query(repository, query)
        return self._pass_on(environ, start_response, repository, rest, query=query)

    def _tags(self, repository: RepositoryAddress) -> bytes:
        tags = sorted(tag for image in self._index.images(repository) for tag in image.tags)
        return json.dumps({"name": repository.name, "tags": tags}).encode()

    def _change_manifest(self, environ: Environ, start_response: StartResponse, repository: RepositoryAddress, reference: str) -> Iterable[bytes]:
        """A push or removal of a manifest: what the registry accepts, the index learns."""
        body: bytes = environ["wsgi.input"].read()
        tag = None if ":" in reference else reference
        if environ["REQUEST_METHOD"] == "PUT" and tag:
            self._refuse_moved_tag(repository, tag, digest_of(body))
        seen: list[str] = []

        def noting(status: str, headers: list[tuple[str, str]]) -> None:
            seen.append(status)
            start_response(status, headers)

        pieces = list(self._pass_on(environ, noting, repository, f"manifests/{reference}", body=body))
        if seen[0].startswith("201"):
            self._index.put(repository, body, environ.get("CONTENT_TYPE") or json.loads(body)["mediaType"], tag)
        elif seen[0].startswith("202"):
            self._index.remove(repository, tag=tag, digest=None if tag else reference)
        return pieces

    def _refuse_moved_tag(self, repository: RepositoryAddress, tag: str, digest: str) -> None:
        present = self._index.find(repository, tag=tag)
        if present and present.digest != digest and self._repositories.is_immutable(repository):
            message = (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten because the tag is immutable."
            )
            raise Refusal("400 Bad Request", "TAG_INVALID", message)

    def _mount_query(self, repository: RepositoryAddress, query: str) -> str:
        """The query of a mount as the registry behind wants it; without it where ECR wouldn't mount, so that the answer is 202."""
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        source = RepositoryAddress(repository.account, repository.region, asked.get("from", ""))
        allowed = self._repositories.mounts_blobs(repository.account, repository.region)
        if not allowed or not self._repositories.exists(source) or not self._index.refers_to(source, asked.get("mount", "")):
            return ""
        return urlencode({"mount": asked["mount"], "from": self._index.stored_name(source)})

    def _pass_on(
        self, environ: Environ, start_response: Any, repository: RepositoryAddress, rest: str, *, query: str = "", body: bytes | None = None
    ) -> Iterable[bytes]:
        stored = self._index.stored_name(repository)
        connection = self._upstream.connect(600)
        path = f"{self._upstream.path}/v2/{stored}/{rest}" + (f"?{query}" if query else "")
        headers = {key.removeprefix("HTTP_").replace("_", "-"): environ[key] for key in _PASSED_ON if environ.get(key)}
        sent, chunked = _body(environ, headers, body)
        try:
            connection.request(environ["REQUEST_METHOD"], path, body=sent, headers=headers, encode_chunked=chunked)
            response = connection.getresponse()
        except OSError:
            connection.close()
            raise Refusal("503 Service Unavailable", "UNAVAILABLE", "the registry behind doesn't answer") from None
        answered = [
            (name, _own_words(value, stored, repository.name) if name.lower() == "location" else value)
            for name, value in response.getheaders()
            if name.lower() not in _HOP_BY_HOP
        ]
        if not any(name.lower() == "content-length" for name, _ in answered) and environ["REQUEST_METHOD"] != "HEAD":
            content = response.read()
            answered.append(("Content-Length", str(len(content))))
            connection.close()
            start_response(f"{response.status} {response.reason}", answered)
            return [content]
        start_response(f"{response.status} {response.reason}", answered)
        return _relay(response, connection)


def _own_words(location: str, stored: str, name: str) -> str:
    path = re.sub(r"^https?://[^/]+", "", location)
    return path.replace(f"/v2/{stored}/", f"/v2/{name}/", 1)


def _body(environ: Environ, headers: dict[str, str], body: bytes | None) -> tuple[Any, bool]:
    if body is not None:
        headers["Content-Length"] = str(len(body))
        return body, False
    if "HTTP_TRANSFER_ENCODING" in environ:
        headers["Transfer-Encoding"] = "chunked"
        return _read_pieces(environ["wsgi.input"]), True
    length = environ.get("CONTENT_LENGTH") or "0"
    headers["Content-Length"] = length
    return (_read_pieces(environ["wsgi.input"]) if int(length) else None), False


def _read_pieces(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _relay(response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> Iterator[bytes]:
    try:
        while piece := response.read(_PIECE):
            yield piece
    finally:
        connection.close()


def _send(start_response: StartResponse, status: str, body: bytes, more: Iterable[tuple[str, str]] = (), length: int | None = None) -> list[bytes]:
    size = len(body) if length is None else length
    headers = [("Content-Type", "application/json"), ("Content-Length", str(size)), ("Docker-Distribution-Api-Version", "registry/2.0")]
    start_response(status, [*headers, *more])
    return [body]


def basic_authorization(password: str) -> Mapping[str, str]:
    """The header that our own parts send to the front."""
    return {"Authorization": "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()}
