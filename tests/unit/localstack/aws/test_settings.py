"""Settings as texts."""

from __future__ import annotations

import pytest

from deployer_localstack.aws.settings import AwsSettings


def test_settings_take_texts_and_refuse_the_wrong_kind() -> None:
    settings = AwsSettings()
    settings.change({"creating_seconds": "2", "quotas": "{'ml.m5.large': 1}", "container_exits": 1})
    assert (settings.creating_seconds, settings.quotas, settings.container_exits) == (2.0, {"ml.m5.large": 1}, 1)
    for wrong in ({"creating_seconds": "soon"}, {"container_exits": 1.5}, {"nothing": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings.change(wrong)
    settings.restore()
    assert settings == AwsSettings()
