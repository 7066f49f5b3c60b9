"""Large objects: parallel parts, ranges, checksums, and what is served is what was sent."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .conftest import User

MEGABYTE = 1024 * 1024


@pytest.fixture
def bucket(user: User, name: str) -> str:
    user.s3.create_bucket(Bucket=name)
    return name


def memory(user: User) -> int:
    """The daemon's peak, in bytes."""
    lines = Path(f"/proc/{user.status.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_a_large_object_comes_back_as_it_went_without_filling_memory(user: User, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    content = os.urandom(MEGABYTE) * 96
    source.write_bytes(content)
    before = memory(user)
    user.s3.upload_file(str(source), bucket, "big")
    user.s3.download_file(bucket, "big", str(tmp_path / "back"))
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert memory(user) - before < 80 * MEGABYTE
    head = user.s3.head_object(Bucket=bucket, Key="big")
    assert head["ContentLength"] == len(content)
    assert head["ETag"].endswith('-12"')
    assert user.s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == len(content)
    assert not user.s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    part = user.s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={8 * MEGABYTE - 5}-{8 * MEGABYTE + 4}")
    assert part["ContentRange"] == f"bytes {8 * MEGABYTE - 5}-{8 * MEGABYTE + 4}/{len(content)}"
    assert part["Body"].read() == content[8 * MEGABYTE - 5 : 8 * MEGABYTE + 5]
    assert user.s3.get_object(Bucket=bucket, Key="big", Range="bytes=-3")["Body"].read() == content[-3:]
    user.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "big"})
    assert user.s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == content
    whole = user.s3.get_object(Bucket=bucket, Key="big")
    assert whole["ChecksumCRC32"].endswith("-12")
    assert hashlib.sha256(whole["Body"].read()).digest() == hashlib.sha256(content).digest()


def test_metadata_of_a_large_object_is_kept(user: User, bucket: str) -> None:
    body = io.BytesIO(b"x" * (9 * MEGABYTE))
    extra = {"Metadata": {"digest": "sha256-1"}, "ContentType": "application/gzip", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/k"}
    user.s3.upload_fileobj(body, bucket, "k", ExtraArgs=extra)
    answer = user.s3.get_object(Bucket=bucket, Key="k")
    assert answer["Metadata"] == {"digest": "sha256-1"}
    assert answer["ContentType"] == "application/gzip"
    assert answer["ServerSideEncryption"] == "aws:kms"
    assert answer["ContentLength"] == 9 * MEGABYTE


def test_a_part_whose_checksum_does_not_match_is_refused(user: User, bucket: str) -> None:
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    with pytest.raises(ClientError) as caught:
        user.s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 100, ChecksumCRC32="AAAAAA==")
    assert caught.value.response["Error"]["Code"] == "BadDigest"


def test_parts_are_listed_with_their_checksums_page_by_page(user: User, bucket: str) -> None:
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key="a&b", ChecksumAlgorithm="CRC32")["UploadId"]
    sent = [user.s3.upload_part(Bucket=bucket, Key="a&b", UploadId=upload, PartNumber=number, Body=b"x" * number) for number in (1, 3, 4)]
    pages = list(user.s3.get_paginator("list_parts").paginate(Bucket=bucket, Key="a&b", UploadId=upload, PaginationConfig={"PageSize": 2}))
    listed = [part for page in pages for part in page["Parts"]]
    assert [len(page["Parts"]) for page in pages] == [2, 1]
    assert pages[0]["ChecksumAlgorithm"] == "CRC32"
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 1), (3, 3), (4, 4)]
    assert [(part["ETag"], part["ChecksumCRC32"]) for part in listed] == [(answer["ETag"], answer["ChecksumCRC32"]) for answer in sent]


def test_an_upload_with_checksums_is_completed_with_the_checksum_of_each_part(user: User, bucket: str) -> None:
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    sent = user.s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    part = {"PartNumber": 1, "ETag": sent["ETag"]}
    with pytest.raises(ClientError, match=r"created using a crc32 checksum.*missing for part 1"):
        user.s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": [part]})
    whole = {"Parts": [{**part, "ChecksumCRC32": sent["ChecksumCRC32"]}]}
    user.s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=whole)
    assert user.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_parts_that_are_too_small_or_unknown_are_refused(user: User, bucket: str) -> None:
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": user.s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=b"x")["ETag"]}
        for number in (1, 2)
    ]
    for wrong, code in ((parts, "EntityTooSmall"), ([{**parts[0], "ETag": '"none"'}], "InvalidPart")):
        with pytest.raises(ClientError) as caught:
            user.s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": wrong})
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="NoSuchUpload"):
        user.s3.upload_part(Bucket=bucket, Key="k", UploadId="none", PartNumber=1, Body=b"x")
