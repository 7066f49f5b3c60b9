"""Which packages calculate on a GPU, and what is said of those that don't where one is."""

import pytest

from deployer.core.accelerators import DRIVERS, Accelerator, built_for_processors, cuda_of
from deployer.core.compatibility import Fit, fit
from deployer.core.state import Digest, Image, ModelFacts

NOTHING, GPU = Accelerator("ml.m5.large", gpu=False), Accelerator("ml.g5.xlarge", gpu=True, driver=470, advice="-C inference_ami_version")


@pytest.mark.parametrize(
    ("packages", "cuda"),
    [
        ({"torch": "2.5.1", "nvidia-cuda-runtime-cu12": "12.4.127"}, 12),
        ({"torch": "2.11.0", "nvidia-cuda-runtime": "13.0.96"}, 13),
        ({"torch": "2.5.1+cu118"}, 11),
        ({"jax": "0.6", "jax-cuda12-plugin": "0.6", "jaxlib": "0.6"}, 12),
        ({"cupy-cuda11x": "13.0"}, 11),
        ({"torch": "2.5.1+cpu"}, None),
        ({"torch": "2.5.1+rocm6.2"}, None),
        ({"xgboost": "2.1", "nvidia-nccl-cu12": "2.21"}, None),
        ({"numpy": "2.0", "own": "https://x/own-1.0.whl"}, None),
    ],
)
def test_cuda_is_told_by_what_is_installed(packages: dict[str, str], cuda: int | None) -> None:
    assert cuda_of(packages) == cuda


@pytest.mark.parametrize(
    ("packages", "alone"),
    [
        ({"torch": "2.5.1+cpu"}, True),
        ({"torch": "2.5.1"}, True),
        ({"torch": "2.5.1", "nvidia-cuda-runtime-cu12": "12.4"}, False),
        ({"torch": "2.5.1+cu118"}, False),
        ({"torch": "2.5.1+rocm6.2"}, False),
        ({"torch": "1.12.1"}, False),
        ({"torch": "https://x/torch.whl"}, False),
        ({"numpy": "2.0"}, False),
    ],
    ids=str,
)
def test_pytorch_for_processors_alone_is_told_from_the_others(packages: dict[str, str], alone: bool) -> None:
    assert built_for_processors(packages) is alone


def test_a_driver_runs_the_majors_that_are_no_newer() -> None:
    assert [cuda for cuda in (*DRIVERS, 14) if GPU.runs(cuda)] == [11]
    assert [cuda for cuda in (*DRIVERS, 14) if Accelerator("", gpu=True).runs(cuda)] == [*DRIVERS, 14], "not known to be too old"
    assert not NOTHING.runs(11)


def judged(packages: dict[str, str], accelerator: Accelerator | None, *requirements: str, mode: str = "auto") -> Fit:
    facts = ModelFacts("./m", Digest("sha256:0"), python_version="3.11.7", requirements=requirements)
    return fit(facts, Image("r@sha256:1", Digest("sha256:1"), python_version="3.11", packages=packages), mode, accelerator)


def test_where_a_gpu_is_pytorch_without_cuda_does_not_fit() -> None:
    assert judged({"torch": "2.5.1+cpu"}, GPU, "torch==2.5.1").reasons == (
        "torch 2.5.1+cpu is a build for processors alone, and ml.g5.xlarge has a GPU (a model that requires torch==2.5.1+cpu has it all the same)",
    )
    assert judged({"torch": "2.5.1+cpu"}, GPU, "torch==2.5.1", mode="image").fits
    for other in (NOTHING, None):
        assert judged({"torch": "2.5.1+cpu"}, other, "torch==2.5.1").fits


def test_a_model_that_asks_for_that_build_has_it_with_a_warning() -> None:
    found = judged({"torch": "2.5.1+cpu"}, GPU, "torch==2.5.1+cpu")
    assert found.fits
    assert found.warnings == ("torch 2.5.1+cpu is a build for processors alone, and ml.g5.xlarge has a GPU",)


@pytest.mark.parametrize(("name", "brings"), [("tensorflow", "tensorflow[and-cuda]"), ("jaxlib", "jax[cuda12]"), ("onnxruntime", "onnxruntime-gpu")])
def test_what_else_would_leave_the_gpu_unused_is_said(name: str, brings: str) -> None:
    (warning,) = judged({name: "2.18"}, GPU, name).warnings
    assert brings in warning
    assert judged({name: "2.18"}, NOTHING, name).warnings == ()


def test_a_driver_that_is_too_old_is_said_with_what_gives_a_newer_one() -> None:
    (warning,) = judged({"torch": "2.5.1", "nvidia-cuda-runtime-cu12": "12.4"}, GPU, "torch").warnings
    assert warning == "the packages' CUDA 12 takes NVIDIA's driver 525 or newer, and ml.g5.xlarge has 470: -C inference_ami_version"
    assert judged({"torch": "2.5.1+cu118"}, GPU, "torch").warnings == ()
