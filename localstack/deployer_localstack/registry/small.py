"""A small image registry: the part of the OCI distribution specification that clients use, with files below one directory.

For machines without Debian's docker-registry; it passes the same tests. It trusts its callers: the front before it asks for passwords.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from deployer_localstack.http.server import Environ, StartResponse

_ROUTE = re.compile(r"/v2/(?P<name>[a-z0-9._/-]+?)/(?P<kind>blobs/uploads|blobs|manifests|tags)/(?P<rest>[^/]*)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PIECE = 1024 * 1024


@dataclass(slots=True)
class Reply:
    """An answer: status, headers, and a body in pieces."""

    status: int
    headers: dict[str, str]
    body: Iterable[bytes] = ()


class RegistryError(Exception):
    """A refusal in the distribution specification's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def reply(self) -> Reply:
        return json_reply(self.status, {"errors": [{"code": self.code, "message": self.message, "detail": {}}]})


def json_reply(status: int, document: Any, **headers: str) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}, [body])


class SmallRegistry:
    """The registry as a WSGI application."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._repositories = directory / "repositories"
        self._uploads = directory / "uploads"
        self._lock = threading.Lock()
        self.path = ""
        """Where in its address it begins."""
        for each in (self._blobs, self._repositories, self._uploads):
            each.mkdir(parents=True, exist_ok=True)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            reply = self._route(environ)
        except RegistryError as refusal:
            reply = refusal.reply()
        reply.headers.setdefault("Content-Length", "0")
        reply.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(reply.headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else reply.body

    def _route(self, environ: Environ) -> Reply:
        asked, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        path = asked.removeprefix(self.path) if asked.startswith(self.path) else ""
        if path.rstrip("/") == "/v2":
            return json_reply(200, {})
        match = _ROUTE.fullmatch(path)
        if not match:
            raise RegistryError(404, "UNSUPPORTED", f"no such path: {asked}")
        name, kind, rest = match["name"], match["kind"], match["rest"]
        if kind == "blobs/uploads":
            return self._upload(environ, method, name, rest)
        if kind == "blobs":
            return self._blob(environ, method, name, rest)
        if kind == "manifests":
            return self._manifest(environ, method, name, rest)
        tags = sorted(each.name for each in self._of(name, "tags").glob("*"))
        return json_reply(200, {"name": name, "tags": tags})

    def _upload(self, environ: Environ, method: str, name: str, session: str) -> Reply:
        query = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        if method == "POST":
            return self._begin_upload(environ, name, query)
        partial = self._uploads / re.sub(r"[^0-9a-f]", "", session)
        if not session or not partial.is_file():
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if method == "GET":
            return self._upload_status(204, name, partial)
        if method == "DELETE":
            partial.unlink()
            return Reply(204, {})
        self._check_range(environ, partial.stat().st_size)
        with partial.open("ab") as file:
            shutil.copyfileobj(environ["wsgi.input"], file, _PIECE)
        if method == "PATCH":
            return self._upload_status(202, name, partial)
        return self._finish_upload(name, partial, query.get("digest", ""))

    def _begin_upload(self, environ: Environ, name: str, query: dict[str, str]) -> Reply:
        mounted, source = query.get("mount", ""), query.get("from", "")
        if mounted and source and self._has_blob(source, mounted):
            self._link(name, mounted)
            return self._created(name, mounted)
        partial = self._uploads / uuid.uuid4().hex
        partial.touch()
        if "digest" in query:
            with partial.open("wb") as file:
                shutil.copyfileobj(environ["wsgi.input"], file, _PIECE)
            return self._finish_upload(name, partial, query["digest"])
        return self._upload_status(202, name, partial)

    def _upload_status(self, status: int, name: str, partial: Path) -> Reply:
        last = max(partial.stat().st_size - 1, 0)
        headers = {"Location": f"/v2/{name}/blobs/uploads/{partial.name}", "Range": f"0-{last}", "Docker-Upload-UUID": partial.name}
        return Reply(status, headers)

    @staticmethod
    def _check_range(environ: Environ, size: int) -> None:
        given = re.fullmatch(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?", environ.get("HTTP_CONTENT_RANGE", ""))
        if given and int(given[1]) != size:
            raise RegistryError(416, "BLOB_UPLOAD_INVALID", f"the upload goes on at byte {size}, not {given[1]}")

    def _finish_upload(self, name: str, partial: Path, digest: str) -> Reply:
        with partial.open("rb") as file:
            actual = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        if digest != actual:
            partial.unlink()
            raise RegistryError(400, "DIGEST_INVALID", f"provided digest {digest} did not match uploaded content {actual}")
        partial.replace(self._file(digest))
        self._link(name, digest)
        return self._created(name, digest)

    @staticmethod
    def _created(name: str, digest: str) -> Reply:
        return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _blob(self, environ: Environ, method: str, name: str, digest: str) -> Reply:
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"not a digest: {digest}")
        if not self._has_blob(name, digest):
            raise RegistryError(404, "BLOB_UNKNOWN", f"blob unknown to registry: {digest}")
        if method == "DELETE":
            (self._of(name, "blobs") / digest).unlink()
            return Reply(202, {})
        file = self._file(digest)
        size = file.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", environ.get("HTTP_RANGE", ""))
        start, end = (int(asked[1]), min(int(asked[2] or size - 1), size - 1)) if asked else (0, size - 1)
        if asked:
            if start >= size:
                raise RegistryError(416, "BLOB_UNKNOWN", f"the blob has {size} bytes")
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        headers["Content-Length"] = str(end - start + 1)
        body = () if method == "HEAD" else _pieces(file.open("rb"), start, end - start + 1)
        return Reply(206 if asked else 200, headers, body)

    def _manifest(self, environ: Environ, method: str, name: str, reference: str) -> Reply:
        if method == "PUT":
            return self._put_manifest(environ, name, reference)
        tag = self._of(name, "tags") / reference
        is_digest = bool(_DIGEST.fullmatch(reference))
        digest = reference if is_digest else tag.read_text() if tag.is_file() else ""
        kept = self._of(name, "manifests") / digest
        if not digest or not kept.is_file():
            raise RegistryError(404, "MANIFEST_UNKNOWN", f"manifest unknown: {reference}")
        if method == "DELETE":
            if is_digest:
                kept.unlink()
            for each in self._of(name, "tags").glob("*"):
                if (is_digest and each.read_text() == digest) or each.name == reference:
                    each.unlink()
            return Reply(202, {})
        body = self._file(digest).read_bytes()
        headers = {"Content-Type": kept.read_text(), "Docker-Content-Digest": digest, "Content-Length": str(len(body))}
        return Reply(200, headers, [body])

    def _put_manifest(self, environ: Environ, name: str, reference: str) -> Reply:
        body: bytes = environ["wsgi.input"].read()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if ":" in reference and reference != digest:
            raise RegistryError(400, "DIGEST_INVALID", f"provided digest {reference} did not match uploaded content {digest}")
        if ":" not in reference and not _TAG.fullmatch(reference):
            raise RegistryError(400, "TAG_INVALID", f"not a tag: {reference}")
        try:
            document = json.loads(body)
            media_type = environ.get("CONTENT_TYPE") or document["mediaType"]
            references = [each["digest"] for each in (document.get("config"), *document.get("layers", ())) if each]
            manifests = [each["digest"] for each in document.get("manifests", ())]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RegistryError(400, "MANIFEST_INVALID", "the manifest is not what its type says") from None
        for needed in references:
            if not self._has_blob(name, needed):
                raise RegistryError(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {needed}")
        for needed in manifests:
            if not (self._of(name, "manifests") / needed).is_file():
                raise RegistryError(400, "MANIFEST_BLOB_UNKNOWN", f"manifest unknown to registry: {needed}")
        with self._lock:
            self._file(digest).write_bytes(body)
            (self._of(name, "manifests") / digest).write_text(media_type)
            if ":" not in reference:
                (self._of(name, "tags") / reference).write_text(digest)
        return Reply(201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest})

    def _has_blob(self, name: str, digest: str) -> bool:
        return bool(_DIGEST.fullmatch(digest)) and (self._of(name, "blobs") / digest).is_file()

    def _link(self, name: str, digest: str) -> None:
        (self._of(name, "blobs") / digest).touch()

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _of(self, name: str, kind: str) -> Path:
        # Names are flattened, so that the repository `a` and the repository `a/tags` can't meet.
        directory = self._repositories / name.replace("/", "+") / kind
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def _pieces(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while length:
            piece = file.read(min(_PIECE, length))
            if not piece:
                return
            length -= len(piece)
            yield piece
