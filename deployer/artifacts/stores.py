"""Object stores, by boto3 or fsspec: a model is the files below a prefix, or one archive."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from deployer.artifacts import archives, cache, s3
from deployer.artifacts.content import ignored
from deployer.artifacts.transfer import Arrived, RemoteFile, download
from deployer.artifacts.uri import ModelUri, candidate_name
from deployer.errors import ConfigInvalid, CredentialsInvalid, DeployerError, ExtraMissing, ModelNotFound, PermissionDenied, TargetUnavailable
from deployer.events import Report

_AZURE = frozenset({"wasb", "wasbs", "abfs", "abfss", "az"})
# Whatever a store tells that changes with the content: S3, Google, Azure, and any file system with times.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "generation", "LastModified", "last_modified", "mtime", "updated")
_ABSENT = ("NoSuchBucket", "NoSuchKey", "404")  # as botocore writes them
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "ProfileNotFound",
    "PartialCredentialsError",
    "TokenRetrievalError",
    "SSOTokenLoadError",
    "CredentialRetrievalError",
}
_NO_ANSWER = {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "ClientConnectorError"}
_WRONG_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed"}


def fetch(uri: ModelUri, report: Report) -> Path:
    """The model's directory on this machine, fetched where the cache doesn't hold what is in the store now.

    Raises:
        ExtraMissing: the client of this store isn't installed.
        ModelNotFound, PermissionDenied, CredentialsInvalid, TargetUnavailable: what the store says.
        ModelInvalid: one file, which is no archive.
        MachineFault: the disk is full.
    """
    with errors(uri):
        store = opened(uri)
        listed = store.listed()
        if not listed:
            raise ModelNotFound(f"there is nothing at {uri.public}", advice="look at the bucket and the path; names are told apart by case")
        key = [uri.public.rstrip("/"), [[file.path, file.size, file.mark] for file in listed]]
        single = listed[0] if [file.path for file in listed] == [""] else None

        def make(directory: Path) -> None:
            if single is None:
                download(listed, store.get, directory, uri.public, report)
                return
            with tempfile.TemporaryDirectory(dir=directory) as spool:
                whole = [replace(single, path="archive")]
                download(whole, lambda _, target, arrived: store.get(single, target, arrived), Path(spool), uri.public, report)
                with (Path(spool) / "archive").open("rb") as archive:
                    archives.unpack(archive, directory, uri.public)

        return cache.kept(candidate_name(uri.text), key, make)


def location(uri: ModelUri) -> tuple[str, str, Mapping[str, str]]:
    """The protocol, path and options by which fsspec knows a URI.

    Azure's `wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH` and `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH` are two
    addresses of one thing: the container is the first part of the path, the account an option.
    """
    parts = urlsplit(uri.text)
    if uri.scheme in _AZURE:
        container, _, host = parts.netloc.rpartition("@")
        if not container:
            return "abfs", f"{parts.netloc}{parts.path}".rstrip("/"), {}
        return "abfs", f"{container}{parts.path}".rstrip("/"), {"account_name": host.partition(".")[0]}
    protocol = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}.get(uri.scheme, uri.scheme)
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") if protocol == "s3" else None
    if "@" in parts.netloc:
        advice = f"write {uri.scheme}://BUCKET/PATH; credentials are the environment's or a profile's"
        raise ConfigInvalid(f"{uri.text} has credentials in it, which no bucket's address takes", advice=advice)
    if not parts.netloc:
        raise ConfigInvalid(f"{uri.text} names no bucket", advice=f"write {uri.scheme}://BUCKET/PATH")
    return protocol, f"{parts.netloc}{parts.path}".rstrip("/"), {"endpoint_url": endpoint} if endpoint else {}


class ArtifactStore(Protocol):
    """Where a URI leads."""

    def listed(self) -> list[RemoteFile]:
        """All files at or below it, sorted; one file alone has an empty relative path."""
        ...

    def get(self, file: RemoteFile, target: Path, arrived: Arrived) -> None:
        """Fetch one file, telling of its bytes as they arrive."""
        ...


def opened(uri: ModelUri) -> ArtifactStore:
    """What reads a URI: boto3 for S3 where it is installed, else fsspec.

    Raises:
        ExtraMissing: the client of this store isn't installed.
    """
    protocol, path, options = location(uri)
    if protocol == "s3" and (bucket := s3.opened(path, options.get("endpoint_url"))):
        return bucket
    try:
        import fsspec

        # A listing of an earlier call in this process would hide what changed since.
        return _FileSystem(fsspec.filesystem(protocol, use_listings_cache=False, **options), path)
    except ImportError as error:
        raise ExtraMissing.named("sagemaker" if protocol == "s3" else "remote", uri.public) from error


class _FileSystem:
    """A file system of fsspec."""

    def __init__(self, system: Any, path: str) -> None:
        self._system, self._path = system, path

    def listed(self) -> list[RemoteFile]:
        found: Mapping[str, Mapping[str, Any]] = self._system.find(self._path, detail=True)
        files = []
        for name, info in sorted(found.items()):
            relative = name.strip("/").removeprefix(self._path.strip("/")).lstrip("/")
            if not relative.endswith("/") and not ignored(relative):
                mark = next((str(info[key]) for key in _MARKS if info.get(key)), "")
                files.append(RemoteFile(relative, int(info.get("size") or 0), mark))
        return files

    def get(self, file: RemoteFile, target: Path, arrived: Arrived) -> None:
        from fsspec.callbacks import Callback

        known = 0

        def hook(size: int | None, value: int, **_: object) -> None:
            nonlocal known
            known, more = value, value - known
            arrived(more)

        self._system.get_file(f"{self._path}/{file.path}".rstrip("/"), str(target), callback=Callback(hooks={"arrived": hook}))


@contextmanager
def errors(uri: ModelUri) -> Iterator[None]:
    """Turn what the store's client raises into our errors; its classes are known by name, for none of them is imported here."""
    try:
        with cache.machine_faults():
            yield
    except DeployerError:
        raise
    except ImportError as error:
        raise ExtraMissing.named("remote", uri.public) from error
    except FileNotFoundError as error:
        raise ModelNotFound(f"there is nothing at {uri.public}", why=str(error), advice="look at the bucket and the path") from error
    except Exception as error:
        raise _translated(uri, error) from error


def _translated(uri: ModelUri, error: Exception) -> DeployerError:
    chain = [error, *_causes(error)]
    names = {type(each).__name__ for each in chain}
    text = " ".join(str(error).split())
    if any(f"({code})" in text for code in _ABSENT):
        return ModelNotFound(f"there is nothing at {uri.public}", why=text, advice="look at the bucket and the path")
    if names & _NO_CREDENTIALS or any(code in text for code in _WRONG_CREDENTIALS):
        return CredentialsInvalid(
            f"{uri.public} can't be read with these credentials", why=text, advice="look at the cloud's credentials of this shell"
        )
    if isinstance(error, PermissionError) or "Forbidden" in text or "AccessDenied" in text:
        return PermissionDenied(f"{uri.public} may not be read with these credentials", why=text, advice="ask for read and list permission on it")
    if names & _NO_ANSWER or isinstance(error, (OSError, TimeoutError)):
        return TargetUnavailable(
            f"the store of {uri.public} does not answer", why=text, advice="look at the network and the endpoint, and run the command again"
        )
    return DeployerError(f"{uri.public} could not be fetched", why=f"{type(error).__name__}: {text}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__ or error.__context__) is not None:
        yield cause
        error = cause
