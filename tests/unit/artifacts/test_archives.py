"""Archives of strangers: what would write outside, twice, without end or anything but files is refused, and nothing of it stays."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.artifacts import archives, cache
from deployer.artifacts.archives import unpack
from deployer.artifacts.fetching import fetch
from deployer.errors import MachineFault, ModelInvalid


def tar(*members: tuple[tarfile.TarInfo | str, bytes], mode: Any = "w:gz") -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=mode) as made:
        for each, content in members:
            info = each if isinstance(each, tarfile.TarInfo) else tarfile.TarInfo(each)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def zipped(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as made:
        for each, content in members:
            made.writestr(each, content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def _node(kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo("MLmodel")
    info.type, info.linkname = kind, target
    return info


def _mode(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("MLmodel")
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    return info


def _header(size: int, kind: bytes) -> bytes:
    """A tar whose header says that so many bytes of names follow."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2 << 20))


def _headers() -> bytes:
    """A tar of nothing but headers that say that a name follows."""
    info = tarfile.TarInfo("x")
    info.type = tarfile.GNUTYPE_LONGNAME
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) * 5000)


def _sparse() -> bytes:
    """A member of a terabyte that is one hole."""
    info = tarfile.TarInfo("MLmodel")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "MLmodel", "GNU.sparse.realsize": str(1 << 40)}
    content = b"1\n1099511627775\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    return tar((info, content), mode="w:")


def _lying_zip() -> bytes:
    """A member that says it is small."""
    whole = bytearray(zipped(("MLmodel", b"x" * 100_000)))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", whole, whole.index(mark) + at, 10)
    return bytes(whole)


LEADS_OUT = "leads out"
BAD: dict[str, tuple[bytes, str]] = {
    "a path up": (tar(("../x", b"")), LEADS_OUT),
    "a path up in the middle": (tar(("a/../../x", b"")), LEADS_OUT),
    "a whole path": (tar(("/tmp/x", b"")), LEADS_OUT),
    "a path up in a zip": (zipped(("../x", b"")), LEADS_OUT),
    "a whole path in a zip": (zipped(("/tmp/x", b"")), LEADS_OUT),
    "a link": (tar((_node(tarfile.SYMTYPE), b"")), "a link or a device"),
    "a hard link": (tar((_node(tarfile.LNKTYPE), b"")), "a link or a device"),
    "a device": (tar((_node(tarfile.CHRTYPE), b"")), "a link or a device"),
    "a block device": (tar((_node(tarfile.BLKTYPE), b"")), "a link or a device"),
    "a pipe": (tar((_node(tarfile.FIFOTYPE), b"")), "a link or a device"),
    "a link in a zip": (zipped((_mode(stat.S_IFLNK), b"/etc/passwd")), "a link or a device"),
    "a pipe in a zip": (zipped((_mode(stat.S_IFIFO), b"")), "a link or a device"),
    "a file twice": (tar(("a", b"1"), ("a", b"2")), "twice"),
    "a file twice by another path": (tar(("a", b"1"), ("./a", b"2")), "twice"),
    "a file twice in a zip": (zipped(("a/b", b"1"), ("a//b", b"2")), "twice"),
    "names that differ in case": (tar(("Data/a", b"1"), ("data/A", b"2")), "twice"),
    "names that are composed otherwise": (tar(("\u00e9", b"1"), ("e\u0301", b"2")), "twice"),
    "a file and a folder": (tar(("a", b"1"), ("a/b", b"2")), "twice"),
    "a folder and a file": (tar(("a/b", b"1"), ("a", b"2")), "twice"),
    "a long name": (tar(("x" * 300, b"")), "too long"),
    "a long path": (tar(("/".join(["x" * 100] * 20), b"")), "too long"),
    "folders without end": (tar(("a/" * 400 + "x", b"")), "too long"),
    "a name that is not UTF-8": (tar(("\udcff", b""), mode="w:"), "not UTF-8"),
    "a header without end": (_header(1 << 40, tarfile.GNUTYPE_LONGNAME), "broken"),
    "a pax header without end": (_header(1 << 40, tarfile.XHDTYPE), "broken"),
    "headers of headers": (_headers(), "broken"),
    "a zip that lies": (_lying_zip(), "broken"),
    "a cut tar": (tar(("MLmodel", bytes(100_000)))[:-20], "broken"),
    "a cut zip": (zipped(("MLmodel", bytes(1000)), ("x", bytes(1000)))[:-30], "neither a tar nor a zip"),
    "a broken block": (b"BZh9" + b"\0" * 100, "neither a tar nor a zip"),
    "not an archive": (b"hello", "neither a tar nor a zip"),
    "nothing": (b"", "neither a tar nor a zip"),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deployer" / "models"


def _left(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.name.endswith(".lock")]


@pytest.mark.parametrize("kind", BAD)
def test_an_archive_that_is_no_model_is_refused_at_once_and_nothing_of_it_stays(kind: str, tmp_path: Path, root: Path) -> None:
    content, said = BAD[kind]
    (tmp_path / "archive").write_bytes(content)
    begun = time.process_time()
    with pytest.raises(ModelInvalid, match=said):
        fetch(str(tmp_path / "archive"))
    assert time.process_time() - begun < 3
    assert _left(root) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "cache"]


