"""A layer: the same files give the same bytes, and a tar that everything reads."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from deployer_images.layers.archive import Entry, Layer, write_layer

FILES = (
    Entry("opt/deployer/a.py", b"x = 1\n"),
    Entry("opt/deployer/bin/run", b"#!/bin/sh\n", executable=True),
    Entry("opt/deployer/bin/other", link="run"),
    Entry("opt/deployer/a/empty", b""),
)


def written(*entries: Entry) -> tuple[Layer, bytes]:
    target = io.BytesIO()
    return write_layer(entries, target), target.getvalue()


def test_what_is_said_of_a_layer_is_so() -> None:
    layer, content = written(*FILES)
    plain = gzip.decompress(content)
    assert layer.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert (layer.size, layer.unpacked) == (len(content), len(plain))


def test_files_are_of_root_without_times_and_their_folders_are_there() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(*FILES)[1])) as tar:
        members = {member.name: member for member in tar}
    assert [*members] == [
        "opt",
        "opt/deployer",
        "opt/deployer/a",
        "opt/deployer/a/empty",
        "opt/deployer/a.py",
        "opt/deployer/bin",
        "opt/deployer/bin/other",
        "opt/deployer/bin/run",
    ]
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members.values()} == {(0, 0, "", "", 0)}
    assert [oct(members[name].mode) for name in ("opt", "opt/deployer/a.py", "opt/deployer/bin/run")] == ["0o755", "0o644", "0o755"]
    assert members["opt/deployer/bin/other"].linkname == "run"


def test_neither_order_nor_times_nor_place_nor_owner_are_seen(tmp_path: Path) -> None:
    def at(folder: str, mode: int) -> tuple[Entry, ...]:
        file = tmp_path / folder / "b.py"
        file.parent.mkdir()
        file.write_bytes(os.urandom(0) + b"y = 2\n" * 400_000)
        file.chmod(mode)
        os.utime(file, (mode, mode))
        return (*FILES, Entry("opt/deployer/b.py", file))

    assert written(*at("one", 0o644))[1] == written(*reversed(at("two", 0o600)))[1]


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_how_many_cores_compress_is_not_seen(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    large = Entry("large", b"".join(index.to_bytes(4, "little") for index in range(1_300_000)))
    here = written(large)[1]
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert written(large)[1] == here


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 - 512, 1024 * 1024, 3 * 1024 * 1024 + 1])
def test_any_size_is_read_back(size: int) -> None:
    content = os.urandom(size)
    layer, packed = written(Entry("file", content), Entry("ünï/" + "n" * 150 + "/" + "m" * 120, b"long"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        file = tar.extractfile("file")
        assert file is not None
        assert file.read() == content
        assert "ünï/" + "n" * 150 + "/" + "m" * 120 in tar.getnames()
    assert layer.unpacked % 512 == 0
