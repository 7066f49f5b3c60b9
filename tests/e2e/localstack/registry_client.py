"""The least that pushes and pulls an image: Docker schema 2 by plain HTTP, written apart from the product's own client."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any

import httpx

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(name: str = "file", content: bytes = b"content") -> tuple[bytes, bytes]:
    """A layer with one file: compressed and not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1, mtime=0), buffer.getvalue()


@dataclass
class Client:
    """Talks to one registry."""

    host: str
    authorization: str | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))

    def login(self, user: str, password: str) -> None:
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        if self.authorization:
            headers = {"Authorization": self.authorization, **headers}
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        return self.http.request(method, url, headers=headers, **options)

    def push_blob(self, repository: str, data: bytes) -> str:
        opened = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert opened.status_code == 202, opened.text
        location = opened.headers["Location"]
        mark = "&" if "?" in location else "?"
        done = self.request("PUT", f"{location}{mark}digest={digest(data)}", content=data)
        assert done.status_code == 201, done.text
        return digest(data)

    def push_image(
        self, repository: str, tag: str, labels: dict[str, str] | None = None, *, media_type: str = DOCKER, content: bytes = b"content"
    ) -> httpx.Response:
        compressed, plain = layer(content=content)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": labels or {}},
            "rootfs": {"type": "layers", "diff_ids": [digest(plain)]},
            "history": [{"created_by": "test"}],
        }
        raw = json.dumps(config).encode()
        self.push_blob(repository, compressed)
        self.push_blob(repository, raw)
        oci = media_type == OCI
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json" if oci else "application/vnd.docker.container.image.v1+json",
                "size": len(raw),
                "digest": digest(raw),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" if oci else "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(compressed),
                    "digest": digest(compressed),
                }
            ],
        }
        return self.put_manifest(repository, tag, manifest)

    def put_manifest(self, repository: str, reference: str, manifest: dict[str, Any]) -> httpx.Response:
        return self.request(
            "PUT", f"/v2/{repository}/manifests/{reference}", content=json.dumps(manifest).encode(), headers={"Content-Type": manifest["mediaType"]}
        )
