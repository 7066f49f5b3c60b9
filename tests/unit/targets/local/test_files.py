"""A deployment's directories: locks, leftovers, copies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployer.artifacts import content_digest, files
from deployer.errors import MachineFault, ModelInvalid
from deployer_targets.local import home
from deployer_targets.local.copying import copied
from deployer_targets.local.names import StateDirectories


@pytest.fixture
def place(tmp_path: Path) -> StateDirectories:
    place = StateDirectories.of({"DEPLOYER_LOCAL_DIR": str(tmp_path / "cloud")})
    home.prepare(place)
    return place


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "code").mkdir(parents=True)
    (directory / "MLmodel").write_text("flavors: {}")
    (directory / "code" / "run.sh").write_text("#!/bin/sh")
    (directory / "code" / "run.sh").chmod(0o755)
    (directory / "empty").write_bytes(b"")
    return directory


def test_directories_are_open_to_their_user_alone(place: StateDirectories) -> None:
    assert place.sockets.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineFault, match="can't be made"):
        home.prepare(StateDirectories.of({"DEPLOYER_LOCAL_DIR": str(tmp_path / "file" / "below")}))


def test_one_at_a_time_holds_a_name(place: StateDirectories) -> None:
    held = home.hold(place, "churn")
    assert held is not None
    assert home.hold(place, "churn") is None
    os.close(held)
    again = home.hold(place, "churn")
    assert again is not None
    os.close(again)


def test_what_a_killed_one_left_is_cleared_and_what_is_held_is_not(place: StateDirectories) -> None:
    held = home.hold(place, "alive")
    assert held is not None
    for name in ("alive", "dead"):
        place.home(name).mkdir(exist_ok=True)
        place.socket(name).touch()
        (place.models_of(name) / "0123456789").mkdir(parents=True)
    (place.models_of("orphan") / "0123456789.run").mkdir(parents=True)
    cleared = [name for name in home.names(place) if home.tidy(place, name)]
    os.close(held)
    assert cleared == ["dead", "orphan"]
    assert home.names(place) == ["alive"]
    assert place.socket("alive").exists()


def test_a_lock_on_a_directory_that_was_removed_meanwhile_is_none(place: StateDirectories) -> None:
    first = home.hold(place, "churn")
    assert first is not None
    home.clear(place, "churn")
    second = home.hold(place, "churn")
    assert second is not None
    os.close(first)
    os.close(second)


def test_a_copy_is_the_same_model(model: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    digest = content_digest(files(model))
    copied(model, tmp_path / "copy", expecting=digest, progress=lambda done, total: told.append((done, total)))
    assert content_digest(files(tmp_path / "copy")) == digest
    assert told[-1] == (20, 20)


def test_a_model_that_changed_since_it_was_digested_is_refused(model: Path, tmp_path: Path) -> None:
    digest = content_digest(files(model))
    (model / "MLmodel").write_text("flavors: {other: {}}")
    with pytest.raises(ModelInvalid, match="changed while it was being copied"):
        copied(model, tmp_path / "copy", expecting=digest, progress=lambda *_: None)
