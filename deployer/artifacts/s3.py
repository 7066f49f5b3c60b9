"""S3 by boto3, where that is installed: endpoint, region, profile and credentials are those of everything else that is AWS's in this shell."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from deployer.artifacts.content import ignored
from deployer.artifacts.transfer import Arrived, RemoteFile

_CONNECTIONS = 20


class Bucket:
    """What lies at or below a key of a bucket. The client finds the bucket's region by itself."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._bucket, self._key = client, bucket, key

    def listed(self) -> list[RemoteFile]:
        """All files below the key, sorted; one with an empty path where an object itself is called so."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key)
        found = {str(each["Key"]): each for page in pages for each in page.get("Contents", ())}
        below = f"{self._key}/" if self._key else ""
        names = [name for name in sorted(found) if name.startswith(below) and not name.endswith("/") and not ignored(name[len(below) :])]
        if not names and self._key in found:
            return [RemoteFile("", int(found[self._key]["Size"]), str(found[self._key]["ETag"]))]
        return [RemoteFile(name[len(below) :], int(found[name]["Size"]), str(found[name]["ETag"])) for name in names]

    def get(self, file: RemoteFile, target: Path, arrived: Arrived) -> None:
        """Fetch one file, telling of its bytes as they arrive."""
        key = "/".join(filter(None, (self._key, file.path)))
        self._client.download_file(self._bucket, key, str(target), Callback=arrived)


def opened(path: str, endpoint_url: str | None) -> Bucket | None:
    """The place of a path, BUCKET/KEY; None where boto3 isn't installed."""
    if importlib.util.find_spec("boto3") is None:
        return None
    # By name: the core stands on no cloud's client, and this one is loaded by those alone who name a bucket.
    boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    bucket, _, key = path.partition("/")
    options = config.Config(max_pool_connections=_CONNECTIONS, s3={"addressing_style": "path"} if endpoint_url else None)
    return Bucket(boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=options), bucket, key.strip("/"))
