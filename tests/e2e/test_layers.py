"""Layers of packages: resolved by uv against an index on this machine, made from its wheels."""

from __future__ import annotations

import gzip
import hashlib
import io
import marshal
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployer.errors import CredentialsInvalid, MachineFault, ModelInvalid, TargetUnavailable
from deployer.events import Event, silent
from deployer_images import cache
from deployer_images.layers import bytecode
from deployer_images.layers.built import build
from deployer_images.layers.bytecode import Bytecode
from deployer_images.layers.package_set import PackageSet, packages_of
from deployer_images.layers.published import build_both
from deployer_images.layers.wheels import NoWheel
from deployer_images.wanted import Wanted
from tests.disks import tiny_disk
from tests.index import Index, index_of_arrays

SITE = "opt/deployer/venv/lib/python3.11/site-packages"
AMD, ARM = "linux/amd64", "linux/arm64"
index = index_of_arrays
RAN = "open({!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='evil', version='1.0')\n"


def files(packages: PackageSet, wanted: Wanted) -> dict[str, bytes]:
    """The files of its layer."""
    with tarfile.open(build(packages, wanted, silent).file) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def test_a_layer_has_the_model_s_packages_and_arrays_that_go_with_them(index: Index) -> None:
    index.wheel("churn", "1.0", ["scaled>=2"])
    index.wheel("scaled", "2.1")
    wanted = Wanted(("churn",))
    packages = packages_of(wanted, "3.11.7", AMD)
    assert packages.lines == ("churn==1.0", "numpy==2.0", "pandas==3.0", "scaled==2.1")
    found = files(packages, wanted)
    assert found[f"{SITE}/scaled.py"] == b"VERSION = '2.1'\n"
    assert found[f"{SITE}/numpy.py"] == b"MACHINE = 'x86_64'\n"


def test_packages_that_do_not_run_on_the_first_patch_of_a_python_are_had_for_later_ones(index: Index) -> None:
    index.wheel("late", "1.0", python=">=3.11.4")
    wanted = Wanted(("late",))
    packages = packages_of(wanted, "3.11.7", AMD)
    assert "late==1.0" in packages.lines
    assert files(packages, wanted)[f"{SITE}/late.py"] == b"VERSION = '1.0'\n"
    with pytest.raises(ModelInvalid, match="late"):
        packages_of(wanted, "3.11.3", AMD)


def test_what_the_indexes_have_is_asked_again_after_a_while(index: Index) -> None:
    index.wheel("churn", "1.0")
    packages = packages_of(Wanted(("churn",)), "3.11.7", AMD)
    index.asked.clear()
    assert packages_of(Wanted(("churn",)), "3.11.7", AMD) == packages
    assert index.asked == []
    kept = [*(cache.root() / "wheels").iterdir()]
    assert kept
    for file in kept:
        os.utime(file, (0, 0))
    better = index.wheel("churn", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert better.name in [wheel.file for wheel in packages_of(Wanted(("churn",)), "3.11.7", AMD).wheels]


def test_what_has_no_wheel_is_looked_for_anew(index: Index) -> None:
    index.wheel("late", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    pinned = Wanted(("late==1.0",))
    with pytest.raises(ModelInvalid, match="late"):
        packages_of(pinned, "3.11.7", AMD)
    index.wheel("late", "1.0")
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert "late==1.0" in packages_of(pinned, "3.11.7", AMD).lines


def test_whoever_makes_it_whenever_gets_the_same_bytes(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        index.wheel(name, "1.0")
    first = Wanted(("one", "two"))
    here = packages_of(first, "3.11.7", AMD)
    content = build(here, first, silent).file.read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "elsewhere" / "uv"))
    monkeypatch.setenv("UV_LINK_MODE", "copy")
    index.hashes = False  # then uv reads them from the files
    index.wheel("two", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")  # of no use to this Python
    again = Wanted(("Two ==1.0", "one"))
    there = packages_of(again, "3.11.2", AMD)
    assert there.address == here.address
    assert build(there, again, silent).file.read_bytes() == content


def test_another_platform_s_layer_is_made_here(index: Index) -> None:
    here, there = (packages_of(Wanted(), "3.11", platform) for platform in (AMD, ARM))
    assert here.address != there.address
    assert files(there, Wanted())[f"{SITE}/numpy.py"] == b"MACHINE = 'aarch64'\n"


def test_a_file_that_the_model_names_by_its_digest_is_that_one_or_none(index: Index) -> None:
    """Of several that would run there, too."""
    best = index.wheel("churn", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    other = index.wheel("churn", "1.0", churn="OTHER = 1\n")
    digests = [f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in (best, other)]

    def chosen(*named: str) -> str:
        return packages_of(Wanted(("churn==1.0",), hashes={"churn==1.0": named}), "3.11", AMD).wheels[0].digest

    assert chosen(*digests) == digests[0]
    assert chosen(digests[1]) == digests[1]
    with pytest.raises(NoWheel, match=r"churn==1\.0 has no wheel for Python 3\.11 on linux/amd64 with a digest"):
        chosen("sha256:" + "0" * 64)


def test_a_wheel_in_the_model_s_folder_is_one(index: Index, tmp_path: Path) -> None:
    index.wheel("own", "1.0").rename(tmp_path / "own-1.0-py3-none-any.whl")
    model = tmp_path / "model"
    (model / "code").mkdir(parents=True)
    shutil.move(tmp_path / "own-1.0-py3-none-any.whl", model / "code")
    (model / "requirements.txt").write_text("code/own-1.0-py3-none-any.whl\n")
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: own\n    code: code\n    python_version: 3.11.7\n")
    wanted = Wanted.of_model(model)
    found = files(packages_of(wanted, "3.11.7", AMD), wanted)
    assert found[f"{SITE}/own.py"] == b"VERSION = '1.0'\n"
    assert not [name for name, content in found.items() if str(tmp_path).encode() in content or name.endswith("direct_url.json")]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("evil==1.0",), "evil is only a source distribution"),
        (("evil",), "evil is only a source distribution"),
        (("churn @ git+https://example.com/churn",), "churn comes from a repository"),
    ],
)
def test_what_only_a_build_gives_is_refused_with_the_ways_out(index: Index, tmp_path: Path, asked: tuple[str, ...], said: str) -> None:
    index.sdist("evil", "1.0", RAN.format(str(tmp_path / "ran")))
    with pytest.raises(NoWheel, match=said) as refused:
        packages_of(Wanted(asked), "3.11.7", AMD)
    assert "--packages at-start" in refused.value.advice
    assert "engine" in refused.value.advice
    assert not (tmp_path / "ran").exists()


