"""What pods calculate on."""

from typing import Any

import pytest

from deployer_targets.kubernetes.accelerators import accelerator
from deployer_targets.kubernetes.config import KubernetesConfig

PATCH = {"op": "add", "path": "/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu", "value": "1"}


@pytest.mark.parametrize(
    ("options", "gpu"),
    [
        ({}, False),
        ({"resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": 1}}}, True),
        ({"resources": {"limits": {"memory": "8Gi", "nvidia.com/mig-1g.5gb": 1}}}, True),
        ({"resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu.shared": 1}}}, True),
        ({"patch": {"Deployment": [PATCH]}}, True),
        ({"resources": {"limits": {"memory": "8Gi", "amd.com/gpu": 1}}}, None),
        ({"resources": {"limits": {"memory": "8Gi", "aws.amazon.com/neuron": 1}}}, None),
        ({"runtime_class": "nvidia"}, None),
        ({"resources": {"limits": {"memory": "8Gi", "ephemeral-storage": "4Gi"}}}, False),
    ],
    ids=str,
)
def test_a_gpu_is_what_the_pod_asks_for(options: dict[str, Any], gpu: bool | None) -> None:
    found = accelerator(KubernetesConfig.parse(options, target="kubernetes"))
    assert (found.gpu if found else None) is gpu
