from __future__ import annotations

import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import names


@pytest.mark.parametrize("name", ["c", "churn", "churn-2", "c" * 63])
def test_names_that_a_service_can_have(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize("name", ["", "c" * 64, "2churn", "Churn", "churn-", "-churn", "chu_rn", "chu.rn", "ü", "churn\n"])
def test_names_that_none_can_have(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="can't name a Service"):
        names.check_name(name)


@pytest.mark.parametrize("candidate", ["churn", "My Model (v2)", "größe_東京", "-", "", "a" * 300, "1", "x--y", "models:/x/1", "9" * 80])
def test_any_candidate_gives_a_name(candidate: str) -> None:
    assert names.check_name(names.name_for(candidate))
