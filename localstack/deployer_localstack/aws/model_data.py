"""Gets a model's data out of S3 the way SageMaker does: an archive unpacked, or a prefix copied as it is."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployer_localstack.aws import ground
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import validation


@dataclass(frozen=True, slots=True)
class ModelData:
    """Where the data of a container is, and whether it's an archive or a prefix."""

    url: str
    bucket: str
    key: str
    is_prefix: bool


class ModelDataBroken(Exception):
    """The data can't be had; the text is fit for a FailureReason."""


def model_data(container: Mapping[str, Any]) -> ModelData | None:
    """The data that a ContainerDefinition names; None where it names none."""
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    url = source["S3Uri"] if source else container.get("ModelDataUrl")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme == "s3":
        bucket, key = parts.netloc, parts.path.lstrip("/")
    else:
        # https://s3.REGION.amazonaws.com/BUCKET/KEY, or the local endpoint's address
        bucket, _, key = parts.path.lstrip("/").partition("/")
    return ModelData(url, bucket, key, source is not None and source["S3DataType"] == "S3Prefix")


def refuse_inaccessible(place: AccountRegion, data: ModelData, role: str) -> None:
    """What CreateModel says where the object isn't there, or in another region."""
    region = ground.bucket_region(place, data.bucket)
    if data.is_prefix:
        found = bool(region) and bool(ground.stored_objects(place, data.bucket, data.key))
    else:
        found = bool(region) and ground.stored_object(place, data.bucket, data.key) is not None
    if not found or region != place.region:
        raise validation(
            f'Could not access model data at {data.url}. Please ensure that the role "{role}" exists and that its trust relationship '
            f'policy allows the action "sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also ensure that the role has '
            f'"s3:GetObject" permissions and that the object is located in {place.region}.'
        )


def unpack(place: AccountRegion, data: ModelData, directory: Path) -> None:
    """The data as files below `directory`, which is made anew.

    Raises:
        ModelDataBroken: it's gone, or not a tar.gz.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if data.is_prefix:
        _copy_prefix(place, data, directory)
        return
    stored = ground.stored_object(place, data.bucket, data.key)
    if stored is None:
        raise ModelDataBroken(f'Failed to download model data from URL "{data.url}". Please ensure that the object is still there.')
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Pieces(stored.pieces()), 1024 * 1024), mode="r|gz") as archive:
            archive.extractall(directory, filter="data")
    except (tarfile.TarError, OSError, EOFError) as fault:
        raise ModelDataBroken(
            f'Failed to extract model data archive from URL "{data.url}". '
            f"Please ensure that the object located at the URL is a valid tar.gz archive. ({fault})"
        ) from fault


def _copy_prefix(place: AccountRegion, data: ModelData, directory: Path) -> None:
    objects = ground.stored_objects(place, data.bucket, data.key)
    if not objects:
        raise ModelDataBroken(f'Failed to download model data from URL "{data.url}": there are no objects below it.')
    for each in objects:
        relative = each.key.removeprefix(data.key)
        if not relative or relative.endswith("/"):
            raise ModelDataBroken(f'Failed to download model data from URL "{data.url}": the object "{each.key}" names a folder.')
        path = directory / relative
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ModelDataBroken(f'Failed to download model data from URL "{data.url}": the object "{each.key}" leaves the model.')
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in each.pieces():
                file.write(piece)


class _Pieces(io.RawIOBase):
    """An object's pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count
