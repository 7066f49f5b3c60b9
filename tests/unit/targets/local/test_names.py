"""Names, places and options."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.core.options import Takes
from deployer.errors import ConfigInvalid
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.names import StateDirectories, check_name, name_for


@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "churn-2", "a--b"])
def test_these_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 64, "-a", "a-", "A", "a_b", "a/b", "..", "ä", "a\n"])
def test_these_are_not(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="1 to 63 lower-case letters"):
        check_name(name)


@pytest.mark.parametrize(
    ("candidate", "name"), [("Churn v2", "churn-v2"), ("größe", "gr-e"), ("", "model"), ("東京", "model"), ("a" * 62 + "-b", "a" * 62), ("1", "1")]
)
def test_the_nearest_name_is_valid(candidate: str, name: str) -> None:
    assert check_name(name_for(candidate)) == name


def test_the_place_is_the_named_directory_or_the_users_own() -> None:
    named = StateDirectories.of({"DEPLOYER_LOCAL_DIR": "/here", "XDG_RUNTIME_DIR": "/run/user/1"})
    assert (named.socket("a"), named.models_of("a")) == (Path("/here/run/a/socket"), Path("/here/models/a"))
    users = StateDirectories.of({"XDG_RUNTIME_DIR": "/run/user/1", "XDG_CACHE_HOME": "/cache"})
    assert users.socket("a") == Path("/run/user/1/deployer/local/a/socket")
    assert users.models.parent == Path("/cache/deployer/local")
    other = StateDirectories.of({"XDG_RUNTIME_DIR": "/run/user/2", "XDG_CACHE_HOME": "/cache"})
    assert other.models != users.models


def test_what_changes_in_place_is_marked_so() -> None:
    marks = {name: mark.takes for name, mark in LocalConfig.marks().items()}
    assert {name for name, takes in marks.items() if takes is Takes.LIVE} == {
        "host",
        "port",
        "startup_timeout",
        "drain_timeout",
        "max_restarts",
        "tags",
    }
    assert {name for name, takes in marks.items() if takes is Takes.GENERATION} == {"env", "runtime"}


@pytest.mark.parametrize(("option", "value"), [("port", "70000"), ("port", "http"), ("runtime", "podman"), ("host", ""), ("max_restarts", -1)])
def test_wrong_values_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ConfigInvalid, match=option):
        LocalConfig.parse({option: value}, target="local")
