"""What Azure refuses is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.azureml import bodies
from deployer_targets.azureml.config import AzureMlConfig


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"instance_count": 0}, "greater than or equal to 1"),
        ({"instance_count": 51}, "less than or equal to 50"),
        ({"instance_type": "ml.m5.large"}, "Standard"),
        ({"request_settings": {"request_timeout_ms": 180_001}}, "less than or equal to 180000"),
        ({"request_settings": {"request_timeout": 5}}, "request_settings.request_timeout: is not known"),
        ({"auth_mode": "none"}, "'key', 'aml_token' or 'aad_token'"),
        ({"compute": "aks"}, "aks is not there yet"),
        ({"compute": "aci"}, "aci is not there yet"),
        ({"tags": {"a/b": "c"}}, "can't name a tag"),
        ({"tags": {"a": "x" * 257}}, "at most 256"),
        ({"tags": {"deployer-deployment": "x"}}, "kept"),
        ({"tags": {f"t{number}": "" for number in range(46)}}, "at most 45"),
    ],
)
def test_limits(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        AzureMlConfig.parse(options, target="azureml")
    assert says in refused.value.message


def test_times_are_iso_8601_on_the_wire() -> None:
    config = AzureMlConfig.parse({"request_settings": {"request_timeout_ms": 1500}, "liveness_probe": {"initial_delay": 600}}, target="azureml")
    sent = bodies.deployment("eastus", "/models/m", "/environments/e", config, {"A": "b"})["properties"]
    assert sent["requestSettings"]["requestTimeout"] == "PT1.5S"
    assert sent["livenessProbe"]["initialDelay"] == "PT600S"
    assert sent["environmentVariables"] == {"A": "b"}
