"""Packages: the same bytes for the same model, in bounded memory, and never of a model that changes meanwhile."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.artifacts.content import content_digest, files
from deployer.artifacts.package import BLOCK, Filler, Hashed, Tar, TarGz, gzipped, gzipped_at_most
from deployer.errors import ModelInvalid


def archived(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def test_a_package_unpacks_to_the_model(model: Path, tmp_path: Path) -> None:
    archived(b"".join(TarGz(model))).extractall(tmp_path / "out", filter="data")
    assert content_digest(files(tmp_path / "out")) == content_digest(files(model))


def test_the_same_model_gives_the_same_bytes_wherever_and_whenever(model: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    for path in reversed(files(model)):
        target = again / path.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.source, target)
        target.chmod(0o700 if path.executable else 0o600)
        os.utime(target, (1, 1))
    (again / "__pycache__").mkdir()
    assert b"".join(TarGz(again)) == b"".join(TarGz(model))
    assert b"".join(Tar(again)) == b"".join(Tar(model))


def test_a_package_names_nobody_and_no_time(model: Path) -> None:
    data = b"".join(TarGz(model))
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
    for member in archived(data):
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
        assert member.mode == (0o755 if member.isdir() or member.name == "code/run.sh" else 0o644)


def test_a_directory_comes_before_what_is_in_it(model: Path) -> None:
    names = archived(b"".join(Tar(model, prefix="opt/model"))).getnames()
    assert names[:3] == ["opt", "opt/model", "opt/model/MLmodel"]
    assert names.index("opt/model/data/ÿ") < names.index("opt/model/data/ÿ/deep.bin")
    assert len(names) == len(set(names))


@pytest.mark.parametrize("prefix", ["/opt", "../out"])
def test_a_prefix_stays_inside(model: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="relative"):
        Tar(model, prefix=prefix)


def test_long_and_foreign_names_survive(tmp_path: Path) -> None:
    name = "a/" * 60 + "ü" * 100
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("x")
    tar = Tar(tmp_path)
    data = b"".join(tar)
    assert len(data) == tar.size
    assert name in archived(data).getnames()


def test_the_size_of_a_tar_is_known_before_and_that_of_a_gzip_at_most(model: Path) -> None:
    (model / "random").write_bytes(os.urandom(3 * BLOCK + 5))
    assert len(b"".join(Tar(model))) == Tar(model).size
    assert len(b"".join(TarGz(model))) <= TarGz(model).size_estimate


@pytest.mark.parametrize(
    "content",
    [b"", b"x", os.urandom(BLOCK), os.urandom(2 * BLOCK + 1), b"abc" * BLOCK, os.urandom(BLOCK) + bytes(BLOCK)],
    ids=["nothing", "a byte", "noise", "more noise", "text", "half noise"],
)
def test_what_was_compressed_comes_back(content: bytes) -> None:
    chunks = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)]
    packed = b"".join(gzipped(chunks))
    assert gzip.decompress(packed) == content
    assert len(packed) <= gzipped_at_most(len(content))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=200)))
def test_any_chunks_come_back(chunks: list[bytes]) -> None:
    assert gzip.decompress(b"".join(gzipped(chunks))) == b"".join(chunks)


def test_what_shrinks_is_compressed_and_what_does_not_is_stored(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"the same again " * BLOCK)
    (tmp_path / "noise").write_bytes(os.urandom(2 * BLOCK))
    assert 2 * BLOCK < len(b"".join(TarGz(tmp_path))) < 3 * BLOCK


def test_a_file_that_grows_shrinks_or_changes_meanwhile_is_refused(model: Path) -> None:
    digest = content_digest(files(model))
    for content, what in (("(longer than it was", "data/model.pkl"), (".", "data/model.pkl"), ("].", "the model")):
        package = TarGz(model, expecting=digest)
        (model / "data" / "model.pkl").write_text(content)
        with pytest.raises(ModelInvalid, match=f"{what} changed while it was being packaged"):
            b"".join(package)
        (model / "data" / "model.pkl").write_text("N.")
    assert b"".join(TarGz(model, expecting=digest))


def test_a_large_file_is_hashed_once_and_a_change_of_it_is_seen_all_the_same(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = model / "large.bin"
    large.write_bytes(os.urandom(2 << 20))
    digest = content_digest(files(model))
    hashed: list[int] = []
    sha256 = hashlib.sha256

    class Counted:
        def __init__(self, *given: bytes) -> None:
            self.whole = sha256(*given)

        def update(self, piece: memoryview) -> None:
            hashed.append(len(piece))
            self.whole.update(piece)

        def digest(self) -> bytes:
            return self.whole.digest()

        def hexdigest(self) -> str:
            return self.whole.hexdigest()

    monkeypatch.setattr(hashlib, "sha256", Counted)
    assert b"".join(TarGz(model, expecting=digest))
    assert sum(hashed) < 1 << 20
    os.utime(large, (1, 1))  # other times, the same bytes: they are hashed again, and fit
    assert b"".join(TarGz(model, expecting=digest))
    assert sum(hashed) > 2 << 20
    status = large.stat()
    with large.open("r+b") as handle:
        handle.seek(1 << 20)
        handle.write(b"other")
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ModelInvalid, match="the model changed while it was being packaged"):
        b"".join(TarGz(model, expecting=digest))


def test_a_large_file_that_changes_between_its_pieces_is_refused(model: Path) -> None:
    large = model / "data" / "large.bin"
    large.write_bytes(os.urandom(3 * BLOCK + (1 << 20)))
    stream = iter(TarGz(model, expecting=content_digest(files(model))).tar)
    next(stream)
    with large.open("r+b") as handle:
        handle.seek(-1, os.SEEK_END)
        handle.write(b"x")
    with pytest.raises(ModelInvalid, match="the model changed while it was being packaged"):
        list(stream)


def test_digests_are_taken_in_the_same_pass(model: Path) -> None:
    plain = Hashed(Tar(model))
    packed = Hashed(gzipped(plain))
    data = b"".join(packed)
    assert packed.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert plain.digest == f"sha256:{hashlib.sha256(gzip.decompress(data)).hexdigest()}"
    assert (packed.size, plain.size) == (len(data), Tar(model).size)


def test_a_digest_is_not_told_before_the_end(model: Path) -> None:
    hashed = Hashed(TarGz(model))
    next(iter(hashed))
    with pytest.raises(ValueError, match="once all chunks were read"):
        _ = hashed.digest


def test_buffers_are_filled_one_after_the_other_and_the_last_is_cut() -> None:
    filler, first, second, third = Filler([b"ab", b"", b"cdefg", memoryview(b"h")]), bytearray(3), bytearray(4), bytearray(4)
    assert [filler.fill(first), filler.fill(second), filler.fill(third)] == [True, True, False]
    assert [bytes(each) for each in (first, second, third)] == [b"abc", b"defg", b"h"]


def test_who_stops_in_the_middle_leaves_no_thread_working(model: Path) -> None:
    import threading

    (model / "random").write_bytes(os.urandom(4 * BLOCK))
    stream = iter(TarGz(model))
    next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gzip")]


def test_a_large_model_is_never_held_whole(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as handle:
        handle.truncate(200 << 20)
    tracemalloc.start()
    try:
        for _ in TarGz(tmp_path, expecting=content_digest(files(tmp_path))):
            pass
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
