"""A model behind a plain web address: an archive. HTTP has no listings, so a directory can't be had this way."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from deployer.artifacts import archives, cache
from deployer.artifacts.transfer import downloading
from deployer.artifacts.uri import ModelUri, candidate_name
from deployer.errors import ModelInvalid, ModelNotFound, PermissionDenied, TargetUnavailable
from deployer.events import Report

_TIMEOUT = httpx.Timeout(60, connect=10)


def fetch(uri: ModelUri, report: Report) -> Path:
    """The directory of the unpacked archive. The server's ETag or date says whether the cache has it already; without these it's fetched.

    Raises:
        ModelNotFound, PermissionDenied, TargetUnavailable: what the server answers.
        ModelInvalid: a web page, or anything else that is no archive.
        MachineFault: the disk is full.
    """
    name = candidate_name(uri.text)
    with (
        _errors(uri),
        httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client,
        client.stream("GET", uri.text, headers={"Accept-Encoding": "identity"}) as response,
    ):
        _refuse(uri, response)
        if mark := response.headers.get("etag") or response.headers.get("last-modified"):

            def make(directory: Path) -> None:
                with _spooled(response, uri, report) as (archive, _):
                    archives.unpack(archive, directory, uri.public)

            return cache.kept(name, [uri.public, mark, response.headers.get("content-length")], make)
        with _spooled(response, uri, report) as (archive, digest):
            return cache.kept(name, digest, lambda directory: archives.unpack(archive, directory, uri.public))


def _refuse(uri: ModelUri, response: httpx.Response) -> None:
    status = response.status_code
    if status in {404, 410}:
        raise ModelNotFound(f"there is nothing at {uri.public}", why=f"the server answers {status}")
    if status in {401, 403, 407}:
        raise PermissionDenied(
            f"{uri.public} may not be read", why=f"the server answers {status}", advice="look at the address; a presigned one expires"
        )
    if status != 200:
        raise TargetUnavailable(f"{uri.public} could not be fetched", why=f"the server answers {status}", advice="run the command again later")
    if response.headers.get("content-type", "").partition(";")[0].strip() in {"text/html", "application/xhtml+xml"}:
        raise ModelInvalid(
            f"{uri.public} is a web page or a listing, not an archive of a model",
            advice="name a .tar.gz or .zip of the model directory; a directory can be had from s3:, gs:, abfss: or a registry",
        )


@contextmanager
def _spooled(response: httpx.Response, uri: ModelUri, report: Report) -> Iterator[tuple[IO[bytes], str]]:
    """The body in a file beside the cache, for as long as the block runs, and its SHA-256. The file has no name: a kill leaves nothing."""
    spools = cache.prepared()
    length = response.headers.get("content-length")
    digest, done = hashlib.sha256(), 0
    with tempfile.TemporaryFile(dir=spools) as spool:
        with downloading(report, uri.public) as progressed:
            for chunk in response.iter_raw(1 << 20):
                spool.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progressed(done, int(length) if length else None)
        spool.seek(0)
        yield spool, digest.hexdigest()


@contextmanager
def _errors(uri: ModelUri) -> Iterator[None]:
    try:
        with cache.machine_faults():
            yield
    except httpx.InvalidURL as error:
        raise ModelNotFound(f"{uri.public} is no address", why=str(error)) from error
    except httpx.HTTPError as error:
        raise TargetUnavailable(
            f"{uri.public} does not answer, or not to the end", why=str(error) or type(error).__name__, advice="run the command again later"
        ) from error
