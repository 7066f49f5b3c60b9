"""Registries that say no, break off or lie: one sentence with the way out, nothing half made in sight, and the next run goes on."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployer.errors import CredentialsInvalid, DeployerError, MachineFault, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable
from deployer.events import silent
from deployer.oci import Credentials, Repository, uploads
from deployer.oci.manifest import sha256
from deployer_images import cache
from deployer_images.layers import blobs
from deployer_images.layers.archive import Layer
from deployer_images.layers.package_set import PackageSet, packages_of
from deployer_images.layers.published import find, publish
from deployer_images.wanted import Wanted
from tests.docker import registry, serving_registry  # noqa: F401
from tests.doors import Before, standing
from tests.index import Index, index_of_arrays

index = index_of_arrays
DENIED = "requested access to the resource is denied"


@dataclass
class Trouble:
    """A door before a registry.

    Attributes:
        strike: told the method, path and body's length of each request; True to lose it, a status with the registry's words to answer it.
        lost: whether what is struck gets to the registry, and only the answer is lost.
    """

    host: str = ""
    strike: Callable[[str, str, int], bool | tuple[int, str, str]] = lambda *_: False
    lost: bool = False
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def trouble(registry: str) -> Iterator[Trouble]:  # noqa: F811
    found = Trouble()

    class Door(Before):
        def do(self, body: bytes) -> None:
            found.asked.append(f"{self.command} {self.path.partition('?')[0]}")
            struck = found.strike(self.command, self.path, len(body))
            if struck is True:
                if found.lost:
                    self._pass_on_only(body)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif struck:
                status, code, message = struck
                words = json.dumps({"errors": [{"code": code, "message": message}]}) if code else message
                self.answer(status, {}, words.encode())
            else:
                self.pass_on(body)

        def _pass_on_only(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(self.registry)
            connection.request(self.command, self.path, body, {name: self.headers[name] for name in ("Content-Type", "Host") if name in self.headers})
            connection.getresponse().read()

    Door.registry = registry
    with standing(Door) as found.host:
        yield found


def pushed(host: str, content: bytes = b"layer" * 1000, **how: float) -> Repository:
    repository = Repository(host, "scoring", deadline_seconds=how.get("deadline_seconds", 5))
    repository.upload_blob(sha256(content), len(content), lambda: io.BytesIO(content))
    return repository


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "said"),
    [
        (507, "", "Insufficient Storage", QuotaExceeded, "is full"),
        (403, "DENIED", "adding 29.0 MiB of storage, which will exceed the configured upper limit of 10.0 MiB", QuotaExceeded, "is full"),
        (400, "DENIED", "Quota exceeded when processing the request of adding 1.3 MiB", QuotaExceeded, "is full"),
        (500, "UNKNOWN", "write /var/lib/registry/x: no space left on device", QuotaExceeded, "is full"),
        (413, "", "<html>413 Request Entity Too Large</html>", QuotaExceeded, "takes no request as large"),
        (405, "UNSUPPORTED", "The operation is unsupported.", Refused, "is read-only"),
        (403, "DENIED", "The system is in read only mode. Any modification is prohibited.", Refused, "is read-only"),
        (403, "DENIED", DENIED, PermissionDenied, "refuses"),
        (404, "NAME_UNKNOWN", "repository name not known to registry", Refused, "refuses"),
        (429, "TOOMANYREQUESTS", "rate exceeded", QuotaExceeded, "limits our requests"),
        (502, "", "Bad Gateway", TargetUnavailable, "failed"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_no_is_told_with_the_way_out(  # noqa: PLR0917 - a row of a table
    trouble: Trouble, method: str, status: int, code: str, message: str, kind: type[DeployerError], said: str
) -> None:
    trouble.strike = lambda asked, path, _: (status, code, message) if asked == method and "/blobs/uploads" in path else False
    begun = time.monotonic()
    with pytest.raises(kind, match=said) as refused:
        pushed(trouble.host, deadline_seconds=0.5)
    assert time.monotonic() - begun < 5
    assert refused.value.advice or code in ("NAME_UNKNOWN",)
    assert str(status) in refused.value.why
    trouble.strike = lambda *_: False
    assert not Repository(trouble.host, "scoring").has_blob(sha256(b"layer" * 1000))
    assert pushed(trouble.host).has_blob(sha256(b"layer" * 1000))


def test_a_registry_that_is_read_only_says_so(tmp_path: Path) -> None:
    storage = "  maintenance:\n    readonly:\n      enabled: true\n"
    with serving_registry(tmp_path, more_storage=storage) as host, pytest.raises(Refused, match="is read-only: it refuses POST"):
        pushed(host)


def test_what_a_proxy_takes_in_pieces_alone_is_sent_in_pieces(trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PIECE", 1_000_000)
    trouble.strike = lambda _, __, length: (413, "", "Request Entity Too Large") if length > 1_500_000 else False
    content = os.urandom(3_500_000)
    assert pushed(trouble.host, content).read_blob(sha256(content)) == content


# Credentials


def token_door(trouble: Trouble, answers: str, *, anonymous: bool = True) -> None:
    """Sends for tokens as GHCR, Harbor and ACR do; an anonymous one may read nothing."""

    class Door(Before):
        def do(self, body: bytes) -> None:
            known = self.headers.get("Authorization", "")
            if self.path.startswith("/token"):
                good = known.startswith("Basic ") or b"refresh_token=long-lived" in body
                said = {answers: "good" if good else "nobody"}
                return self.answer(200 if good or (anonymous and not known) else 401, {}, json.dumps(said).encode())
            if known == "Bearer good":
                return self.pass_on(body)
            realm = {"WWW-Authenticate": f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="repository:x:pull"'}
            words = json.dumps({"errors": [{"code": "DENIED" if known else "UNAUTHORIZED", "message": DENIED}]}).encode()
            return self.answer(403 if known else 401, {} if known else realm, words)

    Door.registry = trouble.host
    trouble.door = Door  # type: ignore[attr-defined]


@pytest.mark.parametrize("answers", ["token", "access_token"])
@pytest.mark.parametrize("credentials", [Credentials("me", "pat"), Credentials("<token>", "long-lived")], ids=["basic", "identity token"])
def test_every_registry_s_tokens_are_understood(trouble: Trouble, answers: str, credentials: Credentials) -> None:
    token_door(trouble, answers)
    with standing(trouble.door) as host:  # type: ignore[attr-defined]
        repository = Repository(host, "team/scoring", credentials, deadline_seconds=2)
        assert repository.read_blob(repository.upload(b"layer")) == b"layer"


@pytest.mark.parametrize("anonymous", [True, False])
def test_nobody_who_is_logged_in_is_told_to_log_in(trouble: Trouble, anonymous: bool) -> None:
    """GHCR gives everybody a token, that is good for what is public; Harbor gives none."""
    token_door(trouble, "token", anonymous=anonymous)
    with standing(trouble.door) as host:  # type: ignore[attr-defined]
        with pytest.raises(CredentialsInvalid, match="wants credentials, and there are none") as refused:
            Repository(host, "scoring", deadline_seconds=2).tags()
        assert f"docker login {host}" in refused.value.advice


# Certificates and proxies


@pytest.fixture
def tls_host(registry: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:  # noqa: F811
    """A registry behind TLS with a certificate of its own authority, and that authority's certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate), *names)
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Door(Before):
        def do(self, body: bytes) -> None:
            self.pass_on(body)

    Door.registry = registry
    with standing(Door, context) as host:
        yield f"https://{host}", certificate


