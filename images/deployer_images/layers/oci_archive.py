"""An image as one file: an OCI layout in a tar, with docker's own list beside it, so that every engine and `skopeo` read it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployer.errors import ExtraMissing, TargetUnavailable
from deployer.events import Report, stepping
from deployer.oci import Descriptor, Reference, oci_manifest
from deployer.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, sha256
from deployer.words import size
from deployer_images import cache, engine
from deployer_images.faults import written
from deployer_images.layers.parts import Assembled

if TYPE_CHECKING:
    from docker import DockerClient

_CREATED_AS = "io.containerd.image.name"
_TAG = "org.opencontainers.image.ref.name"


def check_place(file: Path) -> None:
    """See whether a file can be written there, before there is anything to write.

    Raises:
        MachineFault: it can't be: no such directory, no permission.
    """
    with written(file), tempfile.TemporaryFile(dir=file.absolute().parent):
        pass


def check_engine() -> None:
    """See whether there is an engine that keeps images.

    Raises:
        TargetUnavailable: there is none.
    """
    _engine().close()


def save_archive(made: Assembled, name: str, file: Path, report: Report) -> None:
    """Write the image to a file, whole or not at all.

    Raises:
        MachineFault: it can't be written: no such directory, the disk is full. ConfigInvalid: it isn't an image's name.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with stepping(report, "write_image", "image", str(file)) as outcome, written(file):
        try:
            with unfinished.open("wb") as stream:
                write_archive(made, name, stream)
            unfinished.replace(file)
            outcome.detail = size(file.stat().st_size)
        finally:
            with suppress(OSError):
                unfinished.unlink()


def load_archive(made: Assembled, name: str, report: Report) -> str:
    """Give the image to the docker engine of this machine; what it is called there.

    Raises:
        ExtraMissing, TargetUnavailable: there is no engine. MachineFault, Refused: it doesn't take it.
    """
    from docker.errors import DockerException

    called = _shown(name)
    with (
        closing(_engine()) as client,
        tempfile.TemporaryFile(dir=cache.folder("builds")) as archive,
        stepping(report, "load_image", "image", called),
    ):
        write_archive(made, name, archive)
        archive.seek(0)
        try:
            client.images.load(archive)
        except (DockerException, OSError) as fault:
            raise engine.fault("taking the image", fault) from fault
    return called


def _engine() -> DockerClient:
    try:
        return engine.connect(timeout_seconds=600)
    except (ExtraMissing, TargetUnavailable) as fault:
        raise TargetUnavailable(
            "no docker engine answers, which would keep the image",
            why=fault.why or fault.message,
            advice="push it (--push), or write it to a file (--output FILE)",
        ) from fault


def write_archive(made: Assembled, name: str, stream: IO[bytes]) -> str:
    """Write the image under a name ("churn:3"); its manifest's digest. The same image and name give the same bytes.

    Raises:
        ConfigInvalid: it isn't an image's name. What fetching the layers raises.
    """
    reference = Reference.parse(name)
    tag = reference.tag or "latest"
    config = made.image.config
    layers = tuple(Descriptor(part.layer.compression.media_type, part.layer.digest, part.layer.size) for part in made.parts)
    manifest = oci_manifest(Descriptor(OCI_CONFIG, sha256(config), len(config)), layers, {})
    annotations = {_CREATED_AS: f"{reference.name}:{tag}", _TAG: tag}
    listed = {**Descriptor(OCI_MANIFEST, manifest.digest, len(manifest.body)).document(), "annotations": annotations}
    blobs = [_place(part.layer.digest) for part in made.parts]
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _small(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _small(tar, "index.json", _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]}))
        _small(tar, "manifest.json", _json([{"Config": _place(sha256(config)), "RepoTags": [_shown(name)], "Layers": blobs}]))
        _small(tar, _place(manifest.digest), manifest.body)
        _small(tar, _place(sha256(config)), config)
        for part in {part.layer.digest: part for part in made.parts}.values():
            member = tarfile.TarInfo(_place(part.layer.digest))
            member.size, member.mode = part.layer.size, 0o644
            with part.file().open("rb") as content:
                tar.addfile(member, content)
    return manifest.digest


def _shown(name: str) -> str:
    """A name as people write it, with its tag."""
    tag = Reference.parse(name).tag or "latest"
    return f"{name.removesuffix(f':{tag}')}:{tag}"


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _small(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _json(document: Mapping[str, Any] | list[Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
