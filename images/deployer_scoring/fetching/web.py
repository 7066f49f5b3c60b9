"""One file over HTTP, gone on with where a connection broke."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Callable, NamedTuple, Optional, cast

from deployer_scoring.errors import LoadError
from deployer_scoring.masking import without_secrets

_PIECE = 1 << 20
_TIMEOUT = 30
_FAILURES = 7  # one after the other without a byte between: a minute and a half, in which a mesh's proxy in the same pod has come up
_LONGEST_WAIT = 30.0
_LATER = (408, 425, 429)
_NOT_THAT_FAR = 416


class FileAddress(NamedTuple):
    """Where a file is, and what is said when it is asked for."""

    url: str
    headers: Mapping[str, str] = {}


Ask = Callable[[], FileAddress]
"""Gives an address that is valid now: signatures and tokens end."""
Failed = Callable[[urllib.error.HTTPError], bool]
"""Told of a refusal; whether another address should be asked for at once."""


class _Same(urllib.request.HTTPRedirectHandler):
    """Credentials are for the host that they were given for."""

    def redirect_request(self, req: Any, *rest: Any) -> Any:
        return None if req.has_header("Authorization") else super().redirect_request(req, *rest)


opener = urllib.request.build_opener(_Same)
"""Proxies are those of the environment."""


class NoRanges(LoadError):
    """The server gives a file as a whole alone."""


class FilePart(NamedTuple):
    """A part of a file."""

    begin: int
    total: int
    """Bytes of the whole file."""


def no_more(_: urllib.error.HTTPError) -> bool:
    """No other address is known."""
    return False


def download(ask: Ask, target: Path, size: Optional[int], name: str, failed: Failed = no_more, *, part: Optional[FilePart] = None) -> None:
    """Have a file at a path; what is there of it already isn't asked for again.

    Args:
        size: Bytes that it has; None where only the server knows.
        name: For people.
        part: Which part of what the server has; None for all of it.

    Raises:
        LoadError: The server refuses it, or doesn't answer, or has another one.
        NoRanges: It gives no parts.
    """
    failures, words, mark = 0, "", ""
    while failures < _FAILURES:
        if failures:
            time.sleep(min(2.0 ** (failures - 1), _LONGEST_WAIT))
        before = target.stat().st_size if target.exists() else 0
        if size is not None and before >= size:
            return
        try:
            size, mark = _more(ask(), target, before, size, mark, part=part)
            if size is None or target.stat().st_size >= size:
                return
            words = "the connection was cut"
        except urllib.error.HTTPError as refusal:
            refusal.close()
            words = f"it answers {refusal.code} {refusal.reason}"
            if refusal.code == _NOT_THAT_FAR:
                target.unlink()
            elif not failed(refusal) and refusal.code < 500 and refusal.code not in _LATER:
                break
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            words = str(cause) or type(error).__name__
            if isinstance(cause, ssl.SSLCertVerificationError):
                words += "; SSL_CERT_FILE names the certificates that are trusted"
                break
        moved = target.exists() and target.stat().st_size > before
        failures = 1 if moved else failures + 1
    raise LoadError(f"{name} can't be fetched: {words}")


def _more(address: FileAddress, target: Path, before: int, size: Optional[int], mark: str, *, part: Optional[FilePart]) -> tuple[Optional[int], str]:
    """Ask for what is missing, and write what comes; how large it is, and what tells it from another version."""
    headers = {**address.headers, "Accept-Encoding": "identity", "User-Agent": "deployer-scoring"}
    begin = before + (part.begin if part else 0)
    if before or part:
        headers["Range"] = f"bytes={begin}-" + (str(part.begin + (size or 0) - 1) if part else "")
        if mark:
            headers["If-Range"] = mark
    with opener.open(urllib.request.Request(address.url, headers=headers), timeout=_TIMEOUT) as answer:
        goes_on = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {begin}-")
        there, wanted = _whole(answer, goes_on=goes_on), part.total if part else size
        if None not in (there, wanted) and there != wanted:
            raise LoadError(f"{without_secrets(address.url)} is not the file that was deployed: it has {there} bytes, not {wanted}")
        if part and not goes_on:
            raise NoRanges(f"{without_secrets(address.url)} is given as a whole alone")
        size, before = there if size is None else size, before if goes_on else 0
        tag = str(answer.headers.get("ETag", ""))
        _copy(answer, target, "ab" if goes_on else "wb", None if size is None else size - before + 1)
        return size, "" if tag.startswith("W/") else tag


def _copy(answer: Any, target: Path, mode: str, most: Optional[int]) -> None:
    left = most
    with _kept(target, mode) as file:
        while left is None or left > 0:
            piece = answer.read(_PIECE if left is None else min(_PIECE, left))
            if not piece:
                return
            try:
                file.write(piece)
            except OSError as error:
                raise _full(target, error) from error
            left = None if left is None else left - len(piece)


def _kept(target: Path, mode: str) -> IO[bytes]:
    try:
        return cast("IO[bytes]", target.open(mode, buffering=0))
    except OSError as error:
        raise _full(target, error) from error


def _full(target: Path, error: OSError) -> LoadError:
    """A disk that is full is no server's fault, and stays so."""
    return LoadError(f"the model can't be kept in {target.parent}: {error.strerror or error}")


def _whole(answer: Any, *, goes_on: bool) -> Optional[int]:
    """How many bytes the file has, as its server says."""
    found = re.search(r"/(\d+)$", str(answer.headers.get("Content-Range", ""))) if goes_on else None
    said = found.group(1) if found else answer.headers.get("Content-Length") if not goes_on else None
    return int(said) if said else None


def fetched(request: urllib.request.Request, timeout: float = 10) -> bytes:
    """A small document.

    Raises:
        OSError: It can't be had.
    """
    try:
        with opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read(1 << 20))
    except http.client.HTTPException as error:
        raise OSError(f"{without_secrets(request.full_url)}: {error}") from error