BOMBS: dict[str, Callable[[int], bytes]] = {
    "gzip": lambda size: tar(("MLmodel", bytes(size))),
    "bzip2": lambda size: tar(("MLmodel", bytes(size)), mode="w:bz2"),
    "xz": lambda size: tar(("MLmodel", bytes(size)), mode="w:xz"),
    "zip": lambda size: zipped(("MLmodel", bytes(size))),
    "many members": lambda size: zipped(*((f"{at}", bytes(size // 10)) for at in range(10))),
    "a hole": lambda _: _sparse(),
    "a gzip of a gzip": lambda size: gzip.compress(tar(("MLmodel", bytes(size)))),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(kind: str, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_OF_RATIO", 1 << 20)
    (tmp_path / "archive").write_bytes(BOMBS[kind](8 << 20))
    with pytest.raises(ModelInvalid, match="neither a tar nor a zip" if kind == "a gzip of a gzip" else "times its size"):
        fetch(str(tmp_path / "archive"))
    assert _left(root) == []


def test_more_files_than_a_model_has_are_refused(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    for content in (tar(*((f"f{at}", b"") for at in range(30))), zipped(*((f"f{at}", b"") for at in range(30)))):
        (tmp_path / "archive").write_bytes(content)
        with pytest.raises(ModelInvalid, match="more than 10 files"):
            fetch(str(tmp_path / "archive"))
    folders = [tarfile.TarInfo(f"d{at}") for at in range(100)]
    for each in folders:
        each.type = tarfile.DIRTYPE
    (tmp_path / "archive").write_bytes(tar(*((each, b"") for each in folders)))
    with pytest.raises(ModelInvalid, match="more than 20 entries"):
        fetch(str(tmp_path / "archive"))
    monkeypatch.setattr(archives, "_MOST_OF_DIRECTORY", 100)
    (tmp_path / "archive").write_bytes(zipped(*((f"f{at}", b"") for at in range(5))))
    with pytest.raises(ModelInvalid, match="more than 10 files"):
        fetch(str(tmp_path / "archive"))
    assert _left(root) == []


def test_a_disk_without_room_is_said_before_it_is_full(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").write_bytes(tar(("MLmodel", os.urandom(3 << 20))))
    monkeypatch.setattr(cache, "_RESERVE", 1 << 60)
    with pytest.raises(MachineFault, match="is full"):
        fetch(str(tmp_path / "archive"))
    assert _left(root) == []


def test_what_a_killed_run_left_goes_with_the_next_fetch_of_anything(tmp_path: Path, root: Path) -> None:
    killed = root / "other-0123.partial"
    killed.mkdir(parents=True)
    (killed / "half").write_bytes(b"x")
    busy = root / "busy-0123.partial"
    busy.mkdir()
    with cache._locked(root / "busy-0123"):
        cache.kept("model", 1, lambda directory: None)
    assert not killed.exists()
    assert busy.exists()


@pytest.mark.parametrize("form", ["w:", "w:gz", "w:bz2", "w:xz", "zip"])
def test_good_archives_are_unpacked_as_they_are(form: str, tmp_path: Path) -> None:
    files = {"MLmodel": b"flavors: {}", "data/ü/x": os.urandom(3_000_000), "empty": b"", "./a//b": b"1"}
    content = zipped(*files.items()) if form == "zip" else tar(*files.items(), mode=form)
    unpack(io.BytesIO(content), tmp_path, "it")
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {
        os.path.normpath(name): data for name, data in files.items()
    }


_GOOD = [tar(("MLmodel", b"flavors: {}"), ("data/x", bytes(3000)), mode=mode) for mode in ("w:", "w:gz", "w:bz2", "w:xz")]
_GOOD.append(zipped(("MLmodel", b"flavors: {}"), ("data/x", bytes(3000))))


@given(st.data())
def test_an_archive_that_is_corrupted_anywhere_is_unpacked_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(_GOOD)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    directory = tmp_path_factory.mktemp("unpacked")
    with suppress(ModelInvalid):
        unpack(io.BytesIO(bytes(content[:cut] if data.draw(st.booleans()) else content)), directory, "it")


def test_what_decompressors_raise_is_a_broken_archive(tmp_path: Path) -> None:
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        whole = compress(tar(("MLmodel", os.urandom(100_000)), mode="w:"))
        middle = len(whole) // 2
        for at, content in enumerate((whole[:middle], whole[:middle] + bytes(50) + whole[middle + 50 :])):
            with pytest.raises(ModelInvalid, match=r"broken archive|neither a tar"):
                unpack(io.BytesIO(content), tmp_path / f"{compress.__module__}{at}", "it")
