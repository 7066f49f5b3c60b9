"""The proxy before a cluster: faults and journal, and everything else passed on as it is. The API server here is a stand-in on TLS."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer_localstack.http.certificates import Authority
from deployer_localstack.http.server import Environ, Server, StartResponse
from deployer_localstack.http.tunnel import Tunnel
from deployer_localstack.kubernetes import ClusterProxy, kubeconfig

PODS = "/api/v1/namespaces/shop/pods"


class StandIn:
    """An API server that answers with what it was asked; a watch has the events that a test gives it, an upgraded connection an echo."""

    def __init__(self, directory: Path) -> None:
        authority = Authority.fresh("stand-in")
        self.authority = authority.certificate
        self.asked: list[str] = []
        self.events: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._server = Server(0, self._answer, tls=authority.server_context())
        self._server.start("stand-in")
        self.kubeconfig = directory / "config"
        server = kubeconfig.ApiServer("127.0.0.1", 0, ssl.create_default_context(), "", "arn:aws:eks:x:cluster/y", "shop", {"token": "secret"})
        self.kubeconfig.write_text(kubeconfig.written(server, f"https://127.0.0.1:{self._server.port}", self.authority))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']}")
        if environ.get("HTTP_UPGRADE"):
            near, far = socket.socketpair()
            threading.Thread(target=_echo, args=(near,), daemon=True).start()
            start_response("101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", environ["HTTP_UPGRADE"])])
            return Tunnel(far, far.makefile("rb"))
        if "watch=" in environ["QUERY_STRING"]:
            start_response("200 OK", [("Content-Type", "application/json")])
            return iter(self.events.get, b"")
        body = json.dumps(
            {"headers": {k: v for k, v in environ.items() if k.startswith("HTTP_")}, "body": environ["wsgi.input"].read().decode("latin-1")}
        ).encode()
        start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Audit-Id", "x")])
        return [body]


def _echo(near: socket.socket) -> None:
    near.sendall(b"welcome ")
    while piece := near.recv(65536):
        near.sendall(piece.upper())


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[StandIn]:
    with closing(StandIn(tmp_path)) as server:
        yield server


@pytest.fixture
def proxy(behind: StandIn) -> Iterator[ClusterProxy]:
    with ClusterProxy(behind.kubeconfig) as started:
        yield started


def connected(proxy: ClusterProxy) -> http.client.HTTPSConnection:
    server = kubeconfig.read(proxy.kubeconfig)
    return http.client.HTTPSConnection(server.host, server.port, context=server.tls, timeout=10)


def ask(connection: http.client.HTTPSConnection, method: str, path: str, body: str | None = None) -> tuple[int, Any, dict[str, str]]:
    connection.request(method, path, body=body, headers={"Authorization": "Bearer secret", "Content-Type": "application/apply-patch+yaml"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), dict(answer.getheaders())


def test_the_kubeconfig_has_the_same_context_user_and_namespace(proxy: ClusterProxy) -> None:
    written = yaml.safe_load(proxy.kubeconfig.read_text())
    assert written["current-context"] == "arn:aws:eks:x:cluster/y"
    assert written["contexts"][0]["context"]["namespace"] == "shop"
    assert written["users"][0]["user"] == {"token": "secret"}
    assert proxy.kubeconfig.stat().st_mode & 0o077 == 0


def test_a_context_that_is_not_there_is_told(behind: StandIn) -> None:
    with pytest.raises(ValueError, match="'other'"):
        ClusterProxy(behind.kubeconfig, context="other")


def test_what_is_asked_and_answered_passes_as_it_is(proxy: ClusterProxy, behind: StandIn) -> None:
    path = f"{PODS}/a%2Fb?fieldManager=x%20y&dryRun="
    with closing(connected(proxy)) as connection:
        status, answer, headers = ask(connection, "PATCH", path, "größe")
        assert (status, answer["body"], headers["Audit-Id"]) == (201, "größe", "x")
        assert answer["headers"]["HTTP_AUTHORIZATION"] == "Bearer secret"
        assert ask(connection, "GET", "/version")[0] == 201  # over the same connection
    assert behind.asked == [f"PATCH {path}", "GET /version"]
    first, second = proxy.calls()
    assert (first["operation"], first["status"], second["operation"]) == ("patch pods", 201, "get /version")


def test_a_watch_has_each_event_at_once(proxy: ClusterProxy, behind: StandIn) -> None:
    with closing(connected(proxy)) as connection:
        connection.request("GET", f"{PODS}?watch=true")
        behind.events.put(b'{"type":"ADDED"}\n')
        answer = connection.getresponse()
        assert answer.readline() == b'{"type":"ADDED"}\n'
        behind.events.put(b'{"type":"MODIFIED"}\n')
        assert answer.readline() == b'{"type":"MODIFIED"}\n'
        behind.events.put(b"")
        assert answer.read() == b""


def test_an_upgraded_connection_is_carried_byte_by_byte(proxy: ClusterProxy) -> None:
    with closing(connected(proxy)) as connection:
        connection.request("POST", f"{PODS}/web/exec", headers={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Protocol": "v4"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Upgrade")) == (101, "websocket")
        assert connection.sock is not None
        connection.sock.sendall(b"a" * 300_000)
        received = b""
        while len(received) < 300_008:
            received += answer.fp.read1() if answer.fp.peek() else b""
        assert received == b"welcome " + b"A" * 300_000


def test_a_throttled_call_is_told_when_to_come_again_and_not_passed_on(proxy: ClusterProxy, behind: StandIn) -> None:
    rule = proxy.fault("throttle", operation="create *", every=2, count=None)
    with closing(connected(proxy)) as connection:
        statuses = [ask(connection, "POST", PODS, "{}")[0] for _ in range(4)] + [ask(connection, "GET", PODS)[0]]
        proxy.fault("throttle")
        status, answer, headers = ask(connection, "GET", PODS)
    assert statuses == [429, 201, 429, 201, 201]
    assert (rule.hits, len(behind.asked)) == (2, 3)
    assert (status, headers["Retry-After"], answer["kind"], answer["reason"]) == (429, "1", "Status", "TooManyRequests")
    assert answer["details"] == {"retryAfterSeconds": 1}


def test_an_error_is_a_status_in_the_rules_words(proxy: ClusterProxy) -> None:
    proxy.fault("error", service="core", status=409, code="Conflict", message="the object has been modified")
    with closing(connected(proxy)) as connection:
        status, answer, _ = ask(connection, "PUT", f"{PODS}/web", "{}")
    assert (status, answer["code"], answer["reason"], answer["message"]) == (409, 409, "Conflict", "the object has been modified")


def test_a_dropped_call_never_arrives_and_a_lost_answer_does(proxy: ClusterProxy, behind: StandIn) -> None:
    for kind, arrived in (("drop", 0), ("lose-answer", 1)):
        proxy.fault(kind)
        with closing(connected(proxy)) as connection, pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
            ask(connection, "POST", PODS, "{}")
        assert len(behind.asked) == arrived
    assert [entry["fault"] for entry in proxy.calls()] == ["drop", "lose-answer"]


def test_a_slow_call_is_answered_later(proxy: ClusterProxy) -> None:
    proxy.fault("slow", seconds=0.3)
    began = time.monotonic()
    with closing(connected(proxy)) as connection:
        assert ask(connection, "GET", PODS)[0] == 201
    assert time.monotonic() - began > 0.3


def test_a_held_call_comes_once_its_rule_is_gone(proxy: ClusterProxy, behind: StandIn) -> None:
    rule = proxy.fault("hold")
    answers: list[int] = []

    def late() -> None:
        with closing(connected(proxy)) as connection:
            answers.append(ask(connection, "PATCH", f"{PODS}/a", "{}")[0])

    asking = threading.Thread(target=late)
    asking.start()
    while not rule.hits:
        time.sleep(0.01)
    with closing(connected(proxy)) as connection:
        assert ask(connection, "GET", "/version")[0] == 201
    assert behind.asked == ["GET /version"]
    proxy.clear()
    asking.join()
    assert (behind.asked[-1], answers) == (f"PATCH {PODS}/a", [201])


def test_faults_and_journal_can_be_cleared(proxy: ClusterProxy) -> None:
    proxy.fault("drop", count=None)
    with closing(connected(proxy)) as connection, pytest.raises((OSError, http.client.HTTPException)):
        ask(connection, "GET", PODS)
    proxy.clear()
    assert proxy.calls() == []
    with closing(connected(proxy)) as connection:
        assert ask(connection, "GET", PODS)[0] == 201


def test_an_api_server_that_is_not_there_ends_the_connection(proxy: ClusterProxy, behind: StandIn) -> None:
    behind.close()
    with closing(connected(proxy)) as connection, pytest.raises((OSError, http.client.HTTPException)):
        ask(connection, "GET", PODS)
