"""What models on this machine calculate on: docker is asked for no GPU, and a process has what the machine has."""

from __future__ import annotations

import re
from pathlib import Path

from deployer.core.accelerators import Accelerator
from deployer_images.layers.engine_images import PLACE
from deployer_targets.local.config import LocalConfig


def accelerator(config: LocalConfig, root: Path = Path("/")) -> Accelerator | None:
    """What there is beside processors; None where it isn't known.

    Args:
        root: of the machine's files.
    """
    if config.runtime == "docker":
        return PLACE
    here = of_processes(root)
    return None if config.runtime == "auto" and here is not None and here.gpu else here


def of_processes(root: Path = Path("/")) -> Accelerator | None:
    """What a process sees, by the driver in the kernel; below Windows, whose driver it is, that isn't known."""
    try:
        said = re.match(r"\d+", (root / "sys/module/nvidia/version").read_text())
    except OSError:
        return None if (root / "dev/dxg").exists() else Accelerator("this machine", gpu=False)
    return Accelerator("this machine", gpu=True, driver=int(said[0]) if said else 0)
