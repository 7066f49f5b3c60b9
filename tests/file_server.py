"""A web server of files that misbehaves as it is told to."""

from __future__ import annotations

import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote


class Server:
    """Hands out bytes by path, and misbehaves as told.

    Attributes:
        cut: for how many answers, by path, the connection breaks in the middle.
        answers: statuses that are given first, by path.
        moved: where a path has gone.
        ranges: whether it knows them.
        asked: how often each path was asked for; `sent`: how many bytes were; `bodies`: what came.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.cut, self.answers = files, Counter[str](), dict[str, list[int]]()
        self.asked, self.sent, self.ranges, self.seen = Counter[str](), 0, True, list[dict[str, str]]()
        self.url, self.bodies, self.moved = "", list[str](), dict[str, str]()


@contextmanager
def serving(files: dict[str, bytes], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server of files below /churn."""
    server = Server({f"/{web_path(path)}": body for path, body in files.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked[self.path] += 1
            server.seen.append(dict(self.headers))
            if server.answers.get(self.path):
                self.send_error(server.answers[self.path].pop(0))
                return
            if self.path in server.moved:
                self.send_response(302)
                self.send_header("Location", server.moved[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = server.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if server.ranges else None
            begin, end = (int(asked[1]), int(asked[2] or len(body) - 1) + 1) if asked else (0, len(body))
            if begin and begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
            self.send_header("Content-Length", str(end - begin))
            self.end_headers()
            part = body[begin:end]
            if server.cut[self.path]:
                server.cut[self.path] -= 1
                part = part[: len(part) // 2]
            self.wfile.write(part)
            server.sent += len(part)

        def do_POST(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as listening:
        if tls:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"{'https' if tls else 'http'}://{host}:{listening.server_port}"
        yield server
        listening.shutdown()
        thread.join()


def web_path(path: str) -> str:
    return quote(f"churn/{path}")
