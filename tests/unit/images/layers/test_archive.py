"""A layer: the same files give the same bytes, and a tar that everything reads."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from deployer.oci import Compression
from deployer_images.layers.archive import ArchiveEntry, Layer, reading, write_layer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FILES = (
    ArchiveEntry("opt/deployer/a.py", b"x = 1\n"),
    ArchiveEntry("opt/deployer/bin/run", b"#!/bin/sh\n", executable=True),
    ArchiveEntry("opt/deployer/bin/other", link="run"),
    ArchiveEntry("opt/deployer/a/empty", b""),
)


ALL = pytest.mark.parametrize(("compression", "quickly"), [(Compression.GZIP, False), (Compression.GZIP, True), (Compression.ZSTD, False)])


def written(*entries: ArchiveEntry, compression: Compression = Compression.GZIP, quickly: bool = False) -> tuple[Layer, bytes]:
    target = io.BytesIO()
    return write_layer(entries, target, compression, quickly=quickly), target.getvalue()


@ALL
def test_what_is_said_of_a_layer_is_so(compression: Compression, quickly: bool) -> None:
    layer, content = written(*FILES, compression=compression, quickly=quickly)
    plain = gzip.decompress(content) if compression is Compression.GZIP else zstd.decompress(content)
    assert layer.compression is compression
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
    def at(folder: str, mode: int) -> tuple[ArchiveEntry, ...]:
        file = tmp_path / folder / "b.py"
        file.parent.mkdir()
        file.write_bytes(os.urandom(0) + b"y = 2\n" * 400_000)
        file.chmod(mode)
        os.utime(file, (mode, mode))
        return (*FILES, ArchiveEntry("opt/deployer/b.py", file))

    assert written(*at("one", 0o644))[1] == written(*reversed(at("two", 0o600)))[1]


def test_the_tar_is_the_same_however_it_is_compressed() -> None:
    by_gzip, by_zstd, quickly = written(*FILES)[0], written(*FILES, compression=Compression.ZSTD)[0], written(*FILES, quickly=True)[0]
    assert by_gzip.diff_id == by_zstd.diff_id == quickly.diff_id
    assert len({by_gzip.digest, by_zstd.digest, quickly.digest}) == 3


@ALL
@pytest.mark.parametrize("cores", [1, 2, 7])
def test_how_many_cores_compress_is_not_seen(monkeypatch: pytest.MonkeyPatch, cores: int, compression: Compression, quickly: bool) -> None:
    large = ArchiveEntry("large", b"".join(index.to_bytes(4, "little") for index in range(1_300_000)))
    here = written(large, compression=compression, quickly=quickly)[1]
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert written(large, compression=compression, quickly=quickly)[1] == here


@ALL
@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 - 512, 1024 * 1024, 3 * 1024 * 1024 + 1])
def test_any_size_is_read_back(size: int, compression: Compression, quickly: bool, tmp_path: Path) -> None:
    content = os.urandom(size)
    layer, packed = written(
        ArchiveEntry("file", content), ArchiveEntry("ünï/" + "n" * 150 + "/" + "m" * 120, b"long"), compression=compression, quickly=quickly
    )
    (tmp_path / "layer").write_bytes(packed)
    with reading(tmp_path / "layer") as tar:
        names = []
        for member in tar:
            names.append(member.name)
            if member.name == "file":
                file = tar.extractfile(member)
                assert file is not None
                assert file.read() == content
        assert "ünï/" + "n" * 150 + "/" + "m" * 120 in names
    assert layer.unpacked % 512 == 0
