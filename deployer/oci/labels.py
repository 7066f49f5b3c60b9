"""What a scoring image says of itself, in the labels of its config: written by the builder, read by targets, by the local cloud and by `fit`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from deployer_scoring.masking import without_secrets

RUNTIME = "io.deployer.runtime"
"""The version of the scoring runtime inside."""
PYTHON = "io.deployer.python"
"""Its version of Python, at least the minor ("3.11")."""
PACKAGES = "io.deployer.packages"
"""All that is installed: a JSON list of `name==version` (or `name @ URL`)."""
STAND_IN = "io.deployer.stand-in"
"""`process` in an image that holds no files and stands for the process runtime."""
ADDED = "io.deployer.added"
"""JSON: the requirements that a shared image has beside the runtime's (`--with`), as they were asked for. Absent where there are none."""
INPUTS = "io.deployer.inputs"
"""The digest of what the image was made from: the same inputs need no second build."""
LAYER = "io.deployer.packages-layer"
"""The address of the layer that a model's packages are in, of an image that was put together without an engine."""
TRIMMED = "io.deployer.trimmed"
"""`true` where what no import needs is left out of that layer."""
BYTECODE = "io.deployer.bytecode"
"""`true` where what is imported isn't compiled at each start, `false` where it is; of a model's packages, in an image that has some."""
MODEL = "io.deployer.model"
"""The digest of the model that is in the image."""
OWN = "io.deployer.own"
"""`true` in an image that pods run: with a user of its own, and a model, where that isn't mounted; `files`: with the list of its files alone."""
WITHOUT = "io.deployer.without"
"""Of a container for the process runtime: names of what the model requires and isn't installed, for it can do without."""
DIFF_ID = "io.deployer.diff-id"
"""Of a layer's own manifest: the digest of its tar."""
UNPACKED = "io.deployer.unpacked"
"""Of a layer's own manifest: how many bytes its tar has."""
NVIDIA_DRIVER = "io.deployer.nvidia-driver"
"""The oldest driver on which packages inside reach a GPU (">=525"), of an image with such."""
BASE_NAME = "org.opencontainers.image.base.name"
"""OCI's: the reference of the image that it stands on."""
BASE_DIGEST = "org.opencontainers.image.base.digest"
"""OCI's: what that reference stood for when the image was built."""
ACCEPTS_BIND_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""SageMaker's: `true` lets it choose the port, for endpoints of several containers."""


def packages_label(packages: Iterable[str]) -> str:
    """The value of `PACKAGES` for lines of a lock."""
    return json.dumps(sorted(map(without_secrets, packages)), separators=(",", ":"))


def package_lines(labels: Mapping[str, str]) -> tuple[str, ...] | None:
    """The lines of `PACKAGES`, or None where an image doesn't say what it has."""
    try:
        found = json.loads(labels[PACKAGES])
    except (KeyError, ValueError):
        return None
    return tuple(line for line in found if isinstance(line, str)) if isinstance(found, list) else None


def package_versions(labels: Mapping[str, str]) -> dict[str, str] | None:
    """Name to version (or URL) of what is installed, or None where an image doesn't say."""
    lines = package_lines(labels)
    if lines is None:
        return None
    split = (line.split(" @ ", 1) if " @ " in line else line.split("==", 1) for line in lines)
    return {parts[0].strip(): parts[1].strip() for parts in split if len(parts) == 2}
