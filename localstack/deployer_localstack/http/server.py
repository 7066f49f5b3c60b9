"""A threaded HTTP/1.1 server for WSGI applications that keeps connections open, can drop one on purpose, and can hand one over.

Werkzeug's own closes the connection after every answer, which costs a client a new connection per call; faults need a way to
break off without an answer; and a proxy must pass on a connection that changes its protocol.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from http.server import ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput

from deployer_localstack.http.tunnel import Tunnel
from deployer_scoring.server.http.allowed_hosts import AllowedHosts

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

HEADERS = "deployer.headers"
"""In an environ: the headers as they came; WSGI itself leaves out those with "_" in their names."""

_ALLOWED = AllowedHosts()
_READ_AT_ONCE = 1024 * 1024
_DRAIN_AT_MOST = 64 * 1024 * 1024


class DropConnection(Exception):
    """Raised by an application: close the connection without a word."""


class Body(io.RawIOBase):
    """A request's body: never reads past its end, and says 100 Continue only when somebody reads."""

    def __init__(self, stream: BufferedIOBase, length: int, on_first_read: Callable[[], None] | None) -> None:
        self._stream = stream
        self.remaining = length
        self._on_first_read = on_first_read

    def readable(self) -> bool:
        return True

    def readall(self) -> bytes:
        # The inherited one reads in pieces of 8 kB.
        pieces = []
        while piece := self.read(_READ_AT_ONCE):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        if not self.remaining:
            return 0
        if self._on_first_read:
            self._on_first_read()
            self._on_first_read = None
        data = self._stream.read(min(len(buffer), self.remaining))
        self.remaining -= len(data)
        if not data:
            self.remaining = 0
        buffer[: len(data)] = data
        return len(data)


class Handler(MotoRequestHandler):
    """One connection: reads requests, runs the application, writes answers, until either side has enough."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 256 * 1024
    wbufsize = 64 * 1024
    timeout = 600
    _head_sent = False

    def setup(self) -> None:
        if self.server.ssl_context is not None:
            self.request = self.server.ssl_context.wrap_socket(self.request, server_side=True)
        super().setup()
        # An abandoned local client must not hold a thread for ever, and dead peers are noticed.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def handle_expect_100(self) -> bool:
        return True

    def _send_continue(self) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()

    def run_wsgi(self) -> None:
        environ: Environ = self.make_environ()
        environ[HEADERS] = self.headers
        expects = self.headers.get("Expect", "").lower() == "100-continue"
        body: Body | None = None
        if isinstance(environ["wsgi.input"], DechunkedInput):
            if expects:
                self._send_continue()
        else:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = Body(self.rfile, length, self._send_continue if expects else None)
            environ["wsgi.input"] = io.BufferedReader(body, _READ_AT_ONCE)
            environ["wsgi.input_terminated"] = True
        try:
            self._answer(environ)
            self._leave_clean(environ, body)
        except (DropConnection, ConnectionError, TimeoutError):
            self.close_connection = True
            self._cut()
        except Exception:
            logging.getLogger(__name__).exception("%s %s broke", self.command, self.path)
            self.close_connection = True
            self._apologise()

    def _answer(self, environ: Environ) -> None:
        self._head_sent = False
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [(status, headers)]

        headers = {name.lower(): ", ".join(self.headers.get_all(name, ())) for name in self.headers}
        if self.request_version != "HTTP/1.0":
            headers.setdefault("host", "")
        refusal = _ALLOWED.refusal(self.command, self.path, headers)
        application: Application = self.server.app if refusal is None else _refusing(refusal)
        pieces = application(environ, start_response)
        if isinstance(pieces, Tunnel):
            self._hand_over(pieces, *started[0])
            return
        try:
            chunked = False
            sent = False
            for piece in pieces:
                if not sent:
                    chunked = self._send_head(environ, *started[0])
                    sent = True
                if not piece:
                    continue
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    self.wfile.flush()
            if not sent:
                chunked = self._send_head(environ, *started[0])
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        finally:
            close = getattr(pieces, "close", None)
            if close:
                close()

    def _send_head(self, environ: Environ, status: str, headers: list[tuple[str, str]]) -> bool:
        self._head_sent = True
        code, reason = _code_and_reason(status)
        self.send_response_only(code, reason)
        names = set()
        for name, value in headers:
            names.add(name.lower())
            # moto lets every page read what it answers.
            if name.lower() != "connection" and not name.lower().startswith("access-control-"):
                self.send_header(name, value)
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        bodiless = environ["REQUEST_METHOD"] == "HEAD" or code in {204, 304}
        chunked = "content-length" not in names and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        return chunked

    def _hand_over(self, tunnel: Tunnel, status: str, headers: list[tuple[str, str]]) -> None:
        self._head_sent = self.close_connection = True
        self.send_response_only(*_code_and_reason(status))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        tunnel.carry(self.connection, self.rfile)

    def _leave_clean(self, environ: Environ, body: Body | None) -> None:
        """What the application didn't read is read away, so that the next request starts where it should."""
        if body is None:
            while environ["wsgi.input"].read(65536):
                pass
        elif body.remaining > _DRAIN_AT_MOST:
            self.close_connection = True
        else:
            while body.remaining and body.read(65536):
                pass

    def _apologise(self) -> None:
        """500, unless the answer has begun; then the connection just ends."""
        if self._head_sent:
            self._cut()
            return
        self.send_response_only(500, "Internal Server Error")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def _cut(self) -> None:
        # Closing alone may deliver an answer that is still in the buffer.
        self.wfile = io.BytesIO()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """The journal has it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The journal has it."""


class Server(ThreadingHTTPServer):
    """Serves one WSGI application on 127.0.0.1, a thread per connection."""

    daemon_threads = True
    request_queue_size = 1024
    multithread = True
    multiprocess = False
    passthrough_errors = True
    _server_version = "deployer-localstack"

    def __init__(self, port: int, app: Application, *, tls: ssl.SSLContext | None = None) -> None:
        self.app, self.ssl_context = app, tls
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self, name: str) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=name, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError | ssl.SSLError):
            logging.getLogger(__name__).exception("a request from %s broke", client_address)


def _code_and_reason(status: str) -> tuple[int, str]:
    code, _, reason = status.partition(" ")
    return int(code), reason


def _refusing(why: str) -> Application:
    """Answers in the form that most of AWS's services have."""

    def application(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = json.dumps({"__type": "AccessDeniedException", "message": why}).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return application
