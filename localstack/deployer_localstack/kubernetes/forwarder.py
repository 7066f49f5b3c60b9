"""Calls passed on to the API server: answers come back piece by piece, and a connection that is upgraded is carried byte by byte."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from deployer_localstack.http.server import DropConnection, Environ, StartResponse
from deployer_localstack.http.tunnel import Tunnel
from deployer_localstack.kubernetes.kubeconfig import ApiServer

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"})
_PIECE = 64 * 1024


class Forwarder:
    """Passes requests on, each over a connection of its own."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def answer(self, environ: Environ, body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        """What the API server says.

        Raises:
            DropConnection: it ended the connection, or can't be reached.
        """
        upgraded = "HTTP_UPGRADE" in environ
        connection = _Connection(self._server)
        try:
            connection.request(environ["REQUEST_METHOD"], environ["RAW_URI"], body or None, _headers(environ, body, upgraded=upgraded))
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise DropConnection from None
        switches = response.status == 101
        headers = [(name, value) for name, value in response.getheaders() if switches or name.lower() not in _HOP_BY_HOP]
        start_response(f"{response.status} {response.reason}", headers)
        if switches:
            assert connection.sock is not None
            reader, response.fp = response.fp, None  # type: ignore[assignment]  # a response that is collected closes it
            return Tunnel(connection.sock, reader)
        return _pieces(connection, response)


class _Connection(http.client.HTTPSConnection):
    """To the API server, under the name that its certificate has."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server.host, server.port, context=server.tls)
        self._tls, self._server_name = server.tls, server.server_name

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(None)  # a watch is silent for as long as nothing happens
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._server_name)


def _headers(environ: Environ, body: bytes, *, upgraded: bool) -> Mapping[str, str]:
    headers = {key.removeprefix("HTTP_").replace("_", "-").title(): value for key, value in environ.items() if key.startswith("HTTP_")}
    kept = {name: value for name, value in headers.items() if upgraded or name.lower() not in _HOP_BY_HOP}
    if kind := environ.get("CONTENT_TYPE"):
        kept["Content-Type"] = kind
    if body or environ["REQUEST_METHOD"] in {"POST", "PUT", "PATCH"}:
        kept["Content-Length"] = str(len(body))
    # The codings that http.client would ask for by itself.
    return {"Accept-Encoding": "identity", **kept}


def _pieces(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes; ends early where the API server does."""
    try:
        with suppress(ValueError):  # read1 of what has no body and is closed already
            while piece := response.read1(_PIECE):
                yield piece
    except (OSError, http.client.HTTPException):
        raise DropConnection from None
    finally:
        connection.close()