def test_an_own_authority_is_trusted_where_it_is_named(tls_host: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    host, certificate = tls_host
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    begun = time.monotonic()
    with pytest.raises(TargetUnavailable, match=r"certificate of the registry .* is not trusted") as refused:
        Repository(host, "scoring").tags()
    assert "SSL_CERT_FILE" in refused.value.advice
    assert time.monotonic() - begun < 3  # asking again changes nothing
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Repository(host, "scoring").tags() == ()


def test_a_proxy_is_gone_through_and_told_of_where_it_refuses(tls_host: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    host, certificate = tls_host
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    asked: list[str] = []
    answers = {"status": 200}

    class Proxy(Before):
        def do_CONNECT(self) -> None:  # noqa: N802  the base class's names
            asked.append(self.path)
            self.send_response(answers["status"])
            self.end_headers()
            if answers["status"] == 200:
                name, _, port = self.path.partition(":")
                with socket.create_connection((name, int(port))) as there:
                    back = threading.Thread(target=_copy, args=(there, self.connection))
                    back.start()
                    _copy(self.connection, there)
                    back.join()
            self.close_connection = True

    with standing(Proxy) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        repository = Repository(host, "scoring")
        assert repository.tags() == ()
        repository.close()
        assert asked == [host.removeprefix("https://")]
        answers["status"] = 407
        begun = time.monotonic()
        with pytest.raises(TargetUnavailable, match=r"the proxy before the registry .* lets nothing through") as refused:
            Repository(host, "scoring").tags()
        assert "HTTPS_PROXY" in refused.value.advice
        assert time.monotonic() - begun < 3


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


# Layers of packages


@pytest.fixture
def packages(index: Index) -> tuple[PackageSet, Wanted]:
    index.wheel("churn", "1.0", churn="".join(f"x{number} = {os.urandom(8).hex()!r}\n" for number in range(2000)))
    wanted = Wanted(("churn",))
    return packages_of(wanted, "3.11.7", "linux/amd64"), wanted


def test_a_push_that_breaks_anywhere_is_taken_up_by_the_next(packages: tuple[PackageSet, Wanted], trouble: Trouble) -> None:
    """Each request in turn is lost, on the way there or back; the client gives up at once, as one that is killed does."""
    layers, wanted = packages
    for lost in (False, True):
        trouble.lost = lost
        for number in range(100):
            name = f"broken-{int(lost)}-{number}"
            left = {"before": number}

            def strike(*_: object, left: dict[str, int] = left) -> bool:
                left["before"] -= 1
                return left["before"] < 0  # and everything after it

            trouble.strike = strike
            try:
                publish(layers, wanted, Repository(trouble.host, name, deadline_seconds=0), silent)
            except TargetUnavailable:
                ended = False
            else:
                ended = True
            trouble.strike = lambda *_: False
            repository = Repository(trouble.host, name, deadline_seconds=5)
            there = find(layers, repository)
            assert there is None or repository.has_blob(there.digest), "a layer is found that isn't there"
            made = publish(layers, wanted, repository, silent)
            assert find(layers, repository) == made[0]
            assert all(sha256(repository.read_blob(each.digest)) == each.digest for each in made)
            if ended:
                break
        assert ended
        assert number > 5


def test_two_builders_of_one_lock_have_one_result(
    packages: tuple[PackageSet, Wanted],
    registry: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Machines of their own: each has a cache of its own, and neither knows of the other."""
    layers, wanted = packages
    both = threading.Barrier(2)
    local = threading.local()
    monkeypatch.setattr(cache, "root", lambda: local.root)

    def build(number: int) -> tuple[Layer, ...]:
        local.root = tmp_path / f"machine-{number}"
        both.wait()
        return publish(layers, wanted, Repository(registry, "scoring"), silent)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, range(2))
    assert first == second
    assert first[0] == find(layers, Repository(registry, "scoring"))
    assert layers.tag in Repository(registry, "scoring").tags()


def test_a_layer_that_arrives_with_other_bytes_is_refused_and_removed(trouble: Trouble) -> None:
    content = os.urandom(100_000)
    repository = pushed(trouble.host, content)
    digest = sha256(content)

    def fetch() -> Path:
        with repository.stream_blob(digest) as pieces:
            return blobs.kept(digest, lambda stream: stream.writelines(pieces))

    trouble.strike = lambda method, path, _: (200, "", "x" * 100_000) if method == "GET" and digest in path else False
    with pytest.raises(MachineFault, match="arrived with other bytes"):
        fetch()
    assert not list(cache.folder("blobs").glob(f"*{digest.removeprefix('sha256:')}*"))
    with pytest.raises(TargetUnavailable, match="gave another blob"):
        repository.read_blob(digest)
    trouble.strike = lambda *_: False
    assert fetch().read_bytes() == content


def test_a_layer_that_breaks_off_is_told_and_not_kept(trouble: Trouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # of others, one may be under way
    content = os.urandom(100_000)
    repository = pushed(trouble.host, content)
    trouble.strike = lambda method, path, _: method == "GET" and "/blobs/" in path
    repository = Repository(trouble.host, "scoring", deadline_seconds=0)
    with pytest.raises(TargetUnavailable), repository.stream_blob(sha256(content)) as pieces:
        blobs.kept(sha256(content), lambda stream: stream.writelines(pieces))
    assert not list(cache.folder("blobs").glob(".unfinished-*"))
