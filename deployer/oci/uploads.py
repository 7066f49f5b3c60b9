"""Sending one blob. First as a whole, which every registry takes; a connection that broke once, or a proxy that takes nothing as large, gets it in
pieces, and a break costs one piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from urllib.parse import urlencode, urljoin

from deployer.errors import TargetUnavailable
from deployer.oci.client import Answer

Ask = Callable[..., Answer]
Progress = Callable[[int], None]
"""Told how many bytes have been sent so far; where some are sent again, the count goes back to what the registry has."""

PIECE = 32 * 1024 * 1024
"""Registries want at least 5 MiB."""
_READ = 1024 * 1024
_NOTHING = {"Content-Length": "0"}


class Upload:
    """One blob on its way.

    Args:
        ask: sends a request to the blob's repository.
        source: opens the content from its beginning; called again for another try.
    """

    def __init__(self, ask: Ask, digest: str, size: int, source: Callable[[], BinaryIO], progress: Progress) -> None:
        self._ask, self._digest, self._size = ask, digest, size
        self._source, self._progress = source, progress
        self._broke = False
        self._place = ""
        self._sent = 0

    def go_on(self) -> None:
        """Send it, or what is missing since the try before.

        Raises:
            TargetUnavailable: the connection broke; the next call goes on. Refused, PermissionDenied, QuotaExceeded: the registry says no.
        """
        if not self._broke:
            self._broke = True
            self._begin()
            if self._put(self._pieces(0, self._size), self._size, too_large=self._size > PIECE):
                return
        if not self._found_again():
            self._begin()
        while self._sent < self._size:
            self._send_piece()
        self._put(None, 0)

    def _begin(self) -> None:
        started = self._ask("POST", "blobs/uploads/", expect=frozenset({202}), headers=_NOTHING)
        self._place, self._sent = urljoin(started.url, started.headers["location"]), 0

    def _found_again(self) -> bool:
        """Whether the registry still has what was sent; then how much of it."""
        if not self._place or not self._sent:
            return False
        said = self._ask("GET", self._place, expect=frozenset({200, 202, 204, 400, 404, 405, 416}))
        there = re.fullmatch(r"(?:bytes=)?0-(\d+)", said.headers.get("range", ""))
        if said.status >= 400 or there is None:
            return False
        self._moved(said)
        self._sent = int(there[1]) + 1
        return True

    def _send_piece(self) -> None:
        end = min(self._sent + PIECE, self._size)
        said = self._ask(
            "PATCH",
            self._place,
            expect=frozenset({202, 404, 416}),
            headers={
                "Content-Length": str(end - self._sent),
                "Content-Range": f"{self._sent}-{end - 1}",
                "Content-Type": "application/octet-stream",
            },
            body=lambda: self._pieces(self._sent, end),
            retry=False,
        )
        if said.status != 202:
            self._place = ""
            raise TargetUnavailable("the registry has lost what was sent of a blob", advice="run the same command again")
        self._moved(said)
        self._sent = end

    def _put(self, body: Iterator[bytes] | None, length: int, *, too_large: bool = False) -> bool:
        """Whether it was taken; `too_large` lets a body be too large for what is before the registry, which pieces may not be."""
        location = self._place + ("&" if "?" in self._place else "?") + urlencode({"digest": self._digest})
        how: dict[str, Any] = {"body": lambda: body} if body is not None else {}
        headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        expect = frozenset({201, 413} if too_large else {201})
        return bool(self._ask("PUT", location, expect=expect, headers=headers, retry=False, **how).status == 201)

    def _moved(self, said: Answer) -> None:
        self._place = urljoin(said.url, said.headers.get("location") or self._place)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        with self._source() as stream:
            stream.seek(start)
            while start < end and (piece := stream.read(min(_READ, end - start))):
                yield piece
                start += len(piece)
                self._progress(start)
