"""Large objects through S3 without a copy of them in memory: parts go to files, a completed upload is its parts in a row.

moto reads every body whole, joins the parts in memory, and reads the whole object for each range that is asked for: a gigabyte took it
3.5 gigabytes and minutes to download. Everything but the bytes stays moto's.
"""

from __future__ import annotations

import copy
import hashlib
import io
import os
import tempfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast
from xml.sax.saxutils import escape

import moto.backends
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeMultipart, S3Backend
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.control.calls import Call
from deployer_localstack.http.server import Application, Environ, StartResponse

_PIECE = 1024 * 1024
_CRC32 = "x-amz-checksum-crc32"
_LEFT_TO_MOTO = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE")


def install() -> None:
    """Teach moto's multipart uploads to join their parts without reading them. Once per process."""
    joined: Any = FakeMultipart
    joined.complete = _complete
    original: Callable[..., Any] = S3Backend.complete_multipart_upload

    def complete_multipart_upload(self: Any, bucket_name: str, multipart_id: str, body: Any) -> Any:
        key = original(self, bucket_name, multipart_id, body)
        if key is not None:
            key._value_buffer = JoinedParts(key.multipart.used)
            key.contentsize = sum(size for _, size in key.multipart.used)
        return key

    backend: Any = S3Backend
    backend.complete_multipart_upload = complete_multipart_upload
    backend.copy_object = _copy_object(backend.copy_object)


