"""HTTP/1.1 as it comes in: the head of a request, and a body in chunks; strict, because what two parsers read differently is an attack.

HttpError are what RFC 9112 lets a server refuse: line feeds without carriage returns, folded headers, spaces before the colon, two lengths, a
length beside chunks, other codings than chunked, control characters. Bytes in, values out: it knows no socket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Callable, NamedTuple, Optional
from urllib.parse import unquote

_MAX_HEADERS = 100
_MAX_CHUNK_LINE = 256  # extensions included, which mean nothing to us
_MAX_TRAILERS = 8192

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]{1,16384}) HTTP/([0-9])\.([0-9])")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "expect"})


class HttpError(Exception):
    """A request that breaks HTTP's rules; nothing after it on its connection can be trusted."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Head(NamedTuple):
    """The first line and the headers of a request, understood."""

    method: str
    target: str
    """As it came: printable ASCII."""
    path: str
    """Decoded, without the query."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case; those that came several times are joined by commas."""
    length: int
    """Bytes of the body; 0 where none is announced, -1 where it comes in chunks."""
    keep_alive: bool
    expects: bool
    """Whether the client waits for 100 Continue before it sends the body."""
    chunks: bool
    """Whether the client understands an answer in chunks (HTTP/1.1)."""


def parse_head(raw: bytes) -> Head:
    """Read a head.

    Args:
        raw: From the first byte of the request line to the last before the empty line, which is left out.

    Raises:
        HttpError: It breaks a rule; the message says which.
    """
    if _FORBIDDEN.search(raw):
        raise HttpError(400, "the request's head holds a control character, or a line that doesn't end in CR LF")
    first, *lines = raw.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise HttpError(400, "the request's first line is not METHOD TARGET HTTP/1.1")
    method, target, major, minor = line.groups()
    if major != b"1":
        raise HttpError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    headers = _headers(lines)
    new = minor != b"0"
    if new and "host" not in headers:
        raise HttpError(400, "the request has no Host header")
    path, query = _path(method, str(target, "ascii"))
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return Head(
        method=str(method, "ascii"),
        target=str(target, "ascii"),
        path=path,
        query=query,
        headers=headers,
        length=_length(headers, new),
        keep_alive="close" not in options if new else "keep-alive" in options,
        expects=new and _expects(headers),
        chunks=new,
    )


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > _MAX_HEADERS:
        raise HttpError(431, f"the request has {len(lines)} headers; {_MAX_HEADERS} are taken")
    headers: dict[str, str] = {}
    for line in lines:
        raw, colon, value = line.partition(b":")
        if not colon or _NAME.fullmatch(raw) is None:  # a folded line begins with a space, which no name has
            raise HttpError(400, "a header is not NAME: VALUE on one line, without a space before the colon")
        name, text = str(raw, "ascii").lower(), str(value.strip(b" \t"), "latin-1")
        if name in headers:
            if name in _SINGLE:
                raise HttpError(400, f"the header {name} is there more than once")
            text = f"{headers[name]}, {text}"
        headers[name] = text
    return headers


def _path(method: bytes, target: str) -> tuple[str, str]:
    if target[0] != "/":
        scheme, separator, rest = target.partition("://")
        if target == "*" and method == b"OPTIONS":
            return target, ""
        if not separator or scheme.lower() not in {"http", "https"} or not rest:
            raise HttpError(400, "the request's target is neither a path nor a URL")
        _, slash, rest = rest.partition("/")
        target = slash + rest or "/"
    path, _, query = target.partition("#")[0].partition("?")
    return unquote(path) if "%" in path else path, query


def _length(headers: Mapping[str, str], new: bool) -> int:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise HttpError(400, "the request has both a Content-Length and a Transfer-Encoding")
        if not new:
            raise HttpError(400, "HTTP/1.0 has no Transfer-Encoding")
        if coding.lower() != "chunked":
            raise HttpError(501, "no other Transfer-Encoding than chunked is understood")
        return -1
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise HttpError(400, "the Content-Length is not a whole number")
    return int(length)


def _expects(headers: Mapping[str, str]) -> bool:
    expected = headers.get("expect")
    if expected is None:
        return False
    if expected.lower() != "100-continue":
        raise HttpError(417, "no other expectation than 100-continue can be met")
    return True


class Chunks:
    """A body that comes in chunks. `feed` takes bytes as they come, and gives those of the body."""

    def __init__(self) -> None:
        self.done = False
        self._state: Callable[[bytearray, list[bytes]], bool] = self._size_line
        self._left = 0
        self._trailers = 0

    def feed(self, buffer: bytearray) -> bytes:
        """The body's bytes at the buffer's front, which are taken out of it; what follows the last chunk stays.

        Raises:
            HttpError: A size that is none, a chunk longer than it said, a trailer that is no header.
        """
        found: list[bytes] = []
        while not self.done and buffer and self._state(buffer, found):
            pass
        return b"".join(found)

    def _size_line(self, buffer: bytearray, _: list[bytes]) -> bool:
        line = _line(buffer, _MAX_CHUNK_LINE)
        if line is None:
            return False
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise HttpError(400, "a chunk's size is not a hexadecimal number")
        self._left = int(size.group(1), 16)
        self._state = self._data if self._left else self._trailer
        return True

    def _data(self, buffer: bytearray, found: list[bytes]) -> bool:
        if self._left:
            piece = bytes(buffer[: self._left])
            del buffer[: len(piece)]
            self._left -= len(piece)
            found.append(piece)
            return True
        if len(buffer) < 2 and b"\r\n".startswith(buffer):
            return False
        if buffer[:2] != b"\r\n":
            raise HttpError(400, "a chunk is longer than its size")
        del buffer[:2]
        self._state = self._size_line
        return True

    def _trailer(self, buffer: bytearray, _: list[bytes]) -> bool:
        line = _line(buffer, _MAX_TRAILERS)
        if line is None:
            return False
        self._trailers += len(line)
        if not line:
            self.done = True
        elif self._trailers > _MAX_TRAILERS:
            raise HttpError(431, f"the trailers are longer than {_MAX_TRAILERS} bytes")
        elif _FORBIDDEN.search(line) or _NAME.fullmatch(line.partition(b":")[0]) is None or b":" not in line:
            raise HttpError(400, "a trailer is not NAME: VALUE on one line")
        return True


def _line(buffer: bytearray, limit: int) -> Optional[bytes]:
    """The line at the buffer's front, taken out of it; None where it isn't whole yet."""
    end = buffer.find(b"\n", 0, limit + 2)
    if end < 0:
        if len(buffer) > limit:
            raise HttpError(400, f"a line of the chunked body is longer than {limit} bytes")
        return None
    line = bytes(buffer[:end])
    if not line.endswith(b"\r"):
        raise HttpError(400, "a line of the chunked body doesn't end in CR LF")
    del buffer[: end + 1]
    return line[:-1]
