"""What images with CUDA say of themselves."""

import pytest

from deployer.core.accelerators import Accelerator, misfits
from deployer.oci import labels
from deployer_images import cuda
from deployer_images.layers.images import labels_on
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.wheels import Wheel


def packages(*lines: str) -> PackageSet:
    return PackageSet("3.11", "linux/amd64", tuple(Wheel(*line.split("=="), line, "", f"sha256:{line}") for line in lines))


WITH_CUDA = pytest.mark.parametrize(
    ("lines", "driver"),
    [
        (("torch==2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), ">=525"),
        (("torch==2.11.0", "nvidia-cuda-runtime==13.0.96"), ">=580"),
        (("torch==2.5.1+cu118",), ">=450"),
        (("jax==0.4.35", "jax-cuda12-plugin==0.4.35"), ">=525"),
    ],
)


@WITH_CUDA
def test_an_image_with_cuda_names_its_driver_and_asks_for_the_gpus(lines: tuple[str, ...], driver: str) -> None:
    assert labels_on({}, packages(*lines), compiled=False)[labels.NVIDIA_DRIVER] == driver
    assert "NVIDIA_VISIBLE_DEVICES=all" in cuda.variables(lines)


@WITH_CUDA
def test_that_driver_is_what_an_instance_is_held_against(lines: tuple[str, ...], driver: str) -> None:
    oldest = int(driver.removeprefix(">="))
    installed = dict(line.split("==") for line in lines)
    assert misfits(installed, (), Accelerator("ml.g5.xlarge", gpu=True, driver=oldest)) == ([], [])
    _, (warning,) = misfits(installed, (), Accelerator("ml.g5.xlarge", gpu=True, driver=oldest - 1))
    assert f"NVIDIA's driver {oldest} or newer, and ml.g5.xlarge has {oldest - 1}" in warning


@pytest.mark.parametrize("lines", [("numpy==2.0",), ("torch==2.5.1+cpu",), ("xgboost==2.1", "nvidia-nccl-cu12==2.21.5")])
def test_one_without_does_neither(lines: tuple[str, ...]) -> None:
    assert labels.NVIDIA_DRIVER not in labels_on({}, packages(*lines), compiled=False)
    assert cuda.variables(lines) == []
