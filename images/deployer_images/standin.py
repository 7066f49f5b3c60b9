"""A tiny real image that holds no scoring runtime and says so: it stands for the process runtime in a cloud without a container engine.

Its labels are those that a real image of the same inputs would have, so that whatever judges an image by them judges the same.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from deployer.oci import Descriptor, Manifest, Repository, docker_manifest
from deployer.oci.labels import ACCEPTS_BIND_TO_PORT, STAND_IN
from deployer.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, sha256

_NOTE = b"""This image stands in for the scoring image: it holds nothing to run.
The local cloud starts the same entry point as a process of its machine. For any other place build the real one,
with a docker engine running: deploy build-and-push-container --runtime docker
"""
_NEVER = "1970-01-01T00:00:00Z"


def push(repository: Repository, labels: Mapping[str, str], platform: str, *tags: str) -> Manifest:
    """Make the stand-in with these labels and push it under these tags."""
    config, layer, manifest = stand_in(labels, platform)
    repository.upload(layer)
    repository.upload(config)
    repository.put_manifest(manifest, *tags)
    return manifest


def stand_in(labels: Mapping[str, str], platform: str) -> tuple[bytes, bytes, Manifest]:
    """Config, layer and manifest (Docker schema 2, gzip) of the stand-in; the same labels give the same bytes."""
    files = _files()
    layer = gzip.compress(files, mtime=0)
    system, architecture, *variant = platform.split("/")
    config = json.dumps(
        {
            "architecture": architecture,
            "os": system,
            **({"variant": variant[0]} if variant else {}),
            "created": _NEVER,
            "config": {
                "Cmd": ["serve"],
                "Entrypoint": ["/the-scoring-image-is-a-stand-in"],
                "Env": ["PATH=/usr/bin:/bin"],
                "ExposedPorts": {"8080/tcp": {}},
                "Labels": {**labels, ACCEPTS_BIND_TO_PORT: "true", STAND_IN: "process"},
            },
            "history": [{"created": _NEVER, "created_by": "deploy build-and-push-container --runtime process"}],
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(files).hexdigest()]},
        },
        sort_keys=True,
    ).encode()
    manifest = docker_manifest(
        Descriptor(DOCKER_CONFIG, sha256(config), len(config)),
        (Descriptor(DOCKER_LAYER, sha256(layer), len(layer)),),
    )
    return config, layer, manifest


def _files() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("README")
        member.size, member.mode = len(_NOTE), 0o644
        tar.addfile(member, io.BytesIO(_NOTE))
    return archive.getvalue()
