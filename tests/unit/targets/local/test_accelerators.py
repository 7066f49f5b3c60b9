"""What models on this machine calculate on, by the files of a kernel with a driver and without."""

from pathlib import Path

import pytest

from deployer.core.accelerators import Accelerator
from deployer_targets.local.accelerators import accelerator
from deployer_targets.local.config import LocalConfig


@pytest.mark.parametrize(
    ("files", "runtime", "gpu", "driver"),
    [
        ({}, "process", False, 0),
        ({}, "auto", False, 0),
        ({"sys/module/nvidia/version": "535.183.01\n"}, "process", True, 535),
        ({"sys/module/nvidia/version": "rolling\n"}, "process", True, 0),
        ({"sys/module/nvidia/version": "535.183.01\n"}, "docker", False, 0),
    ],
)
def test_docker_is_asked_for_none(tmp_path: Path, files: dict[str, str], runtime: str, gpu: bool, driver: int) -> None:
    found = at(tmp_path, files, runtime)
    assert found
    assert (found.gpu, found.driver) == (gpu, driver)


@pytest.mark.parametrize(("files", "runtime"), [({"sys/module/nvidia/version": "535.183.01\n"}, "auto"), ({"dev/dxg": ""}, "process")])
def test_it_isn_t_known_before_the_runtime_is_and_below_windows(tmp_path: Path, files: dict[str, str], runtime: str) -> None:
    assert at(tmp_path, files, runtime) is None


def at(root: Path, files: dict[str, str], runtime: str) -> Accelerator | None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return accelerator(LocalConfig.parse({"runtime": runtime}, target="local"), root)
