"""The cache of fetched models: whole or not at all."""

import errno
import os
import threading
from pathlib import Path

import pytest

from deployer.artifacts import cache
from deployer.artifacts.transfer import Arrived, RemoteFile, download
from deployer.errors import MachineFault, ModelInvalid
from deployer.events import Event, StepFailed, StepFinished, StepProgressed, StepStarted


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "deployer" / "models"


def visible(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if not path.name.startswith(".")]


def test_what_is_made_once_is_found_again(root: Path) -> None:
    made = []
    for _ in range(2):
        place = cache.kept("churn", ["s3://b/churn", 1], lambda directory: made.append((directory / "MLmodel").write_text("x")))
    assert len(made) == 1
    assert (place / "MLmodel").read_text() == "x"
    assert place.parent == root
    assert place.name.startswith("churn-")


def test_another_key_is_another_place() -> None:
    assert cache.kept("churn", 1, lambda _: None) != cache.kept("churn", 2, lambda _: None)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), RuntimeError("no")])
def test_an_interrupted_fetch_leaves_nothing(root: Path, interruption: BaseException) -> None:
    def make(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise interruption

    with pytest.raises(type(interruption)):
        cache.kept("churn", 1, make)
    assert visible(root) == []


def test_what_a_killed_run_left_is_not_taken_for_the_model(root: Path) -> None:
    place = cache.kept("churn", 1, lambda _: None)
    place.rename(place.with_name(place.name + ".partial"))
    (place.with_name(place.name + ".partial") / "half").write_text("x")
    again = cache.kept("churn", 1, lambda directory: (directory / "whole").touch())
    assert [path.name for path in again.iterdir()] == ["whole"]
    assert visible(root) == [again.name]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(root: Path) -> None:
    def make(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MachineFault, match=r"disk that holds .* is full") as caught:
        cache.kept("churn", 1, make)
    assert caught.value.exit_code == 10
    assert visible(root) == []


def test_two_runs_that_want_the_same_fetch_it_once() -> None:
    entered, made = threading.Barrier(2), list[Path]()

    def run() -> None:
        entered.wait()
        cache.kept("churn", 1, made.append)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "..."])
def test_a_name_cannot_lead_out_of_the_cache(root: Path, name: str) -> None:
    assert cache.kept(name, 1, lambda _: None).parent == root


def test_a_relative_cache_home_is_no_cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == tmp_path / ".cache" / "deployer" / "models"


def test_a_store_cannot_write_outside_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="leads out"):
        download([RemoteFile("../escaped", 1)], lambda _, target, arrived: target.write_text("x"), tmp_path / "in", "s3://b", lambda _: None)
    assert not (tmp_path / "escaped").exists()


def test_progress_reaches_the_total_whatever_a_client_tells_in_between(tmp_path: Path) -> None:
    told: list[Event] = []

    def get(file: RemoteFile, target: Path, arrived: Arrived) -> None:
        target.write_text("x")
        if file.path == "a":
            arrived(2)

    download([RemoteFile("a", 3), RemoteFile("b/c", 4)], get, tmp_path, "s3://b", told.append)
    done = [event.done for event in told if isinstance(event, StepProgressed)]
    assert isinstance(told[0], StepStarted)
    assert done == sorted(done)
    assert done[-1] == 7
    assert isinstance(told[-1], StepFinished)
    assert (tmp_path / "b" / "c").exists()


def test_a_failed_file_ends_the_fetch_once_the_others_that_began_are_done(tmp_path: Path) -> None:
    begun, ended, told = [], [], list[Event]()

    def get(file: RemoteFile, target: Path, _: Arrived) -> None:
        begun.append(file.path)
        if file.path == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        ended.append(file.path)

    with pytest.raises(OSError, match="No space"):
        download([RemoteFile(str(number), 1) for number in range(100)], get, tmp_path, "s3://b", told.append)
    assert sorted(begun) == sorted([*ended, "1"])
    assert isinstance(told[-1], StepFailed)


def test_a_model_without_files_is_no_endless_wait(tmp_path: Path) -> None:
    download([], lambda _, target, arrived: None, tmp_path, "s3://b", lambda _: None)
