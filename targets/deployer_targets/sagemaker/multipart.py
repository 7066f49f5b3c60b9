"""One object in parts, several at a time, from a stream that is never held whole.

An upload that a killed run left, or one that lost its network, goes on: the key names the content and how it is encrypted, so what is left
there is a beginning of the same, and a part that is there with the same checksum is not sent again. Each part's CRC-32 is taken here, with the
processor's own instructions, sent along, listed by S3, and proved by S3 at the end.
"""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from isal import isal_zlib

from deployer.artifacts.package import Filler
from deployer.errors import Conflict, CredentialsInvalid, DeployerError, PermissionDenied, TargetUnavailable
from deployer_targets.sagemaker import store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.destination import ModelDestination, is_there
from deployer_targets.sagemaker.faults import Absent

IN_FLIGHT = 4
"""Parts at once: all of them being sent, or one being filled."""

Progress = Callable[[int], None]


class Counter:
    """Bytes done, told from many threads in order."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock, self.total = progress, threading.Lock(), 0

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
            self._progress(self.total)


def send(cloud: Aws, to: ModelDestination, first: bytearray, rest: Filler, progress: Progress) -> int:
    """Send a stream whose first part is filled already; its size in bytes.

    What was sent stays where the outcome isn't known, or the deployment is another run's by now: who goes on finds it. Anything else that
    goes wrong takes it back.
    """
    upload = _Upload(cloud, to, progress)
    try:
        upload.begin()
        upload.send_all(first, rest)
        upload.complete()
    except Absent:
        cloud.check()  # who has claimed the name meanwhile may have removed it
        raise
    except (TargetUnavailable, Conflict):
        raise
    except BaseException:
        with suppress(DeployerError):
            upload.abort()
        raise
    return upload.size


class _Upload:
    """One multipart upload: its id once it began, the parts that an earlier run has sent as S3 lists them, and what completing it takes."""

    def __init__(self, cloud: Aws, to: ModelDestination, progress: Progress) -> None:
        self._cloud, self._to, self._counter = cloud, to, Counter(progress)
        self._place = {"Bucket": to.home.bucket, "Key": to.key}
        self._id = ""
        self._there: Mapping[int, Mapping[str, Any]] = {}
        self._sent: dict[int, dict[str, Any]] = {}

    @property
    def size(self) -> int:
        return self._counter.total

    def begin(self) -> None:
        """Go on with what is left there, or begin anew."""
        left = store.uploads(self._cloud, self._to.home, self._to.key.removeprefix(self._to.home.prefix))
        for identifier in [upload for key, upload in left if key == self._to.key]:
            if self._id or not self._goes_on(identifier):
                self._cloud.check()
                store.abort(self._cloud, self._to.home.bucket, self._to.key, identifier)
        if not self._id:
            begun = self._cloud.call("s3", "create_multipart_upload", **self._place, **self._to.extra, ChecksumAlgorithm="CRC32")
            self._id = begun["UploadId"]

    def _goes_on(self, identifier: str) -> bool:
        self._cloud.check()
        try:
            there = {part["PartNumber"]: part for part in self._cloud.pages("s3", "list_parts", "Parts", **self._place, UploadId=identifier)}
        except Absent:
            return False
        except PermissionDenied as refusal:
            if isinstance(refusal, CredentialsInvalid):
                raise
            return False  # a policy without s3:ListMultipartUploadParts: then it is sent whole
        if there:
            self._id, self._there = identifier, there
        return bool(there)

    def send_all(self, first: bytearray, rest: Filler) -> None:
        """Few buffers, filled again and again: parts that are made anew leave a heap in pieces, of twice the size."""
        pending: set[Future[bytearray]] = set()
        idle = [bytearray(len(first)) for _ in range(IN_FLIGHT - 1)]
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="upload") as pool:
            part, number = first, 1
            while part:
                pending.add(pool.submit(self._one, number, part))
                if not idle:
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    idle.extend(each.result() for each in finished)
                part, number = idle.pop(), number + 1
                rest.fill(part)
            for each in pending:
                each.result()

    def _one(self, number: int, part: bytearray) -> bytearray:
        there = self._there.get(number)
        if there and _fits(there, part):
            self._sent[number] = {name: there[name] for name in ("ETag", "ChecksumCRC32") if there.get(name)}
        else:
            checksum = _checksum(part)
            sent = self._cloud.call("s3", "upload_part", **self._place, UploadId=self._id, PartNumber=number, Body=part, ChecksumCRC32=checksum)
            self._sent[number] = {"ETag": sent["ETag"], "ChecksumCRC32": checksum}
        self._counter.add(len(part))
        return part

    def complete(self) -> None:
        parts = [{"PartNumber": number, **self._sent[number]} for number in sorted(self._sent)]
        try:
            self._cloud.call("s3", "complete_multipart_upload", **self._place, UploadId=self._id, MultipartUpload={"Parts": parts})
        except Absent:
            # The answer to the first try may have been lost, or another run came to the end first: then the upload became the object.
            if not is_there(self._cloud, self._to):
                raise

    def abort(self) -> None:
        if self._id:
            store.abort(self._cloud, self._to.home.bucket, self._to.key, self._id)


def _fits(there: Mapping[str, Any], part: bytearray) -> bool:
    """Whether a part is there as it would be sent: by the checksum, or where a store doesn't list any, by the MD5 that its ETag is."""
    if there["Size"] != len(part):
        return False
    if there.get("ChecksumCRC32"):
        return bool(there["ChecksumCRC32"] == _checksum(part))
    return bool(there["ETag"].strip('"') == hashlib.md5(part, usedforsecurity=False).hexdigest())


def _checksum(part: bytearray) -> str:
    return b64encode(isal_zlib.crc32(part).to_bytes(4, "big")).decode()
