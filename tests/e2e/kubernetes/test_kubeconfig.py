"""A real cluster is reached as kubectl reaches it: by a plugin's token, through a proxy with a CA of its own, by several files together."""

from __future__ import annotations

import json
import os
import selectors
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deployer.core.state import DeploymentName
from deployer_targets.kubernetes import names
from tests.e2e.kubernetes.troubles import DEPLOY
from tests.kubernetes import kubectl

INSIDE = "api.inside.example:6443"
"""An address that nobody but the proxy knows."""


class Reached:
    """The parts of a kubeconfig that works, to be put together otherwise."""

    def __init__(self, namespace: str, directory: Path) -> None:
        found = kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json")
        self.cluster, self.user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        if "token" not in self.user:
            pytest.skip("the user of this cluster has no token that another kubeconfig could show")
        self.namespace, self._directory = namespace, directory

    def file(self, name: str, **parts: Any) -> str:
        """A kubeconfig with these clusters, users and contexts, each by its name."""
        path = self._directory / name
        path.touch(mode=0o600)
        context = parts.pop("current", "")
        lists = {kind: [{"name": each, kind.removesuffix("s"): value} for each, value in named.items()] for kind, named in parts.items()}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **lists, **({"current-context": context} if context else {})}))
        return str(path)

    def whole(self, *, cluster: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None) -> str:
        contexts = {"here": {"cluster": "c", "user": "u", "namespace": self.namespace}}
        return self.file("config", clusters={"c": cluster or self.cluster}, users={"u": user or self.user}, contexts=contexts, current="here")

    def listed(self, kubeconfig: str, target: str = "kubernetes", **more: str) -> list[str]:
        """The names that `deploy list` has; it has to go through."""
        environment = {**os.environ, "KUBECONFIG": kubeconfig, **more}
        done = subprocess.run([DEPLOY, "list", "-t", target, "-o", "name"], env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout.split()


@pytest.fixture
def reached(cluster: str, namespace: str, tmp_path: Path) -> Reached:
    """In a namespace with one deployment, as far as a list goes."""
    labels = names.labels(DeploymentName("there"))
    spec = {"selector": names.selector(DeploymentName("there"), "one"), "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "there", "labels": labels}, "spec": spec}
    kubectl("create", "-n", namespace, "-f", "-", given=service)
    return Reached(namespace, tmp_path)


def test_a_plugin_gives_the_token_and_is_asked_anew_where_the_cluster_takes_it_no_more(reached: Reached, tmp_path: Path) -> None:
    """It is asked once more after a 401, and never for each call."""
    asked = tmp_path / "asked"
    plugin = tmp_path / "plugin"
    tokens = ["of yesterday", reached.user["token"]]
    plugin.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib\n"
        f"asked = pathlib.Path({str(asked)!r})\n"
        "before = asked.read_text() if asked.exists() else ''\n"
        "asked.write_text(before + '+')\n"
        f"status = {{'token': {tokens!r}[min(len(before), 1)], 'expirationTimestamp': '2099-01-01T00:00:00Z'}}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}))\n"
    )
    plugin.chmod(0o755)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    assert reached.listed(reached.whole(user={"exec": command})) == ["there"]
    assert asked.read_text() == "++"


def test_a_proxy_leads_to_a_cluster_with_a_ca_of_its_own(reached: Reached) -> None:
    """Whatever NO_PROXY has, which is about a proxy of the environment's."""
    server = urlsplit(reached.cluster["server"])
    host, port = server.hostname or "", server.port or 443
    with _tunnel(host, port) as (proxy, led):
        name = "localhost" if host == "127.0.0.1" else host
        inside = {**reached.cluster, "server": f"https://{INSIDE}", "tls-server-name": name, "proxy-url": proxy}
        assert reached.listed(reached.whole(cluster=inside), NO_PROXY="*") == ["there"]
        assert set(led) == {INSIDE}


def test_several_files_are_one_kubeconfig(reached: Reached) -> None:
    """The context in one, its cluster and user in others; the first file that has a current context says which; names may hold anything."""
    context = f"arn:aws:eks:us-west-2:1:cluster/{reached.namespace}"
    first = reached.file("first", contexts={context: {"cluster": "c", "user": "u", "namespace": reached.namespace}}, current=context)
    second = reached.file("second", clusters={"c": reached.cluster}, contexts={"other": {"cluster": "none", "user": "none"}}, current="other")
    third = reached.file("third", users={"u": reached.user})
    files = ":".join([first, second, third])
    for target in ("kubernetes", f"kubernetes:/{context}", f"kubernetes:/{context}/{reached.namespace}"):
        assert reached.listed(files, target) == ["there"]


@contextmanager
def _tunnel(host: str, port: int) -> Iterator[tuple[str, list[str]]]:
    """An HTTP proxy that leads INSIDE to a server; its URL, and where it was asked to lead."""
    led: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _, where, _ = self.rfile.readline().decode().split()
            while self.rfile.readline().strip():
                pass
            led.append(where)
            if where != INSIDE:
                self.wfile.write(b"HTTP/1.1 502 no such host\r\n\r\n")
                return
            with socket.create_connection((host, port)) as there:
                self.wfile.write(b"HTTP/1.1 200 led\r\n\r\n")
                with suppress(OSError):
                    _both_ways(self.connection, there)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", led
        server.shutdown()


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in ready.select():
                assert isinstance(key.fileobj, socket.socket)
                if not (data := key.fileobj.recv(65536)):
                    return
                key.data.sendall(data)
