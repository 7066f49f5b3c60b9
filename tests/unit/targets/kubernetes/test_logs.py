"""Lines that are followed: a stream that breaks is begun again where it was, over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deployer_targets.kubernetes.client import Cluster, Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.logs import lines
from tests.unit.targets.kubernetes.builders import NAME
from tests.unit.targets.kubernetes.test_client import kubeconfig

PODS = {"items": [{"metadata": {"name": "churn-1"}, "status": {"phase": "Running"}}], "metadata": {}}
READ = "2026-01-01T00:00:01Z zero\n2026-01-01T00:00:01.123456789Z one\n"
STREAMS = [
    "2026-01-01T00:00:01.123456789Z one\n2026-01-01T00:00:01.5Z two\n2026-01-01T00:00:01.51Z three\n2026-01-01T00:00:01.51",
    "2026-01-01T00:00:01.123456789Z one\n2026-01-01T00:00:01.5Z two\n2026-01-01T00:00:01.51Z three\n2026-01-01T00:00:01.510000001Z four\n",
    "2026-01-01T00:00:02Z five\n",
]


@contextmanager
def serving() -> Iterator[tuple[str, list[str]]]:
    """One whose streams end in the middle; its address, and since when they were asked for."""
    since: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            stream = "follow" in query
            if stream:
                since.append(query["sinceTime"][0])
            text = STREAMS[min(len(since), len(STREAMS)) - 1] if stream else READ if "/log?" in self.path else json.dumps(PODS)
            body = text.encode()
            self.send_response(200)
            self.send_header(*(("Transfer-Encoding", "chunked") if stream else ("Content-Length", str(len(body)))))
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if stream else body)
            self.close_connection = True  # a stream without its end

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", since
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_breaks_goes_on_with_the_next_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer_targets.kubernetes.logs._AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("deployer_targets.kubernetes.logs._LOOK_SECONDS", 0.05)
    with serving() as (address, since):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "one", "one", address)))
        followed = lines(NAME, Kube(Cluster(""), KubernetesConfig()), follow=True, tail=0)
        try:
            found = [line.text for line in islice(followed, 6)]
        finally:
            followed.close()  # type: ignore[attr-defined]
    assert found == ["zero", "one", "two", "three", "four", "five"]
    assert since[:3] == ["2026-01-01T00:00:01.123456Z", "2026-01-01T00:00:01.510000000Z", "2026-01-01T00:00:01.510000001Z"]
