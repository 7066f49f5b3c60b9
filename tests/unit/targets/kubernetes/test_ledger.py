"""What a ledger tells of what else there is, so that the cluster needn't be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.ledger import has_secrets
from tests.unit.targets.kubernetes.builders import spec


def ledger(*specs: DeploymentSpec[KubernetesConfig]) -> Mapping[str, Any]:
    return {"data": {f"record.{each.generation}": each.record.to_json() for each in specs}}


@pytest.mark.parametrize("options", [{"env": {"WORD": "one"}}, {"pull_secret": True}])
def test_secrets_are_looked_for_where_a_record_has_one(options: Mapping[str, Any]) -> None:
    assert has_secrets(ledger(spec("one"), spec("two", **options)))
    assert not has_secrets(ledger(spec("one"), spec("two")))


def test_secrets_are_looked_for_where_no_ledger_says_that_there_are_none() -> None:
    assert has_secrets(None)
    assert not has_secrets({"data": {"claim": "run"}})
