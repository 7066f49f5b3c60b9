"""An image's config and manifest from those of what it stands on and the layers that are put on top. Pure: nothing is sent or run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.oci import Descriptor, Manifest
from deployer.oci.manifest import image_manifest
from deployer_images.layers.archive import Layer
from deployer_images.layers.dockerfile import over

NEVER = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Composed:
    """An image: in Docker's form, which every registry and SageMaker take, unless its layers need OCI's."""

    config: bytes
    manifest: Manifest


def compose(
    base: Mapping[str, Any], below: Sequence[Descriptor], layers: Sequence[tuple[Layer, str]], settings: Mapping[str, Any] | None = None
) -> Composed:
    """Put layers on top of an image; the same inputs give the same bytes.

    Args:
        base: the config of the image below.
        below: its layers.
        layers: those that come on top, each with what it is.
        settings: what its config says otherwise than that below (`dockerfile.settings`).
    """
    history = [{"created": NEVER, "created_by": what} for _, what in layers]
    document = {
        **{name: value for name, value in base.items() if name not in ("id", "container", "container_config", "parent", "docker_version")},
        "created": NEVER,
        "config": over(base.get("config") or {}, settings or {"Env": [], "Labels": {}, "ExposedPorts": {}}),
        "history": [*(base.get("history") or ()), *history],
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], *(layer.diff_id for layer, _ in layers)]},
    }
    config = json.dumps(document, sort_keys=True).encode()
    above = (Descriptor(layer.compression.media_type, layer.digest, layer.size) for layer, _ in layers)
    return Composed(config, image_manifest(config, [*below, *above]))