class S3Bodies:
    """Answers UploadPart, ListParts and GetObject, and looks at what completes an upload; None leaves a call to moto."""

    def __init__(self, directory: Path, moto_application: Application) -> None:
        self._directory = directory
        self._moto = moto_application

    def answer(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        if call.operation == "UploadPart":
            return self._upload_part(call, place, environ, start_response)
        if call.operation == "ListParts":
            return self._list_parts(call, place, start_response)
        if call.operation == "CompleteMultipartUpload":
            self._refuse_missing_checksums(call, place, environ)
        if call.operation == "GetObject" and environ["REQUEST_METHOD"] == "GET":
            return self._get_object(call, place, environ, start_response)
        return None

    def _upload_part(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        if not call.parameters["partNumber"].isdigit() or self._bucket(call, place) is None:
            return None
        upload = self._upload(call, place)
        self._directory.mkdir(parents=True, exist_ok=True)
        file = cast("IO[bytes]", tempfile.TemporaryFile(dir=self._directory))  # noqa: SIM115
        md5, crc, size = hashlib.md5(usedforsecurity=False), 0, 0
        trailers: dict[str, str] = {}
        for piece in _decoded(environ, trailers):
            file.write(piece)
            md5.update(piece)
            crc = zlib.crc32(piece, crc)
            size += len(piece)
        if size < int(environ.get("CONTENT_LENGTH") or 0) and not trailers and "HTTP_X_AMZ_DECODED_CONTENT_LENGTH" not in environ:
            raise AwsError("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header", 400)
        checksum = _in_base64(crc)
        claimed = environ.get("HTTP_X_AMZ_CHECKSUM_CRC32") or trailers.get(_CRC32)
        if claimed and claimed != checksum:
            raise AwsError("BadDigest", "The CRC32 you specified did not match the calculated checksum.", 400)
        part = upload.set_part(int(call.parameters["partNumber"]), b"")
        part._value_buffer, part.contentsize, part._etag, part.crc32 = file, size, md5.hexdigest(), crc
        headers = [("ETag", f'"{md5.hexdigest()}"'), ("Content-Length", "0")]
        if claimed:
            headers.append((_CRC32, checksum))
        if upload.sse_encryption:
            headers.append(("x-amz-server-side-encryption", upload.sse_encryption))
        if upload.kms_key_id:
            headers.append(("x-amz-server-side-encryption-aws-kms-key-id", upload.kms_key_id))
        start_response("200 OK", headers)
        return [b""]

    def _list_parts(self, call: Call, place: AccountRegion, start_response: StartResponse) -> Iterable[bytes] | None:
        """With the parts' checksums, which moto leaves out, a thousand a page."""
        after, most = call.parameters.get("part-number-marker", "0"), call.parameters.get("max-parts", "1000")
        if not (after.isdigit() and most.isdigit()) or self._bucket(call, place) is None:
            return None
        upload = self._upload(call, place)
        numbers = sorted(number for number in upload.parts if number > int(after))
        page = numbers[: min(int(most), 1000)]
        body = _parts_document(call, upload, page, truncated=len(page) < len(numbers)).encode()
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    def _refuse_missing_checksums(self, call: Call, place: AccountRegion, environ: Environ) -> None:
        """An upload created with a checksum algorithm is completed with the checksum of each part."""
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        bucket = self._bucket(call, place)
        upload = bucket.multiparts.get(call.parameters["uploadId"]) if bucket else None
        metadata = upload.metadata if upload else {}
        algorithm = metadata.get("x-amz-checksum-algorithm") if metadata.get("x-amz-checksum-type", "COMPOSITE") == "COMPOSITE" else None
        for number, part in enumerate(body.split(b"</Part>")[:-1], 1):
            if algorithm and f"<Checksum{algorithm}>".encode() not in part:
                message = (
                    f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the checksum for each part. "
                    f"It was missing for part {number} in the request."
                )
                raise AwsError("InvalidRequest", message, 400)

    def _upload(self, call: Call, place: AccountRegion) -> Any:
        upload = self._bucket(call, place).multiparts.get(call.parameters["uploadId"])
        if upload is None:
            message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
            raise AwsError("NoSuchUpload", message, 404)
        return upload

    @staticmethod
    def _bucket(call: Call, place: AccountRegion) -> Any:
        """The bucket; None where there's none, which moto has the words for."""
        get_backend: Any = moto.backends.get_backend
        try:
            return get_backend("s3")[place.account][place.partition].get_bucket(call.parameters["Bucket"])
        except Exception:
            return None

    def _get_object(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        if environ.get("QUERY_STRING", "") not in {"", "x-id=GetObject"} or any(name in environ for name in _LEFT_TO_MOTO):
            return None
        get_backend: Any = moto.backends.get_backend
        try:
            key = get_backend("s3")[place.account][place.partition].get_object(call.parameters["Bucket"], call.parameters["Key"])
        except Exception:
            return None
        wanted = _range(environ.get("HTTP_RANGE", ""), int(key.contentsize)) if key is not None and key.contentsize >= _PIECE else None
        if wanted is None or environ.get("HTTP_IF_MATCH", key.etag) != key.etag:
            return None
        start, end = wanted
        whole = end - start + 1 == key.contentsize
        head = self._head(environ, leave_out=() if whole else ("x-amz-checksum-",))
        if head is None:
            return None
        # A checksum of checksums says of how many: clients don't hold it against the bytes then.
        parts = f"-{key.checksum_parts}" if key.checksum_type == "COMPOSITE" else ""
        headers = [(name, value + parts if name.lower() == _CRC32 else value) for name, value in head]
        headers.append(("Content-Length", str(end - start + 1)))
        if "HTTP_RANGE" in environ:
            headers.append(("Content-Range", f"bytes {start}-{end}/{key.contentsize}"))
        start_response("206 Partial Content" if "HTTP_RANGE" in environ else "200 OK", headers)
        return _read(key, start, end)

    def _head(self, environ: Environ, leave_out: Sequence[str]) -> list[tuple[str, str]] | None:
        """moto's headers for the object; None where it refuses."""
        asked = {**environ, "REQUEST_METHOD": "HEAD"}
        asked.pop("HTTP_RANGE", None)
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        for _ in self._moto(asked, lambda status, headers, exc_info=None: answered.append((status, headers))):
            pass
        status, headers = answered[0]
        left_out = ("content-length", "connection", "date", *leave_out)
        return [each for each in headers if not each[0].lower().startswith(left_out)] if status.startswith("200") else None


class JoinedParts:
    """Files read as one, as far as moto's keys need a file. A copy of an object shares them; they close when nobody has them any more."""

    def __init__(self, parts: Sequence[tuple[IO[bytes], int]]) -> None:
        self.parts = tuple(parts)
        self._position = 0
        for file, _ in self.parts:
            file.flush()

    def seek(self, offset: int) -> int:
        self._position = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        wanted = sum(length for _, length in self.parts) if size < 0 else size
        pieces = []
        start = 0
        for file, length in self.parts:
            inside = self._position - start
            if wanted > 0 and 0 <= inside < length:
                piece = os.pread(file.fileno(), min(wanted, length - inside), inside)
                pieces.append(piece)
                self._position += len(piece)
                wanted -= len(piece)
            start += length
        return b"".join(pieces)

    def close(self) -> None:
        self.parts = ()


def _copy_object(original: Callable[..., None]) -> Callable[..., None]:
    """moto's copy, without reading what is copied, and without a checksum of parts that the copy hasn't got."""

    def copy_object(self: Any, src_key: Any, dest_bucket_name: str, dest_key_name: str, *more: Any, **options: Any) -> None:
        source = src_key._value_buffer
        if not isinstance(source, JoinedParts):
            original(self, src_key, dest_bucket_name, dest_key_name, *more, **options)
            return
        empty = copy.copy(src_key)
        empty._value_buffer, empty.multipart, empty.checksum_value = io.BytesIO(), None, None
        original(self, empty, dest_bucket_name, dest_key_name, *more, **options)
        made = self.get_object(dest_bucket_name, dest_key_name)
        content, md5 = JoinedParts(source.parts), hashlib.md5(usedforsecurity=False)
        while piece := content.read(_PIECE):
            md5.update(piece)
        made._value_buffer, made.contentsize, made._etag = content, src_key.contentsize, md5.hexdigest()

    return copy_object


def _parts_document(call: Call, upload: Any, numbers: Sequence[int], *, truncated: bool) -> str:
    """ListParts' answer."""
    parts = "".join(_part_element(number, upload.parts[number]) for number in numbers)
    algorithm = upload.metadata.get("x-amz-checksum-algorithm")
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Bucket>{escape(call.parameters['Bucket'])}</Bucket><Key>{escape(call.parameters['Key'])}</Key><UploadId>{escape(upload.id)}</UploadId>"
        + (f"<ChecksumAlgorithm>{escape(algorithm)}</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>" if algorithm else "")
        + f"<StorageClass>STANDARD</StorageClass><NextPartNumberMarker>{numbers[-1] if numbers else 0}</NextPartNumberMarker>"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{parts}</ListPartsResult>"
    )


def _part_element(number: int, part: Any) -> str:
    checksum = f"<ChecksumCRC32>{_in_base64(part.crc32)}</ChecksumCRC32>" if getattr(part, "crc32", None) is not None else ""
    return (
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{part.last_modified_ISO8601}</LastModified>"
        f"<ETag>{escape(part.etag)}</ETag><Size>{part.contentsize}</Size>{checksum}</Part>"
    )


def _complete(self: Any, body: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int] | None]:
    """moto's rules for completing, without the bytes: `used` are the files that make the object, with their sizes."""
    used: list[Any] = []
    for number, etag in body:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        if used and used[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        used.append(part)
    if not used:
        raise MalformedXML
    # moto closes the parts' files when it removes the upload; they are the object's from now on.
    self.used = [(part._value_buffer, part.contentsize) for part in used]
    for part in used:
        part._value_buffer = io.BytesIO()
    md5 = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in used), usedforsecurity=False)
    return b"", f"{md5.hexdigest()}-{len(used)}", _composite_checksum(self.metadata, used)


