"""A model into S3: in parts, several at a time, from a stream that is never held whole; what is there already is not sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any

from deployer.errors import DeployerError
from deployer.models.content import ModelFile, unreadable
from deployer.state import Digest
from deployer_targets.sagemaker import store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import ROOT, Home, marker

PART = 5 << 20
"""Bytes of a part: S3's least, unless the whole would need more parts than S3's ten thousand."""
MAX_PARTS = 9_000
IN_FLIGHT = 4
"""Parts at once, 21 MB: all of them being sent, or one being filled."""
WORTH_LOOKING = 16 << 20
"""From this size on, another deployment's copy of the same model is looked for before sending."""
MAX_COPY = 5 << 30

DIGEST = "deployer-model"
"""The metadata key that holds the model's digest."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a model's data goes: the key of its tar.gz, or of a folder (ending in a slash) of its files."""

    home: Home
    key: str
    model: Digest
    kms_key: str | None = None

    @property
    def proof(self) -> str:
        """The object whose being there says that all is there."""
        return marker(self.key) if self.key.endswith("/") else self.key

    @property
    def extra(self) -> dict[str, Any]:
        return {"Metadata": {DIGEST: self.model}, **store.encryption(self.kms_key)}


def is_there(cloud: Aws, to: Destination) -> bool:
    """Whether the whole model is there: uploads become visible at once or not at all."""
    found = cloud.find("s3", "head_object", Bucket=to.home.bucket, Key=to.proof)
    return found is not None and found.get("Metadata", {}).get(DIGEST) == to.model


def copied(cloud: Aws, to: Destination, size: int) -> str | None:
    """Copy the model inside S3 from another deployment that has it; whose, or None where nobody does."""
    if not size >= WORTH_LOOKING or to.key.endswith("/"):
        return None
    tail = to.key.removeprefix(to.home.prefix)
    for page in cloud.pages("s3", "list_objects_v2", "Contents", Bucket=to.home.bucket, Prefix=ROOT):
        if page["Key"].endswith("/" + tail) and page["Size"] <= MAX_COPY:
            source = {"Bucket": to.home.bucket, "Key": page["Key"]}
            with suppress(Absent):
                cloud.call("s3", "copy_object", Bucket=to.home.bucket, Key=to.key, CopySource=source, MetadataDirective="REPLACE", **to.extra)
                return str(page["Key"].split("/")[1])
    return None


def send_tar(cloud: Aws, to: Destination, chunks: Iterable[bytes], estimate: int, progress: Progress) -> int:
    """Send a stream as one object; its size in bytes. Nothing of it is left where it doesn't succeed, unless this process is killed."""
    from deployer.models.package import readable

    stream, part = readable(chunks), bytearray(max(PART, -(-estimate // MAX_PARTS)))
    if _fill(part, stream):
        return _Multipart(cloud, to, progress).send(part, stream)
    cloud.call("s3", "put_object", Bucket=to.home.bucket, Key=to.key, Body=part, **to.extra)
    progress(len(part))
    return len(part)


def send_files(cloud: Aws, to: Destination, files: Iterable[ModelFile], progress: Progress) -> None:
    """Send files as they are, below the folder: small ones at once, large ones each in parts. `seal` says then that all are there."""
    counter = _Counter(progress)
    todo = list(files)

    def one(file: ModelFile) -> None:
        sent = [0]

        def told(done: int) -> None:
            counter.add(done - sent[0])
            sent[0] = done

        send_tar(cloud, replace(to, key=to.key + file.path), _read(file), file.size, told)

    for file in todo:
        if file.size >= PART:
            one(file)
    with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="upload") as pool:
        for done in [pool.submit(one, file) for file in todo if file.size < PART]:
            done.result()


def seal(cloud: Aws, to: Destination) -> None:
    """Write the object that says that a folder's files are all there."""
    cloud.call("s3", "put_object", Bucket=to.home.bucket, Key=to.proof, Body=b"{}", **to.extra)


class _Multipart:
    """One multipart upload, aborted where it fails."""

    def __init__(self, cloud: Aws, to: Destination, progress: Progress) -> None:
        self._cloud, self._to, self._counter = cloud, to, _Counter(progress)
        self._place = {"Bucket": to.home.bucket, "Key": to.key}

    def send(self, first: bytearray, rest: BufferedReader) -> int:
        upload = self._cloud.call("s3", "create_multipart_upload", **self._place, **self._to.extra)["UploadId"]
        try:
            etags = self._send_all(upload, first, rest)
            done = {"Parts": [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]}
            self._complete(upload, done)
        except BaseException:
            with suppress(DeployerError):
                store.abort(self._cloud, self._to.home.bucket, self._to.key, upload)
            raise
        return self._counter.total

    def _complete(self, upload: str, done: dict[str, Any]) -> None:
        try:
            self._cloud.call("s3", "complete_multipart_upload", **self._place, UploadId=upload, MultipartUpload=done)
        except Absent:
            # The answer to the first try may have been lost: then the upload is gone because it became the object.
            found = self._cloud.find("s3", "head_object", **self._place)
            if found is None or found.get("Metadata", {}).get(DIGEST) != self._to.model:
                raise

    def _send_all(self, upload: str, first: bytearray, rest: BufferedReader) -> dict[int, str]:
        """Few buffers, filled again and again: parts that are made anew leave a heap in pieces, of twice the size."""
        etags: dict[int, str] = {}
        pending: set[Future[bytearray]] = set()
        idle = [bytearray(len(first)) for _ in range(IN_FLIGHT - 1)]

        def one(number: int, part: bytearray) -> bytearray:
            answer = self._cloud.call("s3", "upload_part", **self._place, UploadId=upload, PartNumber=number, Body=part)
            etags[number] = answer["ETag"]
            self._counter.add(len(part))
            return part

        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="upload") as pool:
            part, number = first, 1
            while part:
                pending.add(pool.submit(one, number, part))
                if not idle:
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    idle.extend(each.result() for each in finished)
                part, number = idle.pop(), number + 1
                _fill(part, rest)
            for each in pending:
                each.result()
        return etags


class _Counter:
    """Bytes done, told from many threads in order."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock, self.total = progress, threading.Lock(), 0

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
            self._progress(self.total)


def _fill(part: bytearray, stream: BufferedReader) -> bool:
    """Fill a buffer from a stream; where that ends before, the buffer is cut to what there was, and the answer is no."""
    filled = stream.readinto(part)
    if filled == len(part):
        return True
    del part[filled:]
    return False


def _read(file: ModelFile) -> Iterator[bytes]:
    try:
        with file.source.open("rb", buffering=0) as handle:
            while chunk := handle.read(1 << 20):
                yield chunk
    except OSError as error:
        raise unreadable(file.source, error) from error
