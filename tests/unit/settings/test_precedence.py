"""Nearer options win, and each says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid
from deployer.settings.config_file import ConfigFile
from deployer.settings.precedence import Options, from_environment, from_pairs, gather, user_file
from docs.examples import memory_target as memory

HERE = TargetUri("memory", "here")


class Platform(memory.Memory):
    """A target whose platform has defaults of its own."""

    asked: Mapping[str, Any]

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        self.asked = named
        return {"instance_type": "platform", "tags": {"from": "platform"}}, {"instance_type": "defaults.yaml", "tags": "defaults.yaml"}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "deployer").mkdir()
    (tmp_path / "deployer" / "config.yaml").write_text("targets:\n  memory:\n    instance_type: mine\n    keep: 5\n")
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_each_place_wins_over_those_behind_it(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "churn.yaml").write_text("targets:\n  memory:/here:\n    instance_type: file\n    instance_count: 2\n    timeout_seconds: 30\n")
    file = ConfigFile.read(tmp_path / "churn.yaml")
    environ = {**home, "DEPLOYER_TIMEOUT_SECONDS": "60", "DEPLOYER_INSTANCE_COUNT": "3", "DEPLOYER_TARGET": "memory:/x", "DEPLOYER_KEEP": ""}
    settings = gather(Platform(), HERE, from_pairs(["instance_count=4"]), file=file, environ=environ)
    assert settings.named.values == {"instance_count": "4", "timeout_seconds": "60", "instance_type": "file"}
    assert settings.standing.values == {"instance_type": "mine", "keep": 5, "tags": {"from": "platform"}}
    assert settings.all.origins == {
        "instance_count": "command line",
        "timeout_seconds": "DEPLOYER_TIMEOUT_SECONDS",
        "instance_type": f"{tmp_path}/churn.yaml:3",
        "keep": f"{tmp_path}/deployer/config.yaml:4",
        "tags": "defaults.yaml",
    }


def test_the_platform_is_told_what_is_named_already(home: dict[str, str]) -> None:
    target = Platform()
    gather(target, HERE, from_pairs(["instance_count=4"]), environ=home)
    assert target.asked == {"instance_count": "4", "instance_type": "mine", "keep": 5}


def test_the_users_file_need_not_be_there_nor_name_this_target(tmp_path: Path, home: dict[str, str]) -> None:
    assert gather(Platform(), HERE, Options(), environ={"XDG_CONFIG_HOME": str(tmp_path / "none")}).standing.values["instance_type"] == "platform"
    (tmp_path / "deployer" / "config.yaml").write_text("targets: {sagemaker: {instance_type: ml.m5.large}}")
    assert gather(Platform(), HERE, Options(), environ=home).standing.values["instance_type"] == "platform"


def test_the_users_file_is_in_the_config_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert user_file({}) == Path("/home/ada/.config/deployer/config.yaml")
    assert user_file({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/deployer/config.yaml")


def test_only_options_of_the_target_are_read_from_the_environment() -> None:
    found = from_environment(memory.Options, {"DEPLOYER_INSTANCE_TYPE": "large", "DEPLOYER_MODEL": "/opt/ml/model", "INSTANCE_COUNT": "3"})
    assert found.values == {"instance_type": "large"}


def test_a_pair_is_split_at_its_first_equals_sign() -> None:
    assert from_pairs(['env={"A": "b=c"}', "keep=1", "keep=2"]).values == {"env": '{"A": "b=c"}', "keep": "2"}
    with pytest.raises(ConfigInvalid, match="-C keep is not key=value"):
        from_pairs(["keep"])


def test_values_are_not_shown_where_options_are_printed() -> None:
    assert "hunter2" not in repr(Options.of({"env": {"TOKEN": "hunter2"}}, "command line"))
