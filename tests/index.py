"""A package index on this machine, PEP 503 or 691, and the packages that tests put on it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

ANY = "py3-none-any"


class Index:
    """Serves the files of a directory.

    Attributes:
        asked: the paths of all requests.
        hashes: whether its pages say what the files' digests are.
        broken: files that are served with another byte at their end.
        held: files that are not served before they are taken out of here.
        login: user and password that it wants; None: none.
        days: when it got each file, by name; told by its JSON pages.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.url = ""
        self.asked: list[str] = []
        self.hashes = True
        self.json = False
        self.broken: set[str] = set()
        self.held: set[str] = set()
        self.login: tuple[str, str] | None = None
        self.days: dict[str, str] = {}

    def wheel(self, name: str, version: str, requires: Sequence[str] = (), *, tag: str = ANY, python: str = "", **modules: str) -> Path:
        return wheel(self.directory, name, version, requires, tag=tag, python=python, **modules)

    def sdist(self, name: str, version: str, setup: str, more: Mapping[str, str] | None = None) -> Path:
        return sdist(self.directory, name, version, setup, more)

    def build(self, which: str, name: str, version: str, requires: Sequence[str] = (), *, tag: str = ANY) -> Path:
        """A wheel that isn't on the project's page but on one of its own, /WHICH/NAME/, as PyTorch has them."""
        return wheel(self.directory / which, name, version, requires, tag=tag)

    def page(self, name: str, folder: str = "") -> tuple[str, bytes]:
        """The page of a project and its content type."""
        place = self.directory / folder
        files = sorted(file for file in (place.iterdir() if place.is_dir() else ()) if file.name.partition("-")[0].replace("_", "-") == name)
        digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        if self.json:
            listed = [
                {
                    "filename": each,
                    "url": f"/files/{each}",
                    "hashes": {"sha256": digest} if self.hashes else {},
                    "size": len((self.directory / each).read_bytes()),
                    **({"upload-time": f"{self.days[each]}T00:00:00Z"} if each in self.days else {}),
                }
                for each, digest in digests.items()
            ]
            document = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": listed}
            return "application/vnd.pypi.simple.v1+json", json.dumps(document).encode() if files else b""
        marks = {each: f"#sha256={digest}" if self.hashes else "" for each, digest in digests.items()}
        where = f"/files/{folder}/" if folder else "/files/"
        return "text/html", "".join(f'<a href="{where}{quote(each)}{mark}">{each}</a>' for each, mark in marks.items()).encode()


@contextmanager
def serving_index(directory: Path) -> Iterator[Index]:
    """An index of what is in the directory, on a free port of the loopback."""
    index = Index(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            if index.login and self.headers.get("Authorization") != "Basic " + base64.b64encode(":".join(index.login).encode()).decode():
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kind, _, name = unquote(self.path).strip("/").partition("/")
            while name in index.held:
                time.sleep(0.05)
            file = index.directory / name
            if kind == "simple":
                content_type, body = index.page(name)
            elif kind != "files":
                content_type, body = index.page(name, kind)
            else:
                content_type, body = "application/octet-stream", file.read_bytes() if file.is_file() else b""
            if name in index.broken:
                body += b"\0"
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # who asked may be interrupted
                self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, *_: object) -> None: ...

    Handler.do_HEAD = Handler.do_GET  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield index
        server.shutdown()


@pytest.fixture
def index_of_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index with numpy and pandas, which every set has, and a cache of the test's own."""
    with serving_index(tmp_path / "index") as index:
        for name in (each for each in os.environ if each.startswith(("UV_", "PIP_"))):
            monkeypatch.delenv(name)
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        for libc in ("x86_64", "aarch64"):
            index.wheel("numpy", "2.0", tag=f"cp311-cp311-manylinux_2_17_{libc}", numpy=f"MACHINE = {libc!r}\n")
        index.wheel("pandas", "3.0", ["numpy"])
        yield index


def wheel(directory: Path, name: str, version: str, requires: Sequence[str] = (), *, tag: str = ANY, python: str = "", **modules: str) -> Path:
    """A wheel; without modules it has one of its own name, whose VERSION is the wheel's.

    Args:
        python: the versions of Python that it asks for.
    """
    info, content = f"{name}-{version}.dist-info", modules or {name: f"VERSION = {version!r}\n"}
    files = {f"{module}.py": text for module, text in content.items()}
    about = [
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {each}" for each in requires),
        *([f"Requires-Python: {python}"] if python else []),
    ]
    files[f"{info}/METADATA"] = "\n".join(["Metadata-Version: 2.1", *about, ""])
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    file = directory / f"{name}-{version}-{tag}.whl"
    file.parent.mkdir(parents=True, exist_ok=True)
    files[f"{info}/RECORD"] = "\n".join([*(_recorded(path, text) for path, text in files.items()), f"{info}/RECORD,,"])
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # without the time of day: the same file has the same hash, which caches go by
    return file


def sdist(directory: Path, name: str, version: str, setup: str, more: Mapping[str, str] | None = None) -> Path:
    """A source distribution whose setup.py is given; of old metadata, so that only a build says what it requires."""
    files = {"PKG-INFO": f"Metadata-Version: 1.2\nName: {name}\nVersion: {version}\n", "setup.py": textwrap.dedent(setup), **(more or {})}
    file = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return file


def _recorded(path: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text.encode())}"