def test_a_wheel_for_other_platforms_alone_is_refused(index: Index) -> None:
    index.wheel("native", "1.0", tag="cp311-cp311-manylinux_2_17_aarch64")
    assert "native==1.0" in packages_of(Wanted(("native",)), "3.11.7", ARM).lines
    with pytest.raises(ModelInvalid, match=r"native==1\.0 has no wheel that runs there, only for manylinux_2_17_aarch64"):
        packages_of(Wanted(("native",)), "3.11.7", AMD)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("churn==2.0",), "no index has churn==2.0, the newest is churn==1.1"),
        (("churn>=2",), "no index has churn>=2, only churn<=1.1"),
        (("chrun",), "no index has a package chrun"),
        (("churn==1.0", "churn==1.1"), "churn==1.0 and churn==1.1 contradict one another"),
        (("old", "new"), "new and old contradict one another"),
        (("mac",), "mac==1.0 has no wheel that runs there, only for macosx_11_0_arm64"),
        (("later==1.0",), "later==1.0 has no wheel that runs there, only for cp312"),
        (("libc",), "libc==1.0 has no wheel that runs there, only for manylinux_2_35_x86_64"),
        (("asks==1.0",), "asks==1.0 needs Python >=3.12"),
        (("not a requirement",), "what is no requirement"),
    ],
)
def test_requirements_that_nothing_satisfies_are_told_with_what_there_is(index: Index, asked: tuple[str, ...], said: str) -> None:
    index.wheel("churn", "1.0")
    index.wheel("churn", "1.1")
    index.wheel("old", "1.0", ["churn<1.1"])
    index.wheel("new", "1.0", ["churn>=1.1"])
    index.wheel("mac", "1.0", tag="cp311-cp311-macosx_11_0_arm64")
    index.wheel("later", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    index.wheel("libc", "1.0", tag="cp311-cp311-manylinux_2_35_x86_64")
    index.wheel("asks", "1.0", python=">=3.12")
    with pytest.raises(ModelInvalid, match=re.escape(said)):
        packages_of(Wanted(asked), "3.11.7", AMD)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("libodd=1.0=h0_0", "conda.yaml lists libodd as a package of conda's, and .* no index has a package libodd"),
        ("churn=2.0", r"conda.yaml lists churn as a package of conda's, and .* no index has churn==2.0.\*"),
        ("evil", "evil is only a source distribution"),
    ],
)
def test_what_conda_has_and_no_index_is_refused_with_the_ways_out(index: Index, tmp_path: Path, listed: str, said: str) -> None:
    index.wheel("churn", "1.0")
    index.sdist("evil", "1.0", RAN.format(str(tmp_path / "ran")))
    (tmp_path / "conda.yaml").write_text(f"dependencies: [python=3.11, openssl=1.1.1=h_0, churn, {listed}]")
    with pytest.raises(ModelInvalid, match=said) as refused:
        packages_of(Wanted.of_model(tmp_path), "3.11.7", AMD)
    ways = ("engine", "--packages at-start") if listed == "evil" else ("requirements.txt", "--base IMAGE")
    assert all(way in refused.value.advice for way in ways)


