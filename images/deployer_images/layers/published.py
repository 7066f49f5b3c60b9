"""A layer of packages in a registry: under a manifest of its own, whose tag is its address, so that one request says whether it is there.

The manifest comes last and names what is there already: nothing half sent is ever found.
"""

from __future__ import annotations

import json
from pathlib import Path

from deployer.core.state import Digest
from deployer.events import Report, StepFinished, StepProgressed, stepping
from deployer.oci import Compression, Descriptor, Repository, labels
from deployer.oci.manifest import OCI_CONFIG, oci_manifest, sha256
from deployer.words import size
from deployer_images.layers.archive import Layer
from deployer_images.layers.built import Built, build
from deployer_images.layers.bytecode import Bytecode, build_bytecode
from deployer_images.layers.composing import NEVER
from deployer_images.layers.package_set import PackageSet
from deployer_images.wanted import Wanted

Addressed = PackageSet | Bytecode
"""What a layer holds, and so where a registry has it."""


def find(content: Addressed, repository: Repository) -> Layer | None:
    """The layer of this content, if the registry has it."""
    manifest = repository.find_manifest(content.tag)
    if manifest is None:
        return None
    try:
        (layer,), said = manifest.layers, manifest.annotations
        compression = Compression.of(layer.media_type) or Compression.GZIP
        found = Layer(layer.digest, Digest(said[labels.DIFF_ID]), layer.size, int(said[labels.UNPACKED]), compression)
        return found if said[labels.LAYER] == content.address else None
    except (KeyError, ValueError, TypeError):
        return None  # somebody else's


def publish(packages: PackageSet, wanted: Wanted, repository: Repository, report: Report, *, ca_bundle: Path | None = None) -> tuple[Layer, ...]:
    """See to it that the registry has the layer of packages, and where it was made here, and could be, that of their bytecode; both, as they lie.

    Raises:
        What `build` raises. PermissionDenied, QuotaExceeded, Refused, TargetUnavailable: what the registry says; what it has stays unseen.
    """
    bytecode = Bytecode(packages)
    if there := find(packages, repository):
        resource = repository.reference(packages.tag)
        report(StepFinished(step="push_packages", label="packages", resource=resource, changed=False, detail="in the registry, nothing to send"))
        compiled = find(bytecode, repository)
        return (there, compiled) if compiled else (there,)
    layers = build_both(packages, wanted, report, ca_bundle=ca_bundle)
    contents: tuple[tuple[Addressed, str], ...] = ((packages, "packages"), (bytecode, "bytecode"))
    for (content, label), built in zip(contents, layers, strict=False):
        send(built.layer, built.file, repository, report, label)
        _keep(content, built.layer, repository)
    return tuple(built.layer for built in layers)


def build_both(packages: PackageSet, wanted: Wanted, report: Report, *, ca_bundle: Path | None = None) -> tuple[Built, ...]:
    """The layer of packages, and where an interpreter is here that of their bytecode.

    Raises:
        What `build` raises.
    """
    built = build(packages, wanted, report, ca_bundle=ca_bundle)
    compiled = build_bytecode(Bytecode(packages), built.file, report)
    return (built, compiled) if compiled else (built,)


def _keep(content: Addressed, layer: Layer, repository: Repository) -> None:
    """The manifest of a layer that is there."""
    config = _config(content, layer)
    repository.upload(config)
    said = {labels.LAYER: content.address, labels.DIFF_ID: layer.diff_id, labels.UNPACKED: str(layer.unpacked)}
    described = Descriptor(OCI_CONFIG, sha256(config), len(config))
    repository.put_manifest(oci_manifest(described, (Descriptor(layer.compression.media_type, layer.digest, layer.size),), said), content.tag)


def send(layer: Layer, file: Path, repository: Repository, report: Report, label: str, *, absent: bool = False) -> None:
    """Send a layer unless the repository has it; `absent`: it is known not to."""
    step = f"push_{label.replace(' ', '_')}"
    with stepping(report, step, label, repository.uri) as outcome:
        outcome.changed = repository.upload_blob(
            layer.digest,
            layer.size,
            lambda: file.open("rb"),
            lambda done: report(StepProgressed(step=step, label=label, done=done, total=layer.size, unit="bytes")),
            absent=absent,
        )
        outcome.detail = f"{size(layer.size)} to {repository.uri}" if outcome.changed else "in the registry, nothing to send"


def _config(content: Addressed, layer: Layer) -> bytes:
    """Of an image that is this layer alone."""
    system, architecture, *_ = content.platform.split("/")
    said = {labels.PYTHON: content.python, labels.PACKAGES: labels.packages_label(content.lines), labels.LAYER: content.address}
    document = {
        "os": system,
        "architecture": architecture,
        "created": NEVER,
        "config": {"Labels": said},
        "history": [{"created": NEVER, "created_by": content.tag.partition("-")[0]}],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    return json.dumps(document, sort_keys=True).encode()
