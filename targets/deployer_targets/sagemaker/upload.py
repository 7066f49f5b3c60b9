"""A model into S3: in parts, several at a time, from a stream that is never held whole; what is there already is not sent again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from deployer.artifacts.content import ModelFile, unreadable
from deployer.artifacts.package import Chunk, Filler
from deployer.core.ledger import ROOT
from deployer_targets.sagemaker import multipart
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.destination import ModelDestination, is_there
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.multipart import Counter, Progress

PART = 5 << 20
"""Bytes of a part: S3's least, unless the whole would need more parts than S3's ten thousand."""
MAX_PARTS = 9_000
WORTH_LOOKING = 16 << 20
"""From this size on, another deployment's copy of the same model is looked for before sending."""
MAX_COPY = 5 << 30
SMALL_AT_ONCE = 4


def copied(cloud: Aws, to: ModelDestination, size: int) -> str | None:
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


def send_tar(cloud: Aws, to: ModelDestination, chunks: Iterable[Chunk], estimate: int, progress: Progress) -> int:
    """Send a stream as one object; its size in bytes. Seen by others once it is whole; goes on where an earlier run was stopped."""
    filler, part = Filler(chunks), bytearray(max(PART, -(-estimate // MAX_PARTS)))
    if filler.fill(part):
        return multipart.send(cloud, to, part, filler, progress)
    cloud.call("s3", "put_object", Bucket=to.home.bucket, Key=to.key, Body=part, **to.extra)
    progress(len(part))
    return len(part)


def send_files(cloud: Aws, to: ModelDestination, files: Iterable[ModelFile], progress: Progress) -> None:
    """Send files as they are, below the folder: small ones at once, large ones in parts unless they are there. `seal` says then that all are."""
    counter = Counter(progress)
    todo = list(files)

    def one(file: ModelFile) -> None:
        sent = [0]

        def told(done: int) -> None:
            counter.add(done - sent[0])
            sent[0] = done

        send_tar(cloud, replace(to, key=to.key + file.path), _read(file), file.size, told)

    for file in todo:
        if file.size >= PART and is_there(cloud, replace(to, key=to.key + file.path)):
            counter.add(file.size)
        elif file.size >= PART:
            one(file)
    with ThreadPoolExecutor(SMALL_AT_ONCE, thread_name_prefix="upload") as pool:
        for done in [pool.submit(one, file) for file in todo if file.size < PART]:
            done.result()


def seal(cloud: Aws, to: ModelDestination) -> None:
    """Write the object that says that a folder's files are all there."""
    cloud.call("s3", "put_object", Bucket=to.home.bucket, Key=to.proof, Body=b"{}", **to.extra)


def _read(file: ModelFile) -> Iterator[bytes]:
    try:
        with file.source.open("rb", buffering=0) as handle:
            while chunk := handle.read(1 << 20):
                yield chunk
    except OSError as error:
        raise unreadable(file.source, error) from error
