"""What uv unpacked on this machine, as an image has it."""

import csv
from pathlib import Path

import pytest

from deployer_images.layers.archive import ArchiveEntry
from deployer_images.layers.installed import entries, models

SITE = "opt/deployer/venv/lib/python3.11/site-packages"
INFO = "pkg-1.0.dist-info"


def unpacked(directory: Path, **more: str) -> Path:
    files = {
        ".lock": "",
        "bin/pkg": "#!/home/somebody/.venv/bin/python3\n# -*- coding: utf-8 -*-\nimport pkg\n",
        "bin/shell": "#!/bin/sh\necho hello\n",
        "bin/long": "#!/bin/sh\n'''exec' \"/a/very long/path/bin/python3\" \"$0\" \"$@\"\n' '''\nimport pkg\n",
        "pkg/__init__.py": "",
        "pkg/tests/test_pkg.py": "",
        "share/jupyter/pkg.json": "{}",
        f"{INFO}/METADATA": "Name: pkg\n",
        f"{INFO}/INSTALLER": "uv",
        f"{INFO}/REQUESTED": "",
        f"{INFO}/direct_url.json": '{"url": "file:///home/somebody/pkg.whl"}',
        f"{INFO}/uv_cache.json": '{"timestamp": 1}',
        **more,
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
        (directory / name).chmod(0o755 if name.startswith("bin/") else 0o644)
    rows = [f"{name},sha256=x,{len(text)}" for name, text in files.items() if name != ".lock"]
    (directory / INFO / "RECORD").write_text("\n".join([*reversed(rows), f"{INFO}/RECORD,,"]))
    return directory


def content(entry: ArchiveEntry) -> bytes:
    return entry.source.read_bytes() if isinstance(entry.source, Path) else entry.source


def of(directory: Path, *, trimmed: bool = True) -> dict[str, ArchiveEntry]:
    return {entry.name: entry for entry in entries(directory, models("3.11"), trimmed=trimmed)}


def test_nothing_of_the_machine_is_in_it(tmp_path: Path) -> None:
    found = of(unpacked(tmp_path))
    assert found.keys() == {
        "opt/deployer/venv/bin/pkg",
        "opt/deployer/venv/bin/shell",
        "opt/deployer/venv/bin/long",
        "opt/deployer/venv/share/jupyter/pkg.json",
        f"{SITE}/pkg/__init__.py",
        f"{SITE}/{INFO}/METADATA",
        f"{SITE}/{INFO}/INSTALLER",
        f"{SITE}/{INFO}/RECORD",
    }
    assert not [name for name, entry in found.items() if b"somebody" in content(entry) or str(tmp_path).encode() in content(entry)]


def test_commands_run_the_image_s_python(tmp_path: Path) -> None:
    found = of(unpacked(tmp_path))
    python = b"#!/opt/deployer/venv/bin/python\n"
    assert content(found["opt/deployer/venv/bin/pkg"]) == python + b"# -*- coding: utf-8 -*-\nimport pkg\n"
    assert content(found["opt/deployer/venv/bin/long"]) == python + b"import pkg\n"
    assert content(found["opt/deployer/venv/bin/shell"]) == b"#!/bin/sh\necho hello\n"
    assert {entry.executable for name, entry in found.items() if "/bin/" in name} == {True}


def test_a_package_says_what_it_has(tmp_path: Path) -> None:
    found = of(unpacked(tmp_path))
    rows = list(csv.reader(content(found[f"{SITE}/{INFO}/RECORD"]).decode().splitlines()))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    said = {str(Path(f"/{SITE}", row[0]).resolve())[1:]: row for row in rows}
    assert said.keys() == found.keys()
    assert said["opt/deployer/venv/bin/pkg"][2] == str(len(content(found["opt/deployer/venv/bin/pkg"])))


def test_what_is_left_out_stays_by_an_option(tmp_path: Path) -> None:
    found = of(unpacked(tmp_path), trimmed=False)
    assert f"{SITE}/pkg/tests/test_pkg.py" in found
    assert "pkg/tests/test_pkg.py" in content(found[f"{SITE}/{INFO}/RECORD"]).decode()


@pytest.mark.parametrize(("files", "place"), [({"lib/libmkl.so": ""}, "opt/deployer/venv"), ({"lib/libmkl.so": "", "lib/__init__.py": ""}, SITE)])
def test_a_package_that_is_called_like_a_folder_of_data_is_one(tmp_path: Path, files: dict[str, str], place: str) -> None:
    assert f"{place}/lib/libmkl.so" in of(unpacked(tmp_path, **files))
