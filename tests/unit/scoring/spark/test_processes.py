"""How a Spark worker and its executor's model process find each other and talk."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from deployer_scoring.errors import LoadError
from deployer_scoring.spark import frames, shipping
from deployer_scoring.spark.client import ModelProcessSpec, meeting_place, own_directory

_ORDER = ModelProcessSpec("identity", "/model", "python", ("/a",), {}, 600.0)


def test_messages_arrive_whole_and_the_end_between_them_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    large = os.urandom(3_000_000)
    writer = threading.Thread(target=lambda: (frames.send_json(ours, frames.HELLO, {"a": 1}), frames.send(ours, frames.BATCH, large), ours.close()))
    writer.start()
    with theirs:
        hello, batch, end = (frames.receive(theirs) for _ in range(3))
    writer.join()
    assert hello is not None and hello.json() == {"a": 1}
    assert batch is not None and (batch.kind, bytes(batch.body)) == (frames.BATCH, large)
    assert end is None


@pytest.mark.parametrize("length", [4, 12])
def test_an_end_within_a_message_is_an_error(length: int) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall((frames.BATCH + (100).to_bytes(8, "big") + b"xyz")[:length])
        ours.close()
        with pytest.raises(ConnectionError):
            frames.receive(theirs)


def test_one_model_in_two_environments_has_two_processes() -> None:
    names = {_ORDER.name, replace(_ORDER, python="other").name, replace(_ORDER, environment={"A": "1"}).name, replace(_ORDER, identity="b").name}
    assert len(names) == 4
    assert replace(_ORDER, model="/the same, unpacked elsewhere").name == _ORDER.name


def test_the_meeting_place_is_of_this_user_alone_and_short_enough_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 40)))
    place = meeting_place()
    try:
        assert place.stat().st_mode & 0o777 == 0o700
        assert len(str(place / f"{_ORDER.name}.socket")) < 100
    finally:
        place.rmdir()


def test_a_directory_that_others_can_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(LoadError, match="not a directory of this user alone"):
        own_directory(tmp_path / "open")
    (tmp_path / "link").symlink_to(own_directory(tmp_path / "own"))
    with pytest.raises(LoadError, match="not a directory of this user alone"):
        own_directory(tmp_path / "link")


def test_a_model_saved_again_is_another(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}")
    before = shipping.identity(tmp_path)
    assert shipping.identity(tmp_path) == before
    os.utime(tmp_path / "MLmodel", (1, 1))
    assert shipping.identity(tmp_path) != before
