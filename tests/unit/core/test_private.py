"""Directories that are one user's alone, whoever was there first."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.artifacts import cache as models_cache
from deployer.core.private import own_directory, private_directory
from deployer.errors import MachineFault
from deployer_images import cache as images_cache
from deployer_localstack.options import new_token, token_of
from deployer_targets.local import home
from deployer_targets.local.names import StateDirectories


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """A user whose files are everybody's, unless who makes them says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_and_what_is_there_is_closed(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b")
    there = tmp_path / "there"
    there.mkdir(mode=0o777)
    assert (mode(made), mode(private_directory(there)), mode(own_directory(there, advice=""))) == (0o700, 0o700, 0o700)


def test_a_link_is_not_followed_where_anybody_may_have_put_it(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir(mode=0o755)
    for leads in (target, tmp_path / "nowhere"):
        link.unlink(missing_ok=True)
        link.symlink_to(leads)
        with pytest.raises(MachineFault) as caught:
            own_directory(link, advice="choose another")
        assert caught.value.advice == "choose another"
        assert mode(target) == 0o755


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_what_is_no_directory_is_told(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.touch()
    else:
        os.mkfifo(place)
    with pytest.raises(MachineFault, match=str(place)):
        own_directory(place, advice="")
    with pytest.raises(MachineFault):
        own_directory(place / "below", advice="")


def test_another_user_s_is_refused_and_a_cache_of_another_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir(mode=0o755)
    owner = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: owner)
    with pytest.raises(MachineFault, match="belongs to somebody else"):
        own_directory(directory, advice="")
    assert private_directory(directory) == directory
    assert mode(directory) == 0o755


@pytest.mark.parametrize("runtime", ["", "run"])
def test_sockets_and_copies_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = StateDirectories.of({"XDG_CACHE_HOME": str(tmp_path / "cache"), **({"XDG_RUNTIME_DIR": str(tmp_path / runtime)} if runtime else {})})
    place.sockets.parent.mkdir(parents=True, mode=0o777)
    home.prepare(place)
    assert {mode(each) for each in (place.sockets, place.sockets.parent, place.models.parent)} == {0o700}


def test_a_directory_that_the_user_named_keeps_its_mode(tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.mkdir(mode=0o755)
    place = StateDirectories.of({"DEPLOYER_LOCAL_DIR": str(named)})
    home.prepare(place)
    assert (mode(named), mode(place.sockets), mode(place.models)) == (0o755, 0o700, 0o700)


@pytest.mark.parametrize("there", [False, True])
def test_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if there:
        (tmp_path / "deployer" / "models").mkdir(parents=True)
    for use in (
        lambda: models_cache.kept("model", 1, lambda partial: (partial / "file").touch()),
        lambda: images_cache.made(images_cache.root() / "environments" / "one", lambda directory: (directory / "file").touch()),
        lambda: images_cache.write(images_cache.root() / "locks" / "one", "text"),
    ):
        (tmp_path / "deployer").mkdir(exist_ok=True)
        (tmp_path / "deployer").chmod(0o755)
        use()
        assert mode(tmp_path / "deployer") == 0o700


def test_the_control_api_s_token_is_another_each_time_and_nobody_else_s(tmp_path: Path) -> None:
    assert token_of(tmp_path) == ""
    tokens = [new_token(tmp_path) for _ in range(3)]
    assert token_of(tmp_path) == tokens[-1]
    assert len(set(tokens)) == 3
    assert min(len(token) for token in tokens) > 40
    assert [mode(each) for each in tmp_path.iterdir()] == [0o600]


def test_a_link_in_the_token_s_place_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for name in ("token", "token.new"):
        (tmp_path / name).symlink_to(victim)
    assert token_of(tmp_path) == "kept"
    assert token_of(tmp_path) != new_token(tmp_path)
    assert victim.read_text() == "kept"
