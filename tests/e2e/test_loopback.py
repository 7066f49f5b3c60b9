"""Every server of ours that listens for this machine alone, asked as a page from elsewhere asks, and as the programs do that it is there for."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config

import deployer_localstack as localstack
from deployer_localstack.registry.backends import start_backend
from tests.e2e import browser as browsers
from tests.e2e.scoring_process import serving
from tests.models import saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
JSON = "Content-Type: application/json"
BODY = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}'


@dataclass(frozen=True, slots=True)
class Server:
    """One to attack.

    Attributes:
        path: where a POST would have an effect.
        answers: what a program gets there.
    """

    name: str
    port: int
    path: str
    answers: tuple[int, ...]


@contextmanager
def models_serve(directory: Path) -> Iterator[int]:
    """`deploy models serve`, whose port is the local target's."""
    command = [DEPLOY, "models", "serve", "-p", "0", "-m", str(saved_model("doubler")), "--env-manager", "local"]
    environment = {**os.environ, "DEPLOYER_LOCAL_DIR": str(directory)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield int(urlsplit(process.stdout.readline().split()[2]).port or 0)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[localstack.CloudStatus]:
    directory = tmp_path_factory.mktemp("cloud")
    try:
        yield localstack.up(localstack.StartOptions(directory=directory, port=0))
    finally:
        localstack.down(directory)


@pytest.fixture(scope="module")
def servers(cloud: localstack.CloudStatus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        scoring = stack.enter_context(serving(saved_model("doubler")))
        proxy = stack.enter_context(models_serve(tmp_path_factory.mktemp("local")))
        yield {
            each.name: each
            for each in (
                Server("scoring", int(urlsplit(scoring.url).port or 0), "/invocations", (200,)),
                Server("local", proxy, "/invocations", (200,)),
                Server("aws", int(urlsplit(cloud.url).port or 0), "/?list-type=2", (200, 400, 404, 405)),
                Server("control", int(urlsplit(cloud.url).port or 0), "/_deployer/reset", (401,)),
                Server("registry", int(cloud.registry.rpartition(":")[2]), "/v2/scoring/blobs/uploads/", (401,)),
            )
        }


NAMES = ("scoring", "local", "aws", "control", "registry")


def raw(server: Server, *lines: str, body: bytes = BODY) -> tuple[int, str]:
    """The status and all of the answer to a request as it stands; 0 where the connection was closed without one."""
    head = "".join(f"{line}\r\n" for line in (*lines, f"Content-Length: {len(body)}", "Connection: close"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.format(port=server.port, path=server.path).encode() + b"\r\n" + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    text = answer.decode("latin-1")
    return (int(text.split(" ", 2)[1]) if text.startswith("HTTP/") else 0), text


ATTACKS = {
    "a form": ("POST {path} HTTP/1.1", "Host: 127.0.0.1:{port}", "Origin: http://evil.example", "Content-Type: application/x-www-form-urlencoded"),
    "a form of text": ("POST {path} HTTP/1.1", "Host: localhost:{port}", "Origin: https://evil.example", "Content-Type: text/plain"),
    "a form of parts": (
        "POST {path} HTTP/1.1",
        "Host: 127.0.0.1:{port}",
        "Origin: http://evil.example",
        "Content-Type: multipart/form-data",
    ),
    "a page in a sandbox": ("POST {path} HTTP/1.1", "Host: 127.0.0.1:{port}", "Origin: null", JSON),
    "a page of another port": ("POST {path} HTTP/1.1", "Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:1", JSON),
    "a page under another name": (
        "POST {path} HTTP/1.1",
        "Host: 127.0.0.1:{port}",
        "Origin: http://localhost:{port}",
        JSON,
    ),
    "a name that leads here": (
        "POST {path} HTTP/1.1",
        "Host: evil.example:{port}",
        "Origin: http://evil.example:{port}",
        JSON,
    ),
    "the same without an origin": ("POST {path} HTTP/1.1", "Host: evil.example:{port}", JSON),
    "a name that begins like ours": ("POST {path} HTTP/1.1", "Host: localhost.evil.example:{port}", JSON),
    "a name of the network": ("POST {path} HTTP/1.1", "Host: 192.168.0.7:{port}", JSON),
    "a number for an address": ("POST {path} HTTP/1.1", "Host: 2130706433:{port}", JSON),
    "a password before the host": ("POST {path} HTTP/1.1", "Host: localhost@evil.example:{port}", JSON),
    "an empty host": ("POST {path} HTTP/1.1", "Host:", JSON),
    "no host": ("POST {path} HTTP/1.1", JSON),
    "two hosts": ("POST {path} HTTP/1.1", "Host: localhost:{port}", "Host: evil.example", JSON),
    "two hosts, the other way": ("POST {path} HTTP/1.1", "Host: evil.example", "Host: localhost:{port}", JSON),
    "two origins": ("POST {path} HTTP/1.1", "Host: localhost:{port}", "Origin: http://localhost:{port}", "Origin: http://evil.example"),
    "a URL for a target": ("POST http://evil.example{path} HTTP/1.1", "Host: localhost:{port}", JSON),
    "a URL beside a foreign host": ("POST http://localhost:{port}{path} HTTP/1.1", "Host: evil.example", JSON),
    "HTTP/1.0": ("POST {path} HTTP/1.0", "Host: evil.example", JSON),
    "HTTP/1.0 without a host": ("POST {path} HTTP/1.0", "Origin: http://evil.example", JSON),
    "a preflight": ("OPTIONS {path} HTTP/1.1", "Host: localhost:{port}", "Origin: http://evil.example", "Access-Control-Request-Method: POST"),
    "a preflight from the internet": (
        "OPTIONS {path} HTTP/1.1",
        "Host: localhost:{port}",
        "Origin: https://evil.example",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Private-Network: true",
    ),
    "a picture": ("GET {path} HTTP/1.1", "Host: localhost:{port}", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    "a frame": ("GET {path} HTTP/1.1", "Host: localhost:{port}", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
    "a web socket": (
        "GET {path} HTTP/1.1",
        "Host: localhost:{port}",
        "Origin: http://evil.example",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", NAMES)
def test_no_page_is_answered(servers: dict[str, Server], name: str, attack: str) -> None:
    status, text = raw(servers[name], *ATTACKS[attack])
    # Two hosts are no HTTP, which may be said first.
    assert status in ((403, 400) if "host" in attack else (403,)), text
    assert "access-control" not in text.lower()


@pytest.mark.parametrize(
    "lines",
    [
        ("POST {path} HTTP/1.1", "Host: 127.0.0.1:{port}", JSON),
        ("POST {path} HTTP/1.1", "Host: LOCALHOST:{port}", JSON, "Origin: http://localhost:{port}"),
        ("POST {path} HTTP/1.1", "Host: [::1]:{port}", JSON, "Sec-Fetch-Site: same-origin"),
        ("POST {path} HTTP/1.1", "Host: localhost", JSON),
        ("POST http://localhost:{port}{path} HTTP/1.1", "Host: localhost:{port}", JSON),
        ("POST {path} HTTP/1.0", JSON),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_programs_and_the_server_s_own_pages_are_answered(servers: dict[str, Server], name: str, lines: tuple[str, ...]) -> None:
    status, text = raw(servers[name], *lines)
    assert status in servers[name].answers, text
    assert "its own machine alone" not in text
    assert "access-control" not in text.lower()


def test_moto_lets_no_page_read_even_where_it_answers(servers: dict[str, Server]) -> None:
    for method in ("OPTIONS", "GET", "POST"):
        status, text = raw(servers["aws"], f"{method} / HTTP/1.1", "Host: localhost:{port}", "Origin: http://localhost:{port}", body=b"")
        assert status < 500
        assert "access-control" not in text.lower()


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/config", "/moto-api/recorder/start-recording", "/moto-api/data.json", "/moto-api/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_moto_s_own_controls_are_not_there(servers: dict[str, Server], method: str, path: str) -> None:
    status, text = raw(servers["aws"], f"{method} {path} HTTP/1.1", "Host: localhost:{port}", body=b"")
    assert status == 501, text


@pytest.mark.parametrize("path", ["health", "holds", "settings", "faults", "journal", "reset", "roles", "nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "bearer\u00e9"])
def test_the_control_api_wants_its_token(cloud: localstack.CloudStatus, method: str, path: str, authorization: str | None) -> None:
    token = localstack.environment(cloud.directory)["DEPLOYER_LOCALSTACK_TOKEN"]
    headers = {} if authorization is None else {"authorization": authorization.format(token=token).encode("latin-1")}
    answer = httpx.request(method, f"{cloud.url}/_deployer/{path}", headers=headers, trust_env=False)
    assert (answer.status_code, list(answer.json())) == (401, ["message"])


def test_who_knows_the_token_controls_the_cloud(cloud: localstack.CloudStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert localstack.control(cloud.directory).health()["pid"] == cloud.pid
    token = localstack.environment(cloud.directory)["DEPLOYER_LOCALSTACK_TOKEN"]
    assert localstack.ControlClient(cloud.url, token).holds()["buckets"] == 0
    monkeypatch.setenv("DEPLOYER_LOCALSTACK_DIR", str(cloud.directory))
    monkeypatch.delenv("DEPLOYER_LOCALSTACK_TOKEN", raising=False)
    assert localstack.ControlClient(cloud.url).faults() == []
    monkeypatch.setenv("DEPLOYER_LOCALSTACK_TOKEN", "wrong")
    with pytest.raises(ValueError, match="DEPLOYER_LOCALSTACK_TOKEN"):
        localstack.ControlClient(cloud.url).faults()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_boto3_goes_on_by_name_and_by_address(cloud: localstack.CloudStatus, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name it puts the bucket before the host: bucket.localhost, which not every resolver knows."""
    known = socket.getaddrinfo

    def here(name: str, *more: Any, **options: Any) -> Any:
        return known("127.0.0.1" if name.endswith("localhost") else name, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    keys = {"aws_access_key_id": "AKIADEPLOYERLOCAL000", "aws_secret_access_key": "x"}
    style = Config(s3={"addressing_style": "virtual" if host == "localhost" else "auto"})
    s3 = boto3.client("s3", endpoint_url=cloud.url.replace("127.0.0.1", host), region_name="us-east-1", config=style, **keys)
    bucket = f"own-{len(host)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b.txt", Body=b"content")
    assert s3.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"content"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/b.txt"]
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/b.txt"})
    assert httpx.get(url, trust_env=False).content == b"content"


PAGE = """<!doctype html><title>waits</title>
<form method="post" enctype="text/plain" target="frame" action="URL">
  <input name='{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}, "params": {"a": "' value='"}}'>
</form>
<form method="post" enctype="multipart/form-data" target="frame" action="URL"><input name="a" value="b"></form>
<iframe name="frame"></iframe>
<script>
(async () => {
  const read = [];
  for (const type of ["text/plain", "application/json"]) {
    for (const mode of ["no-cors", "cors"]) {
      try {
        const answer = await fetch("URL", {method: "POST", mode, headers: {"content-type": type}, body: BODY});
        if (answer.type !== "opaque") read.push(await answer.text());
      } catch (error) {}
    }
  }
  await new Promise(done => { const image = new Image(); image.onload = image.onerror = done; image.src = "URL"; });
  for (const form of document.forms) { form.submit(); await new Promise(done => setTimeout(done, 300)); }
  document.title = read.length ? "read " + read : "read nothing";
})();
</script>"""


@contextmanager
def hosted(page: str) -> Iterator[str]:
    """The page at an address of its own."""

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.skipif(browsers.found() is None and "CI" not in os.environ, reason="needs Chromium: apt-get install chromium")
def test_a_page_in_a_real_browser_reaches_nothing() -> None:
    with serving(saved_model("doubler")) as served, browsers.chromium() as browser:
        page = PAGE.replace("URL", f"{served.url}/invocations").replace("BODY", json.dumps(BODY.decode()))
        with hosted(page) as url, browser.open(url) as tab:
            tab.wait("document.title.startsWith('read')")
            assert tab.run("document.title") == "read nothing"
        with browser.open(f"{served.url}/docs") as tab:
            assert tab.run("location.pathname") == "/docs"
        counted = re.findall(r'deployer_requests_total\{path="/invocations",status="(\d+)"\}', served.client.get("/metrics").text)
        assert counted == []
        assert served.said(" 403 ", times=5)


def test_files_of_the_local_cloud_are_their_user_s_alone(cloud: localstack.CloudStatus) -> None:
    assert stat.S_IMODE(cloud.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((cloud.directory / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["debian", "python"])
def test_the_registry_behind_is_found_by_its_own_cloud_alone(tmp_path: Path, kind: Any) -> None:
    if kind == "debian" and shutil.which("docker-registry") is None:
        kind = "python"
    registry = start_backend(localstack.StartOptions(directory=tmp_path, registry=kind))
    try:
        for path, status in (("/v2/", 404), ("/v2/_catalog", 404), (f"/{'0' * 32}/v2/", 404), (f"{registry.upstream.path}/v2/", 200)):
            assert httpx.get(f"http://127.0.0.1:{registry.upstream.port}{path}", trust_env=False).status_code == status
    finally:
        registry.stop()
