"""Request bodies that come compressed, taken apart with a bound on what comes out: a kilobyte of gzip can hold a megabyte."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from deployer_scoring.errors import InvalidInput

_GZIP = 16 + zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP}
_MEMBERS = 100  # a gzip file may be several in a row
_PIECE = 1 << 20


def decompressed(body: bytes, coding: str, limit: int) -> Iterator[bytes]:
    """The body as it was before it was compressed, in pieces small enough that who asks for them can do other things in between.

    Args:
        body: As it came, whole.
        coding: The Content-Encoding header.
        limit: How many bytes may come out.

    Raises:
        InvalidInput: With status 415 for a coding that isn't known, 413 for more bytes than the limit, else 400.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return iter((body,))
    if coding not in _CODINGS:
        raise InvalidInput(f"the Content-Encoding {coding} is not taken; send gzip, or the body as it is", status=415)
    return _inflated(body, _CODINGS[coding], limit)


def _inflated(body: bytes, window: int, limit: int) -> Iterator[bytes]:
    left, rest = limit, body
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(window)
        while not member.eof:
            try:
                piece = member.decompress(rest, min(_PIECE, left + 1))
            except zlib.error as error:
                raise InvalidInput(f"the compressed body is not valid: {error}") from error
            left -= len(piece)
            if left < 0:
                message = f"the body is more than the {limit} bytes that are taken (DEPLOYER_MAX_REQUEST_BYTES) once decompressed; send fewer rows"
                raise InvalidInput(message, status=413)
            rest = member.unconsumed_tail
            if not piece and not rest and not member.eof:
                raise InvalidInput("the compressed body ends too early")
            yield piece
        rest = member.unused_data
        if not rest:
            return
    raise InvalidInput(f"the compressed body is more than {_MEMBERS} gzip members in a row")