@pytest.mark.parametrize("user", ["", "reader:wrong@"])
def test_an_index_that_refuses_us_is_told_without_the_password(index: Index, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    index.wheel("churn", "1.0")
    index.login = ("reader", "right")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", f"://{user}"))
    with pytest.raises(CredentialsInvalid, match="a package index refuses us") as refused:
        packages_of(Wanted(("churn",)), "3.11.7", AMD)
    assert "wrong" not in str(refused.value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", "://reader:right@"))
    packages = packages_of(Wanted(("churn",)), "3.11.7", AMD)
    assert not [name for name, content in files(packages, Wanted(("churn",))).items() if b"right@" in content]


def test_two_who_build_one_lock_at_once_make_it_once(index: Index) -> None:
    file = index.wheel("churn", "1.0")
    packages, heard = packages_of(Wanted(("churn",)), "3.11.7", AMD), list[Event]()
    index.held.add(file.name)
    with ThreadPoolExecutor(2) as both:
        made = [both.submit(build, packages, Wanted(("churn",)), heard.append) for _ in range(2)]
        time.sleep(0.3)
        index.held.clear()
    assert made[0].result() == made[1].result()
    assert len(list((cache.root() / "layers").glob("*/layer.tar"))) == 1
    assert not list((cache.root() / "builds").iterdir())


def test_a_disk_that_is_full_is_told_and_leaves_no_layer(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.wheel("churn", "1.0", churn=f"DATA = {os.urandom(150_000).hex()!r}\n")
    packages = packages_of(Wanted(("churn",)), "3.11.7", AMD)
    for full in ("XDG_CACHE_HOME", "UV_CACHE_DIR"):
        with tiny_disk(tmp_path / f"tiny-{full}") as tiny, monkeypatch.context() as patched:
            patched.setenv(full, str(tiny))
            patched.setenv("UV_LINK_MODE", "copy")
            with pytest.raises(MachineFault, match=r"full|could not be written") as refused:
                build(packages, Wanted(("churn",)), silent)
            assert "free some space" in refused.value.advice
            assert not list(cache.root().glob("layers/*/.complete"))
            assert not list((cache.root() / "builds").iterdir())


def test_ctrl_c_leaves_nothing_half_made_and_the_next_run_makes_it(index: Index) -> None:
    file = index.wheel("churn", "1.0")
    program = (
        "from deployer.events import silent; from deployer_images.wanted import Wanted; from deployer_images.layers.built import build;"
        "from deployer_images.layers.package_set import packages_of; wanted = Wanted(('churn',));"
        "build(packages_of(wanted, '3.11.7', 'linux/amd64'), wanted, silent)"
    )
    wanted = Wanted(("churn",))
    packages = packages_of(wanted, "3.11.7", AMD)
    index.asked.clear()
    index.held.add(file.name)
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stderr=subprocess.PIPE) as running:
        while not any(file.name in path for path in index.asked):
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        running.communicate(timeout=30)
    index.held.clear()
    assert not list(cache.root().glob("layers/*/.complete"))
    assert not list((cache.root() / "builds").iterdir())
    assert f"{SITE}/churn.py" in files(packages, wanted)


def test_a_file_that_is_not_the_one_that_was_chosen_makes_no_layer(index: Index) -> None:
    file = index.wheel("churn", "1.0")
    wanted = Wanted(("churn",))
    packages = packages_of(wanted, "3.11.7", AMD)
    index.broken.add(file.name)
    with pytest.raises(ModelInvalid, match="churn"):
        build(packages, wanted, silent)
    index.broken.clear()
    assert f"{SITE}/churn.py" in files(packages, wanted)


def test_bytecode_is_a_layer_of_its_own_that_nothing_is_held_against(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.wheel("churn", "1.0", churn="def f(): ...\n", not_python="def (:\n")
    wanted = Wanted(("churn",))
    packages, other = packages_of(wanted, "3.11.7", AMD), packages_of(Wanted(), "3.11.7", AMD)
    layers = build_both(packages, wanted, silent)
    with tarfile.open(layers[1].file) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    assert found.keys() == {f"{SITE}/__pycache__/{name}.cpython-311.pyc" for name in ("churn", "numpy", "pandas")}
    content = found[f"{SITE}/__pycache__/churn.cpython-311.pyc"]
    assert content[4] == 1  # a hash that isn't checked
    assert marshal.loads(content[16:]).co_filename == f"/{SITE}/churn.py"
    assert Bytecode(packages).address not in (packages.address, Bytecode(other).address)
    monkeypatch.setattr(bytecode, "installed_interpreter", lambda _: None)
    assert build_both(packages, wanted, silent) == layers[:1]


def test_a_layer_that_was_damaged_is_made_anew(index: Index) -> None:
    packages = packages_of(Wanted(), "3.11.7", AMD)
    file = build(packages, Wanted(), silent).file
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] + b"\0" * 5)
    assert build(packages, Wanted(), silent).file.read_bytes() == whole
    assert gzip.GzipFile(fileobj=io.BytesIO(whole)).read()


def test_an_index_that_is_down_is_told(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = packages_of(Wanted(), "3.11.7", AMD)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(TargetUnavailable):
        build(packages, Wanted(), silent)
    assert not (cache.root() / "layers" / packages.address.removeprefix("sha256:")[:40] / "layer.tar").exists()
