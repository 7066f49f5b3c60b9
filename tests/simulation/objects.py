"""The object store: one bucket, strongly consistent as S3 is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from tests.simulation.service import Answer, ServiceError


@dataclass(slots=True, kw_only=True)
class ObjectStore:
    """Objects, and uploads that aren't finished.

    Attributes:
        contents: what each key that was put together from parts first held: keys are named by their content.
        odd: what is wrong with what just happened, though no API refuses it.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, Answer] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    made: int = 0

    def fork_objects(self, other: Self) -> None:
        """Give a copy objects and uploads of its own."""
        for name in ("objects", "metadata", "contents"):
            setattr(other, name, dict(getattr(self, name)))
        other.uploads = {upload: (key, dict(parts)) for upload, (key, parts) in self.uploads.items()}
        other.odd = list(self.odd)

    def _put_object(self, _: str, wanted: Answer) -> Answer:
        there = etag(self.objects[wanted["Key"]]) if wanted["Key"] in self.objects else None
        if wanted.get("IfMatch", there) != there or (wanted.get("IfNoneMatch") == "*" and there is not None):
            raise ServiceError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        self.objects[wanted["Key"]] = wanted["Body"]
        self.metadata[wanted["Key"]] = wanted.get("Metadata", {})
        return {"ETag": etag(wanted["Body"])}

    def _get_object(self, _: str, wanted: Answer) -> Answer:
        body = self._object(wanted["Key"])
        return {"Body": body, "ETag": etag(body)}

    def _head_object(self, _: str, wanted: Answer) -> Answer:
        body = self._object(wanted["Key"], "404")
        return {"ContentLength": len(body), "ETag": etag(body), "Metadata": self.metadata[wanted["Key"]]}

    def _object(self, key: str, code: str = "NoSuchKey") -> bytes:
        if key not in self.objects:
            raise ServiceError(code, "The specified key does not exist.")
        return self.objects[key]

    def _list_objects_v2(self, _: str, wanted: Answer) -> Answer:
        prefix = wanted.get("Prefix", "")
        return {
            "Contents": [{"Key": key, "Size": len(body), "ETag": etag(body)} for key, body in sorted(self.objects.items()) if key.startswith(prefix)]
        }

    def _delete_object(self, _: str, wanted: Answer) -> Answer:
        self.objects.pop(wanted["Key"], None)
        return {}

    def _delete_objects(self, _: str, wanted: Answer) -> Answer:
        for each in wanted["Delete"]["Objects"]:
            self.objects.pop(each["Key"], None)
        return {}

    def _create_multipart_upload(self, _: str, wanted: Answer) -> Answer:
        self.made += 1
        self.uploads[f"upload-{self.made}"] = (wanted["Key"], {})
        self.metadata[f"upload-{self.made}"] = wanted.get("Metadata", {})
        return {"UploadId": f"upload-{self.made}"}

    def _upload_part(self, _: str, wanted: Answer) -> Answer:
        self._upload(wanted["UploadId"])[1][wanted["PartNumber"]] = bytes(wanted["Body"])
        return {"ETag": etag(wanted["Body"])}

    def _list_parts(self, _: str, wanted: Answer) -> Answer:
        parts = sorted(self._upload(wanted["UploadId"])[1].items())
        return {"Parts": [{"PartNumber": number, "Size": len(body), "ETag": etag(body)} for number, body in parts]}

    def _complete_multipart_upload(self, _: str, wanted: Answer) -> Answer:
        key, parts = self._upload(wanted["UploadId"])
        del self.uploads[wanted["UploadId"]]
        body = b"".join(parts[number] for number in sorted(parts))
        if self.contents.setdefault(key, body) != body:
            self.odd.append(f"{key} came out of its parts as something else than before")
        self.objects[key] = body
        self.metadata[key] = self.metadata.pop(wanted["UploadId"])
        return {"Key": key}

    def _abort_multipart_upload(self, _: str, wanted: Answer) -> Answer:
        self._upload(wanted["UploadId"])
        del self.uploads[wanted["UploadId"]]
        return {}

    def _list_multipart_uploads(self, _: str, wanted: Answer) -> Answer:
        prefix = wanted.get("Prefix", "")
        return {"Uploads": [{"Key": key, "UploadId": upload} for upload, (key, _) in self.uploads.items() if key.startswith(prefix)]}

    def _upload(self, upload: str) -> tuple[str, dict[int, bytes]]:
        if upload not in self.uploads:
            raise ServiceError("NoSuchUpload", "The specified upload does not exist.")
        return self.uploads[upload]


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
