"""Environments and build contexts, made by uv: cached by lock, with private indexes, and what is said when they can't be made."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.artifacts import fetch
from deployer.errors import CredentialsInvalid, MachineFault, ModelInvalid, TargetUnavailable
from deployer_images import context, environments, locks, uv
from deployer_images.environments import environment, environment_of
from deployer_images.resolved import resolved
from deployer_images.wanted import Wanted
from tests.index import serving_index
from tests.models import copied_model


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of ours with nothing in it; uv keeps its own, so that packages are at hand."""
    monkeypatch.setenv("UV_CACHE_DIR", uv.uv("cache", "dir", doing="asking").strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deployer"


def run(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True, env={}).stdout.strip()


def test_an_environment_is_made_once_for_each_lock(empty_cache: Path) -> None:
    said: list[str] = []
    first = environment(Wanted(("click==8.1.7",)), "3.11.7", say=said.append)
    assert run(first, "import click, deployer_scoring, importlib.metadata as m; print(m.version('click'))") == "8.1.7"
    assert len(said) == 1
    assert environment(Wanted(("click == 8.1.7",)), "3.11", say=said.append) == first
    assert len(said) == 1
    assert environment(Wanted(("click==8.1.6",)), "3.11") != first


@pytest.mark.parametrize("told", ["1", ""])
def test_it_is_compiled_ahead_where_python_may_write_no_bytecode(empty_cache: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", told)
    python = environment(Wanted(("click==8.1.7",)), "3.11")
    compiled = list(empty_cache.glob("*/*/**/*.pyc"))
    assert {"click", "msgspec"} <= {file.parent.parent.name for file in compiled} if told else not compiled
    assert run(python, "import click, msgspec; print(click.__version__)") == "8.1.7"


def test_the_models_packages_win_over_the_runtimes(empty_cache: Path) -> None:
    python = environment(Wanted(("click==8.1.7",)), "3.11")
    where = run(python, "import click, numpy, sys; print(click.__file__); print(numpy.__file__); print(sys.path[-1])").splitlines()
    assert where[0].startswith(str(empty_cache / "environments"))
    assert where[1].startswith(where[2])
    assert where[2].startswith(str(empty_cache / "runtimes"))
    assert not list(Path(where[2]).glob("click*"))  # what the model brings is there once


def test_constraints_are_kept_to_without_being_required(empty_cache: Path) -> None:
    python = environment(
        Wanted(
            ("flask==3.0.3",),
            (
                "werkzeug==3.0.3",
                "tabulate==0.9.0",
            ),
        ),
        "3.11",
    )
    code = "import importlib.metadata as m, importlib.util as u; print(m.version('werkzeug'), u.find_spec('tabulate'))"
    assert run(python, code) == "3.0.3 None"


def test_a_killed_maker_s_child_still_holds_the_lock(empty_cache: Path) -> None:
    from deployer_images import cache

    with cache.locked(empty_cache / "thing"):
        child = subprocess.Popen(["sleep", "30"], pass_fds=cache.held())
    waiting = threading.Thread(target=lambda: cache.made(empty_cache / "thing", lambda _: None))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    child.kill()
    child.wait()
    waiting.join(5)
    assert (empty_cache / "thing" / ".complete").exists()


def test_what_was_killed_half_made_is_made_anew(empty_cache: Path) -> None:
    python = environment_of(["click==8.1.7"], "3.11")
    directory = python.parents[1]
    (directory / ".complete").unlink()
    (directory / "lib" / "python3.11" / "site-packages" / "click" / "__init__.py").unlink()
    assert run(environment_of(["click==8.1.7"], "3.11"), "import click; print(click.echo.__name__)") == "echo"


def test_a_lock_is_kept_for_when_no_index_answers(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = locks.locked(Wanted(("click<8.2",)), "3.11")
    (file,) = (empty_cache / "locks").glob("*.json")
    os.utime(file, (0, 0))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "true")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert locks.locked(Wanted(("click<8.2",)), "3.11") == before
    with pytest.raises(TargetUnavailable, match="no package index answers"):
        locks.locked(Wanted(("click<8.1",)), "3.11")


def test_a_floor_with_a_patch_is_held_against_the_whole_version_of_python(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_index(tmp_path / "index") as index:
        index.wheel("patched", "1.0", python=">=3.11.1")
        monkeypatch.setenv("UV_INDEX", index.url)
        for python in ("3.11.1", "3.11.7", "3.11"):  # the last is that of an interpreter here
            assert locks.locked(Wanted(("patched",)), python).packages == ("patched==1.0",)
        with pytest.raises(ModelInvalid) as refused:
            locks.locked(Wanted(("patched",)), "3.11.0")
        assert ">=3.11.1" in refused.value.why


def test_what_is_built_before_all_else_is_installed_unless_the_requirements_bring_it(empty_cache: Path) -> None:
    lock = locks.locked(Wanted(("click==8.1.7",), build=("setuptools==69.2.0",)), "3.11")
    assert lock.packages == ("click==8.1.7", "setuptools==69.2.0")
    assert locks.locked(Wanted(("setuptools==70.0.0",), build=("setuptools==69.2.0",)), "3.11").packages == ("setuptools==70.0.0",)
    assert (
        run(environment(Wanted(build=("setuptools==69.2.0",)), "3.11"), "import pkg_resources, setuptools; print(setuptools.__version__)") == "69.2.0"
    )


def test_a_file_is_the_one_of_the_lock_or_none(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_index(tmp_path / "index") as index:
        file = index.wheel("ours", "1.0")
        monkeypatch.setenv("UV_INDEX", index.url)
        lock = locks.locked(Wanted(("ours==1.0",)), "3.11")
        assert set(lock.hashes) == {*lock.packages, *lock.runtime}
        assert lock.hashes["ours==1.0"] == (f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",)
        index.wheel("ours", "1.0", ours="CHANGED = True\n")
        monkeypatch.setenv("UV_NO_CACHE", "true")
        with pytest.raises(ModelInvalid, match=r"the file of ours==1\.0 is not the one that is asked for"), context.context(lock, Wanted()):
            pass


def test_compiled_packages_from_before_numpy_2_are_told_by_the_day_that_the_index_says(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = "cp311-cp311-manylinux_2_17_x86_64"
    with serving_index(tmp_path / "index") as index:
        index.json = True
        for name, requires, kind, day in (
            ("aged", ["numpy"], tag, "2023-05-01"),
            ("recent", ["numpy"], tag, "2024-07-01"),
            ("pure", ["numpy"], "py3-none-any", "2023-05-01"),
            ("alone", [], tag, "2023-05-01"),
        ):
            index.days[index.wheel(name, "1.0", requires, tag=kind).name] = day
        monkeypatch.setenv("UV_INDEX", index.url)
        model = copied_model("doubler", tmp_path)
        (model / "requirements.txt").write_text("aged\nrecent\npure\nalone\n")
        there, unresolved = resolved(fetch(str(model)), "3.11.7", build=False, timeout_seconds=60)
    assert unresolved is None
    assert there.compiled_before == {"aged": "2023-05-01"}


def test_requirements_that_contradict_are_told_in_a_sentence(empty_cache: Path) -> None:
    with pytest.raises(ModelInvalid) as refused:
        environment(
            Wanted(
                (
                    "click==8.1.7",
                    "click==8.1.6",
                )
            ),
            "3.11",
        )
    assert "click==8.1.7" in refused.value.why


def test_a_python_that_is_nowhere_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "_fetched", lambda _: None)  # downloading one is uv's business
    with pytest.raises(MachineFault, match=r"Python 3\.99 is not on this machine"):
        environments.environment_of(["click==8.1.7"], "3.99")


USER, PASSWORD = "reader", "hunter2secret"


@pytest.fixture
def private_index(tmp_path: Path) -> Iterator[str]:
    """An index with one package that wants a password: its URL, without."""
    wheel = "ours-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / wheel, "w") as archive:
        archive.writestr("ours.py", "VALUE = 42\n")
        archive.writestr("ours-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
        archive.writestr("ours-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            "ours-1.0.dist-info/RECORD", "ours.py,,\nours-1.0.dist-info/METADATA,,\nours-1.0.dist-info/WHEEL,,\nours-1.0.dist-info/RECORD,,\n"
        )
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == expected
            found = self.path in ("/simple/ours/", f"/{wheel}")
            body = (tmp_path / wheel).read_bytes() if self.path.endswith(".whl") else f'<a href="/{wheel}">{wheel}</a>'.encode()
            self.send_response(401 if not allowed else 200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body if allowed and found and self.command == "GET" else b"")

        def log_message(self, *_: object) -> None: ...

    Index.do_HEAD = Index.do_GET  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


def test_a_private_index_s_password_is_used_and_never_kept(empty_cache: Path, private_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", private_index.replace("://", f"://{USER}:{PASSWORD}@"))
    python = environment(Wanted(("ours==1.0",)), "3.11")
    assert run(python, "import ours; print(ours.VALUE)") == "42"
    kept = [path for path in empty_cache.rglob("*") if path.is_file() and not path.is_symlink()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes() or PASSWORD in path.name]


def test_a_private_index_that_wants_another_password_says_so(empty_cache: Path, private_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", private_index.replace("://", "://reader:wrongpassword@"))
    with pytest.raises(CredentialsInvalid) as refused:
        environment(Wanted(("ours==1.0",)), "3.11")
    assert "wrongpassword" not in f"{refused.value} {refused.value.why}"


def test_a_build_context_has_the_packages_and_no_password(empty_cache: Path, private_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", private_index.replace("://", f"://{USER}:{PASSWORD}@"))
    lock = locks.locked(Wanted(("ours==1.0",)), "3.11", platform="linux/amd64")
    with context.context(lock, Wanted()) as archive:
        content = archive.read()
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            members = {member.name: member for member in tar}
    assert PASSWORD.encode() not in content
    assert {"Dockerfile", "packages/ours.py", "runtime/deployer_scoring/__main__.py", "runtime/bin/uv", "scripts"} <= set(members)
    assert {(member.uid, member.mtime, member.uname) for member in members.values()} == {(0, 0, "")}
    assert {member.mode for member in members.values()} == {0o644, 0o755}
    with context.context(lock, Wanted()) as again:
        assert again.read() == content


def test_packages_are_unpacked_for_another_platform(empty_cache: Path) -> None:
    lock = locks.locked(Wanted(("markupsafe==3.0.2",)), "3.12", platform="linux/arm64")
    with context.context(lock, Wanted()) as archive, tarfile.open(fileobj=archive) as tar:
        assert any(name.endswith("cpython-312-aarch64-linux-gnu.so") for name in tar.getnames() if name.startswith("packages/markupsafe"))
