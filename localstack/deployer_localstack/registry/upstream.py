"""Where the registry behind the front is. It asks for no password, so it answers below a path that only its own cloud knows."""

from __future__ import annotations

import http.client
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry on this machine, to be asked below `path`; the locations that it names are without it."""

    port: int
    path: str = field(default_factory=lambda: f"/{secrets.token_hex(16)}", repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def connect(self, timeout_seconds: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_seconds)

    def ask(self, method: str, path: str, body: bytes | None = None, media_type: str = "") -> tuple[int, bytes]:
        """Status and content of one request; `path` is what follows /v2/."""
        connection = self.connect(60)
        try:
            headers = {"Content-Type": media_type} if media_type else {}
            connection.request(method, f"{self.path}/v2/{path}", body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
