"""Reaching a workspace asks nothing, and needs what the extra brings."""

from __future__ import annotations

import sys

import pytest

from deployer.core.target import TargetUri
from deployer.errors import ExtraMissing
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.target import AzureMl

URI = TargetUri.parse("azureml:/sub-1/group-1/work-1")


@pytest.mark.parametrize("module", ["azure.core", "azure.identity", "requests"])
def test_without_its_extra_the_target_names_it(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissing) as missing:
        AzureMl().connect(URI, AzureMlConfig.parse({}, target="azureml"))
    assert missing.value.advice == 'pip install "deployer-ml[azureml]"'


def test_the_place_is_told_without_asking() -> None:
    target = AzureMl()
    assert target.where(target.connect(URI, AzureMlConfig.parse({}, target="azureml"))) == "workspace work-1, resource group group-1"
