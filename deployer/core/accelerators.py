"""What a model's packages calculate on: which of them are built for NVIDIA's GPUs, what those builds need, and whether the place has it.

Drivers by NVIDIA's "CUDA Compatibility", minor version compatibility: what is built with any CUDA of a major runs on the driver named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployer.core.requirements import Need, version

DRIVERS = {11: 450, 12: 525, 13: 580}
"""The oldest major version of NVIDIA's driver on which each major of CUDA runs."""

_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu(\d\d))?")
_PLUGIN = re.compile(r"(?:jax-cuda(\d\d)-(?:plugin|pjrt)|cupy-cuda(\d\d)x?)")
_LOCAL = re.compile(r"cu(\d\d)\d")
_APART = {
    "tensorflow": ("tensorflow[and-cuda]", "nvidia-cuda-runtime"),
    "tensorflow-cpu": ("tensorflow[and-cuda]", "nvidia-cuda-runtime"),
    "jaxlib": ("jax[cuda12]", "jax-cuda"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-gpu"),
}
"""Frameworks that reach a GPU only with another package: what to require for it, and how the name of that package begins."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What a container has beside processors.

    Attributes:
        place: where it runs, for people: "ml.m5.large".
        gpu: whether that has an NVIDIA GPU.
        driver: the major version of NVIDIA's driver there; 0 where it isn't known.
        advice: what gives it a newer one.
    """

    place: str
    gpu: bool
    driver: int = 0
    advice: str = ""

    def runs(self, cuda: int) -> bool:
        """Whether, as far as is known, what is built for that major of CUDA runs there."""
        return self.gpu and (not self.driver or self.driver >= driver_for(cuda))


def driver_for(cuda: int) -> int:
    """The oldest driver for a major of CUDA; that of the newest one known, where it is newer still."""
    return DRIVERS.get(cuda, max(DRIVERS.values()) if cuda > max(DRIVERS) else min(DRIVERS.values()))


def cuda_of(packages: Mapping[str, str]) -> int | None:
    """The major of CUDA that installed packages are built for, the newest of several; None where none of them calculates on a GPU.

    Args:
        packages: name to version.
    """
    return max(_majors(packages), default=None)


def built_for_processors(packages: Mapping[str, str]) -> bool:
    """Whether PyTorch is there in the build that calculates on processors alone."""
    found = version(packages.get("torch", ""))
    if found is None or (found.local and found.local != "cpu"):
        return False
    # Up to 1.12 PyPI's wheels had CUDA inside; since then they require its runtime.
    return found.local == "cpu" or (found.release >= (1, 13) and cuda_of(packages) is None)


def unused_gpu(packages: Mapping[str, str]) -> Iterator[str]:
    """What else would leave a GPU unused, a sentence each."""
    for name, (instead, begins) in _APART.items():
        if name in packages and not any(each.startswith(begins) for each in packages):
            yield f"{name} {packages[name]} uses no GPU without what {instead} brings, or a base image with CUDA's libraries"


def misfits(packages: Mapping[str, str], needs: Sequence[Need], accelerator: Accelerator) -> tuple[list[str], list[str]]:
    """Why an image with these packages isn't to run there, and what else is worth knowing; both are empty where there is no GPU.

    Args:
        needs: what the model asks for: a build that it names itself is what is wanted.
    """
    if not accelerator.gpu:
        return [], []
    place, torch = accelerator.place, packages.get("torch", "")
    named = any(each.name == "torch" and each.pinned is not None and each.pinned.local == "cpu" for each in needs)
    reasons, warnings = list[str](), [f"{sentence}, and {place} has one" for sentence in unused_gpu(packages)]
    if built_for_processors(packages):
        sentence = f"torch {torch} is a build for processors alone, and {place} has a GPU"
        wish = f"a model that requires torch=={torch.partition('+')[0]}+cpu has it all the same"
        (warnings if named else reasons).append(sentence if named else f"{sentence} ({wish})")
    cuda = cuda_of(packages)
    if cuda is not None and not accelerator.runs(cuda):
        takes = f"CUDA {cuda} takes NVIDIA's driver {driver_for(cuda)} or newer"
        advice = f": {accelerator.advice}" if accelerator.advice else ""
        warnings.append(f"the packages' {takes}, and {place} has {accelerator.driver}{advice}")
    return reasons, warnings


def _majors(packages: Mapping[str, str]) -> Iterator[int]:
    for name, text in packages.items():
        found = version(text)
        if match := _RUNTIME.fullmatch(name):
            yield int(match[1]) if match[1] else (found.major if found else max(DRIVERS))
        elif match := _PLUGIN.fullmatch(name):
            yield int(match[1] or match[2])
        elif found and found.local and (match := _LOCAL.match(found.local)):
            yield int(match[1])
