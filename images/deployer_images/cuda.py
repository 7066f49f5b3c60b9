"""What an image says of packages that calculate on NVIDIA's GPUs: the driver that they take, and that it is to be given the GPUs.

The packages bring CUDA's libraries themselves, so the base is the same as without. NVIDIA's container runtime gives a container the driver and
the GPUs only where its variables ask for them, which images on NVIDIA's bases have; Kubernetes' device plugin says itself which ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from deployer.core.accelerators import cuda_of, driver_for
from deployer.oci import labels


def driver(lines: Iterable[str]) -> int:
    """The oldest driver that these lines of a lock take; 0 where nothing of them is built for a GPU."""
    cuda = cuda_of(labels.package_versions({labels.PACKAGES: labels.packages_label(lines)}) or {})
    return driver_for(cuda) if cuda else 0


def variables(lines: Iterable[str]) -> list[str]:
    """Those of an image with these packages, as its config has them."""
    return ["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"] if driver(lines) else []


def label(lines: Iterable[str]) -> dict[str, str]:
    """What its labels say."""
    oldest = driver(lines)
    return {labels.NVIDIA_DRIVER: f">={oldest}"} if oldest else {}
