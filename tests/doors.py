"""Doors before a registry: they pass on what is asked, answer in its place, or lose it."""

from __future__ import annotations

import http.client
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Before(http.server.BaseHTTPRequestHandler):
    """Stands before a registry; `do` says what becomes of each request."""

    protocol_version = "HTTP/1.1"
    registry = ""

    def do(self, body: bytes) -> None:
        raise NotImplementedError

    def each(self) -> None:
        self.do(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = each  # noqa: N815  the base class's names

    def pass_on(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.registry)
        kept = ("Accept", "Content-Type", "Content-Range", "Host")
        connection.request(self.command, self.path, body, {name: value for name, value in self.headers.items() if name in kept})
        said = connection.getresponse()
        self.answer(said.status, dict(said.headers), said.read())

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "date", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def standing(handler: type[Before], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
