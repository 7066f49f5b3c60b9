"""What is known of instance types without asking AWS: their processors, their GPUs and their disks."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from deployer.core.accelerators import Accelerator
from deployer.core.state import Image
from deployer.errors import ConfigInvalid

if TYPE_CHECKING:
    from deployer_targets.sagemaker.config import SageMakerConfig

EBS_GB = 30
"""The volume of an instance without a disk of its own, unless volume_size_in_gb says otherwise (AWS: "SageMaker AI endpoint parameters for
large model inference")."""
SERVERLESS_GB = 5
"""The disk of serverless inference (AWS: "Deploy models with Amazon SageMaker Serverless Inference")."""

SERVERLESS_IMAGE_GB = 10
"""The largest image that serverless inference takes (AWS: "Deploy models with Amazon SageMaker Serverless Inference", container contributions)."""
UNPACKED = 2.5
"""How many times larger than their wheels packages are taken to be: less than those of a scikit-learn environment are (2.9, docs/adr/0012)."""

# Graviton: c6g, m7g, r8g, with d for a disk and n for a faster network; g5g; Grace.
_ARM = re.compile(r"ml\.(?:[cmrtx]\d+g[dn]*|g5g|[a-z]\d+e-gb\d+)\.")
# A d in the suffix (m5d, c6gd, g4dn, p4de), and the accelerated families whose every size has NVMe.
_LOCAL_DISK = re.compile(r"ml\.(?:[cmr]\d+[a-z]*d[a-z]*|g4dn|g5|g6e?|g7e?|p3dn|p4de?|p5e?n?|p6[-a-z0-9]*|trn\d+n?|dl1)\.")
# NVIDIA's; g4ad has another's.
_GPU = re.compile(r"ml\.(?:g(?!4ad)|gr|p)\d")
_OF_ANOTHER_KIND = re.compile(r"ml\.(?:inf|trn|dl|eia|g4ad)")

_DRIVERS = {
    "al2-ami-sagemaker-inference-gpu-2": 535,
    "al2-ami-sagemaker-inference-gpu-2-1": 535,
    "al2-ami-sagemaker-inference-gpu-3-1": 550,
    "al2023-ami-sagemaker-inference-gpu-4-1": 580,
}
"""NVIDIA's drivers in the host images (AWS: ProductionVariant, InferenceAmiVersion)."""
_DRIVERS_BY_DEFAULT = {470: ("p2", "p3", "p4d", "p4de", "g4dn", "g5"), 535: ("p5", "g6"), 550: ("p5e", "p5en")}
"""Where none is named, by family (AWS: "Best practices to minimize interruptions during GPU driver upgrades"); of others AWS says nothing."""


def accelerator(config: SageMakerConfig) -> Accelerator | None:
    """What a container has beside processors; None for what isn't NVIDIA's."""
    if config.serverless_config is not None:
        return Accelerator("serverless inference", gpu=False)
    if _OF_ANOTHER_KIND.match(config.instance_type):
        return None
    if not _GPU.match(config.instance_type):
        return Accelerator(config.instance_type, gpu=False)
    family, named = config.instance_type.split(".")[1], config.inference_ami_version
    if named:
        return Accelerator(config.instance_type, gpu=True, driver=_DRIVERS.get(named, 0))
    driver = next((driver for driver, families in _DRIVERS_BY_DEFAULT.items() if family in families), 0)
    return Accelerator(config.instance_type, gpu=True, driver=driver, advice="-C inference_ami_version names a host image with a newer one")


def check_type(instance_type: str, known: Collection[str]) -> None:
    """Refuse a type that SageMaker doesn't have, before anything is sent there.

    Args:
        known: the types that botocore knows; AWS may have one that is younger.

    Raises:
        ConfigInvalid: with the nearest one there is.
    """
    if instance_type not in known:
        near = difflib.get_close_matches(instance_type, known, n=1, cutoff=0.5)
        raise ConfigInvalid(
            f"{instance_type} is not an instance type of SageMaker endpoints" + (f"; did you mean {near[0]}?" if near else ""),
            why="the installed boto3 doesn't know it",
            advice="-C instance_type=TYPE with one that it knows; for one that AWS has had for a short time only: pip install --upgrade boto3",
        )


def platform_of(instance_type: str) -> str:
    """The platform that images must be built for."""
    return "linux/arm64" if _ARM.match(instance_type) else "linux/amd64"


def platform_for(config: SageMakerConfig) -> str:
    """That of the deployment's instances; serverless inference has amd64 alone."""
    return "linux/amd64" if config.serverless_config is not None else platform_of(config.instance_type)


def has_local_disk(instance_type: str) -> bool:
    """Whether the instance has NVMe of its own: then there is no EBS volume to size or to encrypt."""
    return _LOCAL_DISK.match(instance_type) is not None


def check_platform(image: Image, instance_type: str) -> None:
    """Refuse an image for another processor than the instance's.

    Raises:
        ConfigInvalid: with the command that builds the one for it.
    """
    wanted = platform_of(instance_type)
    found = "/".join(image.platform.split("/")[:2])
    if found and found != wanted:
        raise ConfigInvalid(
            f"the image {image.tag or image.reference} is for {found}, and {instance_type} runs {wanted}",
            advice=f"deploy build-and-push-container --platform {found},{wanted} makes one for each, or choose an instance_type for {found}",
        )


def check_disk(model_bytes: int, *, instance_type: str, volume_size_in_gb: int | None, serverless: bool) -> None:
    """Refuse a model that won't fit where it is unpacked. Sizes of local disks are AWS's to know: there only the cloud can say.

    Raises:
        ConfigInvalid: how large the model is, how large the disk, and the option that makes it larger.
    """
    if serverless:
        room, advice = SERVERLESS_GB, "choose an instance_type instead of serverless_config"
    elif volume_size_in_gb is not None:
        room, advice = volume_size_in_gb, f"volume_size_in_gb={_whole_gb(model_bytes) + 5}"
    elif has_local_disk(instance_type):
        return
    else:
        room, advice = EBS_GB, f"volume_size_in_gb={_whole_gb(model_bytes) + 5}, or an instance_type with a local disk (ml.m5d, ml.g5)"
    if model_bytes > room * 10**9:
        raise ConfigInvalid(
            f"the model has {model_bytes / 1e9:.1f} GB, and {'serverless inference' if serverless else instance_type} has a disk of {room} GB for it",
            advice=advice,
        )


def too_large(wheels: int, model_bytes: int, *, instance_type: str, volume_size_in_gb: int | None, serverless: bool) -> str:
    """What is to be feared of packages of that size before they are made; "" where nothing is. A warning: of their size only the wheels' is known.

    Args:
        wheels: bytes of the packages' wheels; 0 where no index says.
    """
    unpacked = wheels * UNPACKED
    about = f"the model's packages are {wheels / 1e9:.1f} GB of wheels, unpacked {unpacked / 1e9:.0f} GB or more"
    if serverless:
        too_much = unpacked > SERVERLESS_IMAGE_GB * 10**9
        return f"{about}; serverless inference takes images of up to {SERVERLESS_IMAGE_GB} GB" if too_much else ""
    if has_local_disk(instance_type):
        return ""
    room = volume_size_in_gb or EBS_GB
    return f"{about}, and with the model that is more than the disk of {room} GB" if unpacked + model_bytes > room * 10**9 else ""


def _whole_gb(size: int) -> int:
    return -(-size // 10**9)