def _composite_checksum(metadata: Any, used: Sequence[Any]) -> tuple[str, str, int] | None:
    """The checksum of the parts' checksums, for CRC32, which is boto3's; others are left out."""
    if metadata.get("x-amz-checksum-algorithm") != "CRC32" or metadata.get("x-amz-checksum-type", "COMPOSITE") != "COMPOSITE":
        return None
    if not all(hasattr(part, "crc32") for part in used):
        return None
    crc = zlib.crc32(b"".join(part.crc32.to_bytes(4, "big") for part in used))
    return "COMPOSITE", _in_base64(crc), len(used)


def _in_base64(crc: int) -> str:
    return b64encode(crc.to_bytes(4, "big")).decode()


def _decoded(environ: Environ, trailers: dict[str, str]) -> Iterator[bytes]:
    """The body's content; the aws-chunked encoding is taken off, and its trailers are noted."""
    stream = environ["wsgi.input"]
    if not environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING-"):
        while piece := stream.read(_PIECE):
            yield piece
        return
    while size := int(stream.readline().split(b";")[0].strip() or b"0", 16):
        left = size
        while left:
            piece = stream.read(min(_PIECE, left))
            if not piece:
                raise AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)
            left -= len(piece)
            yield piece
        stream.readline()
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        trailers[name.lower()] = value.strip()


def _range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None for what moto should judge."""
    if not header:
        return 0, size - 1
    first, dash, last = header.removeprefix("bytes=").partition("-")
    if not dash or not first.isdigit() or not (last.isdigit() or not last):
        return None
    start, end = int(first), min(int(last or size - 1), size - 1)
    return (start, end) if start <= end else None


def _read(key: Any, start: int, end: int) -> Iterator[bytes]:
    while start <= end:
        with key.lock:
            key._value_buffer.seek(start)
            piece = key._value_buffer.read(min(_PIECE, end - start + 1))
        if not piece:
            return
        start += len(piece)
        yield piece
