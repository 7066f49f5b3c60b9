"""Which builds of PyTorch a place gets: an index on this machine has those of PyPI, and pages laid out as PyTorch's own have the others."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from deployer.core.accelerators import Accelerator
from deployer.core.compatibility import fit
from deployer.core.state import Digest, Image, ModelFacts, PackagedModel
from deployer.events import silent
from deployer_images.builds import VARIABLE, Builds, builds_for
from deployer_images.environments import environment_of
from deployer_images.layers.built import build
from deployer_images.layers.inventory import inventory
from deployer_images.layers.package_set import packages_of
from deployer_images.layers.planning import layered
from deployer_images.wanted import Wanted
from tests.index import Index, index_of_arrays

index = index_of_arrays
AMD = "linux/amd64"
TAG = "cp311-cp311-manylinux_2_28_x86_64"
NOTHING = Accelerator("ml.m5.large", gpu=False)
NEW, OLD = Accelerator("ml.g6.xlarge", gpu=True, driver=535), Accelerator("ml.g5.xlarge", gpu=True, driver=470, advice="a newer host image")


@pytest.fixture(autouse=True)
def pytorch(index: Index, monkeypatch: pytest.MonkeyPatch) -> str:
    """PyPI's torch comes with CUDA 12; PyTorch's pages have it for processors and for CUDA 11, too."""
    index.wheel("nvidia_cuda_runtime_cu12", "12.4.127", tag="py3-none-manylinux2014_x86_64")
    index.wheel("nvidia_nccl_cu12", "2.21.5", tag="py3-none-manylinux2014_x86_64")
    index.wheel("torch", "2.5.1", ["nvidia-cuda-runtime-cu12==12.4.127", "nvidia-nccl-cu12"], tag=TAG)
    index.wheel("torchvision", "0.20.1", ["torch==2.5.1"], tag=TAG)
    index.wheel("sentences", "1.0", ["torch>=2"])
    index.wheel("xgboost", "2.1", ["nvidia-nccl-cu12"])
    index.build("cpu", "torch", "2.5.1+cpu", tag=TAG)
    index.build("cpu", "torch", "2.6.0+cpu", tag=TAG)  # not the version that is asked for
    index.build("cpu", "torchvision", "0.20.1+cpu", ["torch==2.5.1"], tag=TAG)
    index.build("cu118", "torch", "2.5.1+cu118", tag=TAG)
    address = index.url.removesuffix("/simple")
    monkeypatch.setenv(VARIABLE, address)
    return address


def built(place: Accelerator | None, *requirements: str) -> tuple[Builds, tuple[str, ...]]:
    """What is chosen, and the names and versions that it comes to, arrays left out."""
    found = builds_for(Wanted(requirements), "3.11", AMD, place)
    lines = packages_of(found.wanted, "3.11", AMD).lines
    return found, tuple(line for line in lines if not line.startswith(("numpy", "pandas")))


@pytest.mark.parametrize("asked", [("torch==2.5.1",), ("torch>=2,<2.6",), ("sentences", "torch<2.6")])
def test_where_no_gpu_is_nothing_of_cuda_comes_along(index: Index, asked: tuple[str, ...]) -> None:
    found, lines = built(NOTHING, *asked)
    assert "torch==2.5.1+cpu" in lines
    assert not any("nvidia" in line for line in lines)
    assert (found.said, found.warning) == ("torch 2.5.1+cpu: ml.m5.large has no GPU", "")
    assert build(packages_of(found.wanted, "3.11", AMD), found.wanted, silent).layer.unpacked


def test_what_is_built_on_it_comes_in_the_same_build(index: Index) -> None:
    _, lines = built(NOTHING, "torchvision")
    assert lines == ("torch==2.5.1+cpu", "torchvision==0.20.1+cpu")


def test_the_layer_is_addressed_by_what_is_in_it(index: Index) -> None:
    """However it came to be chosen; and a model that none of it concerns has one layer for all places."""
    other, plain = (packages_of(built(place, "torch==2.5.1")[0].wanted, "3.11", AMD) for place in (NOTHING, NEW))
    assert other.address != plain.address
    assert plain.address == packages_of(Wanted(("torch==2.5.1",)), "3.11", AMD).address
    assert len({packages_of(built(place, "numpy")[0].wanted, "3.11", AMD).address for place in (None, NOTHING, NEW)}) == 1


def test_who_does_without_pytorch_asks_nobody_for_its_pages(index: Index) -> None:
    found, _ = built(NOTHING, "numpy")
    assert found == Builds(Wanted(("numpy",)))
    assert not [path for path in index.asked if path.startswith("/cpu")]


def test_what_several_gpus_alone_load_is_left_out_where_none_is(index: Index) -> None:
    found, lines = built(NOTHING, "xgboost")
    assert lines == ("xgboost==2.1",)
    assert found.said == "without nvidia-nccl-cu12: ml.m5.large has no GPU"
    assert "nvidia-nccl-cu12==2.21.5" in built(NEW, "xgboost")[1]
    assert "nvidia-nccl-cu12==2.21.5" in built(NOTHING, "xgboost", "nvidia-nccl-cu12")[1], "who asks for it gets it"


def test_a_gpu_gets_the_build_that_its_driver_runs(index: Index) -> None:
    assert built(NEW, "torch==2.5.1")[0] == Builds(Wanted(("torch==2.5.1",))), "PyPI's own"
    found, lines = built(OLD, "torch==2.5.1")
    assert lines == ("torch==2.5.1+cu118",)
    assert found.said == "torch 2.5.1+cu118: ml.g5.xlarge has a GPU and driver 470"


def test_a_gpu_gets_one_with_cuda_where_the_index_has_none(index: Index) -> None:
    """An index of processors' builds alone, or another architecture's wheels."""
    index.wheel("torch", "2.4.0", tag=TAG)
    index.build("cu124", "torch", "2.4.0+cu124", ["nvidia-cuda-runtime-cu12==12.4.127"], tag=TAG)
    _, lines = built(NEW, "torch==2.4.0")
    assert lines == ("nvidia-cuda-runtime-cu12==12.4.127", "torch==2.4.0+cu124")


def test_what_the_model_says_of_its_build_stands(index: Index, pytorch: str) -> None:
    index.wheel("torch", "2.5.1+cpu", tag=TAG)
    found, lines = built(NEW, "torch==2.5.1+cpu")
    assert (found.said, lines) == ("", ("torch==2.5.1+cpu",))
    digest = "sha256:" + hashlib.sha256((index.directory / f"torch-2.5.1-{TAG}.whl").read_bytes()).hexdigest()
    by_digest = Wanted(("torch==2.5.1",), hashes={"torch==2.5.1": (digest,)})
    assert builds_for(by_digest, "3.11", AMD, NOTHING) == Builds(by_digest)


@pytest.mark.parametrize(("address", "why"), [("http://127.0.0.1:1", "does not answer"), ("", "has no other build of that version")])
def test_where_the_right_one_is_not_to_be_had_it_is_said(index: Index, pytorch: str, address: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, address or f"{pytorch}/elsewhere")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    found, lines = built(NOTHING, "torch==2.5.1")
    assert "torch==2.5.1" in lines
    assert found.warning.startswith("torch 2.5.1 comes with CUDA, and ml.m5.large has no GPU: ")
    assert why in found.warning
    assert VARIABLE in found.warning


def test_who_has_an_index_of_his_own_is_sent_to_no_other(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    found, lines = built(NOTHING, "torch==2.5.1")
    assert "torch==2.5.1" in lines
    assert f"packages come from an index of your own; {VARIABLE} names one of PyTorch's builds" in found.warning


def test_credentials_in_its_address_are_in_no_argument_and_no_message(index: Index, pytorch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    run = subprocess.run

    def watched(arguments: list[str], **how: object) -> object:
        seen.extend(map(str, arguments))
        return run(arguments, **how)  # type: ignore[call-overload]

    monkeypatch.setattr("deployer_images.uv.subprocess.run", watched)
    monkeypatch.setenv(VARIABLE, pytorch.replace("http://", "http://us:hush@") + "/nowhere")
    found, _ = built(NOTHING, "torch==2.5.1")
    assert "hush" not in found.warning
    assert not [each for each in seen if "hush" in each]
    monkeypatch.setenv(VARIABLE, pytorch.replace("http://", "http://us:hush@"))
    found, lines = built(NOTHING, "torch==2.5.1")
    assert lines == ("torch==2.5.1+cpu",)
    build(packages_of(found.wanted, "3.11", AMD), found.wanted, silent)
    assert not [each for each in seen if "hush" in each]


def test_a_process_that_stands_in_for_the_image_has_the_same_build(index: Index) -> None:
    python = environment_of(("torch==2.5.1+cpu", "numpy==2.0"), "3.11")
    assert subprocess.check_output([python, "-c", "import torch; print(torch.VERSION)"], text=True) == "2.5.1+cpu\n"


def test_the_plan_says_which_and_why(index: Index, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch==2.5.1\n")
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: own, python_version: 3.11.7}}\n")
    model = PackagedModel(ModelFacts("./churn", Digest("sha256:1"), python_version="3.11.7", requirements=("torch==2.5.1",)), tmp_path)
    shared = Image("r/d@sha256:2", Digest("sha256:2"), python_version="3.11", runtime="1", packages={})
    will = layered(shared, model, "r/d:x", "deployer-scoring:0.1.0-py311", accelerator=NOTHING)
    assert "once for this lock; torch 2.5.1+cpu: ml.m5.large has no GPU)" in str(will.planned)
    assert fit(model.facts, will, "auto", NOTHING).fits
    assert inventory(model, AMD, None, accelerator=OLD).document()["builds"] == "torch 2.5.1+cu118: ml.g5.xlarge has a GPU and driver 470"
