"""The passwords of a private index and a private registry are in nothing that is made of them: one look at all of it."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deployer.oci import Credentials, Descriptor, Repository, docker_manifest, general_tag, labels
from deployer.oci.manifest import DOCKER_CONFIG
from deployer_images import scoring
from tests.docker import serving_registry
from tests.index import Index, index_of_arrays

index = index_of_arrays
OF_INDEX, OF_REGISTRY = "index-pa55word", "registry-pa55word"
HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuuTMgCuQV6fDwRldCq0rh/HNBaX5zuFoe\n"
"""Of the registry's password, by bcrypt."""
DEPLOY = str(Path(sys.executable).with_name("deploy"))


@pytest.fixture
def private(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry and an index that both want a password, and how this user has them configured; the registry's host."""
    index.login = ("reader", OF_INDEX)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", f"://reader:{OF_INDEX}@"))
    directory = tmp_path / "registry"
    directory.mkdir()
    (directory / "htpasswd").write_text(HTPASSWD)
    with serving_registry(directory, f"auth:\n  htpasswd:\n    realm: test\n    path: {directory / 'htpasswd'}\n") as host:
        docker = tmp_path / "docker"
        docker.mkdir()
        known = {"auths": {host: {"auth": base64.b64encode(f"me:{OF_REGISTRY}".encode()).decode()}}}
        (docker / "config.json").write_text(json.dumps(known))
        monkeypatch.setenv("DOCKER_CONFIG", str(docker))
        yield host


def spellings() -> set[bytes]:
    """Each password as it is, and as headers have it."""
    pairs = (("reader", OF_INDEX), ("me", OF_REGISTRY))
    return {each.encode() for _, each in pairs} | {base64.b64encode(":".join(pair).encode()).rstrip(b"=") for pair in pairs}


def test_no_password_is_in_anything_that_is_made(index: Index, private: str, tmp_path: Path) -> None:
    index.wheel("churn", "1.0", ["scaled"])
    index.wheel("scaled", "2.1")
    for each in {Requirement(line).name for line in scoring.requirements()} - {"numpy", "pandas"}:
        index.wheel(each, "99.0")
    model = tmp_path / "model"
    model.mkdir()
    (model / "requirements.txt").write_text("churn\n")
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: churn\n    data: data\n    python_version: 3.11.7\n")
    (model / "data").write_text("")
    _push_shared(Repository(private, "deployer-scoring", Credentials("me", OF_REGISTRY)))
    there = ("-m", str(model), "--registry", private)
    commands = (
        ("models", "packages", *there, "--build", "--debug"),
        ("models", "packages", *there, "-o", "json"),
        ("models", "build-docker", *there, "-n", "churn:1", "--push", "--debug"),
        ("models", "build-docker", *there, "-n", "churn:1", "--output", str(tmp_path / "made" / "image.tar")),
        ("models", "generate-dockerfile", "-m", str(model), "-d", str(tmp_path / "made" / "context")),
        ("images", "list", "--registry", private, "-o", "json"),
    )
    (tmp_path / "made").mkdir()
    with _seen_arguments() as arguments:
        for number, command in enumerate(commands):
            done = subprocess.run([DEPLOY, *command], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
            (tmp_path / "made" / f"said-{number}").write_bytes(done.stdout + done.stderr)
        # What goes wrong tells no more.
        index.login = ("reader", "another")
        (model / "requirements.txt").write_text("churn\nscaled\n")
        refused = subprocess.run([DEPLOY, "models", "packages", *there, "--build", "--debug"], capture_output=True, check=False)
        assert refused.returncode
        (tmp_path / "made" / "said-refused").write_bytes(refused.stdout + refused.stderr)
    assert any(b"deploy" in each for each in arguments)

    looked_at = {path: path.read_bytes() for part in ("made", "registry", "cache", "uv") for path in (tmp_path / part).rglob("*") if path.is_file()}
    assert any(path.name.startswith("layer.tar") for path in looked_at)
    assert any("manifests" in str(path) for path in looked_at)
    found = [
        (str(path.relative_to(tmp_path)), secret)
        for path, content in looked_at.items()
        for secret in spellings()
        if secret in content or secret in _unpacked(content) or secret.decode() in path.name
    ]
    assert not found
    assert not [each for each in arguments for secret in spellings() if secret in each]


def _push_shared(repository: Repository) -> None:
    said = {labels.PYTHON: "3.11", labels.PACKAGES: "[]", labels.RUNTIME: scoring.VERSION}
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": said}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    manifest = docker_manifest(Descriptor(DOCKER_CONFIG, repository.upload(config), len(config)), ())
    repository.put_manifest(manifest, general_tag("3.11"))


def _unpacked(content: bytes) -> bytes:
    """Layers and context are compressed; a password inside would not be seen."""
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(content)
    return b""


@contextmanager
def _seen_arguments() -> Iterator[set[bytes]]:
    """All arguments of all processes of this machine for as long as it lasts, as everybody here could read them."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        own = str(os.getpid())
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                if process.name != own:
                    with suppress(OSError):
                        seen.add((process / "cmdline").read_bytes())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()
