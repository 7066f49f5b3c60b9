"""A deployment's objects in S3: its claim, its records, what lies below its prefix and what was never finished."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deployer.core.state import Record
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import Home


def read(cloud: Aws, bucket: str, key: str) -> bytes | None:
    """An object's bytes, or None where there is none; the body is read under the retry policy too."""
    found = read_version(cloud, bucket, key)
    return None if found is None else found[0]


def read_version(cloud: Aws, bucket: str, key: str) -> tuple[bytes, str] | None:
    """The same with the version (ETag), which changes with the bytes."""

    def whole() -> tuple[bytes, str]:
        answer = cloud.connection.client("s3").get_object(Bucket=bucket, Key=key)
        return bytes(answer["Body"].read()), str(answer["ETag"])

    try:
        return cloud.connection.attempt(whole, "s3 GetObject")
    except Absent:
        return None


def write(cloud: Aws, home: Home, key: str, body: bytes, kms_key: str | None) -> str:
    """A small object of ours, encrypted by the deployment's key, the claim read just before; its version."""
    where = {"Bucket": home.bucket, "Key": key, "ContentType": "application/json"}
    return str(cloud.change("s3", "put_object", **where, Body=body, **encryption(kms_key))["ETag"])


def encryption(kms_key: str | None) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}


def read_record(cloud: Aws, home: Home, generation: str, version: str = "") -> Record | None:
    """A generation's record, or None; one that can't be read counts as none, and is swept as any leftover. A known version isn't read again."""
    key, learnt = home.record(generation), cloud.connection.learnt
    if (home.bucket, key, version) not in learnt:
        found = read_version(cloud, home.bucket, key)
        if found is None:
            return None
        body, version = found
        learnt[home.bucket, key, version] = parse_record(body)
    known: Record | None = learnt[home.bucket, key, version]
    return known


def parse_record(body: bytes) -> Record | None:
    try:
        return Record.from_json(body)
    except (ValueError, KeyError, TypeError):
        return None


def read_records(cloud: Aws, places: Iterable[tuple[Home, str, str]]) -> list[Record | None]:
    """Many records at once, in the order asked for: each by its deployment's home, its generation and its version as a listing has it."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda place: read_record(cloud, *place), places))


def write_record(cloud: Aws, home: Home, record: Record) -> None:
    key = home.record(record.generation)
    body = record.to_json().encode()
    version = write(cloud, home, key, body, key_of(record))
    cloud.connection.learnt[home.bucket, key, version] = parse_record(body)


def key_of(record: Record) -> str | None:
    """The KMS key of a generation, which encrypts its data, its record and what is written for it."""
    key: str | None = record.options.get("kms_key")
    return key


def keys(cloud: Aws, home: Home, prefix: str = "") -> dict[str, str]:
    """All keys below the deployment's prefix and the version (ETag) of each; none where the bucket isn't there."""
    try:
        found = cloud.pages("s3", "list_objects_v2", "Contents", Bucket=home.bucket, Prefix=home.prefix + prefix)
        return {each["Key"]: each.get("ETag", "") for each in found}
    except Absent:
        return {}


def uploads(cloud: Aws, home: Home, prefix: str = "") -> list[tuple[str, str]]:
    """Key and id of the uploads below the prefix that were never finished: they cost, and no listing of objects shows them."""
    try:
        found = cloud.pages("s3", "list_multipart_uploads", "Uploads", Bucket=home.bucket, Prefix=home.prefix + prefix)
        return [(upload["Key"], upload["UploadId"]) for upload in found]
    except Absent:
        return []


def abort(cloud: Aws, bucket: str, key: str, upload: str) -> None:
    cloud.find("s3", "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)


def remove(cloud: Aws, home: Home, names: Iterable[str]) -> None:
    """Remove objects, a thousand a call; those that aren't there are no matter."""
    todo = sorted(names)
    for start in range(0, len(todo), 1000):
        objects = [{"Key": key} for key in todo[start : start + 1000]]
        answer: Mapping[str, Any] = cloud.change("s3", "delete_objects", Bucket=home.bucket, Delete={"Objects": objects, "Quiet": True})
        for error in answer.get("Errors") or ():
            # The batch answers 200 even where single keys were refused: ask for this one alone, so that its error is told as any other.
            cloud.change("s3", "delete_object", Bucket=home.bucket, Key=error["Key"])


def read_document(cloud: Aws, home: Home, key: str) -> dict[str, Any] | None:
    body = read(cloud, home.bucket, key)
    return None if body is None else dict(json.loads(body))
