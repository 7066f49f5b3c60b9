"""What pods calculate on, by what they ask their node for."""

from __future__ import annotations

import json
import re

from deployer.core.accelerators import Accelerator
from deployer_targets.kubernetes.config import KubernetesConfig

_NVIDIA = re.compile(r"nvidia\.com(?:/|~1)(?:gpu|mig)")


def accelerator(config: KubernetesConfig) -> Accelerator | None:
    """NVIDIA's GPUs, whole or a part, or nothing; None where it is a device of somebody else's, or reached without being asked for.

    Drivers are the nodes': which one a pod will meet isn't known.
    """
    asked = {*config.resources.limits, *config.resources.requests}
    if any(map(_NVIDIA.match, asked)) or _NVIDIA.search(json.dumps(dict(config.patch), default=dict)):
        return Accelerator("a pod with nvidia.com/gpu", gpu=True)
    if any("/" in each for each in asked) or config.runtime_class:
        return None
    return Accelerator("a pod without nvidia.com/gpu", gpu=False)
