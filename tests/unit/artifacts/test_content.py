"""What counts in a model's identity, and what doesn't."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.artifacts.content import combined, content_digest, files, ignored
from deployer.core.state import Digest
from deployer.errors import MachineFault, ModelInvalid


def digest(directory: Path) -> Digest:
    return content_digest(files(directory))


def test_files_are_listed_by_relative_path_in_order(model: Path) -> None:
    assert [file.path for file in files(model)] == [
        "MLmodel",
        "code/helper.py",
        "code/run.sh",
        "conda.yaml",
        "data/model.pkl",
        "data/ÿ/deep.bin",
        "python_env.yaml",
        "requirements.txt",
    ]


def test_the_digest_is_this_one_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"")
    (tmp_path / "b" / "c").chmod(0o755)
    assert digest(tmp_path) == "sha256:0f3665706fdf1ff9987adb7e7d95d3d656857b5f21b0c6ec6da568de9f9ded21"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: os.utime(model / "MLmodel", (1, 1)),
        lambda model: (model / "MLmodel").chmod(0o600),
        lambda model: (model / "empty").mkdir(),
        lambda model: (model / "data" / "__pycache__").mkdir() or (model / "data" / "__pycache__" / "x.pyc").write_text("x"),
        lambda model: (model / ".git").mkdir() or (model / ".git" / "HEAD").write_text("x"),
        lambda model: (model / "data" / ".DS_Store").write_text("x"),
        lambda model: (model / "registered_model_meta").write_text("model_name: churn"),
    ],
    ids=["times", "permissions", "empty directory", "bytecode", "git", "finder", "registry's note"],
)
def test_what_says_nothing_of_the_model_leaves_the_digest_alone(model: Path, change: Callable[[Path], object]) -> None:
    before = digest(model)
    change(model)
    assert digest(model) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda model: (model / "data" / "model.pkl").write_text("Weights"),
        lambda model: (model / "data" / "model.pkl").rename(model / "data" / "model2.pkl"),
        lambda model: (model / "data" / "model.pkl").chmod(0o755),
        lambda model: (model / "data" / "model.pkl").unlink(),
        lambda model: (model / "data" / "empty").write_text(""),
        lambda model: (model / "data" / "registered_model_meta").write_text("no registry writes here"),
    ],
    ids=["bytes", "name", "executable", "gone", "empty file", "deeper file of the registry's name"],
)
def test_what_is_of_the_model_changes_the_digest(model: Path, change: Callable[[Path], object]) -> None:
    before = digest(model)
    change(model)
    assert digest(model) != before


def test_bytes_cannot_move_between_files_unseen(tmp_path: Path) -> None:
    for name, first, second in (("one", "ab", "c"), ("two", "a", "bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(first)
        (tmp_path / name / "y").write_text(second)
    assert digest(tmp_path / "one") != digest(tmp_path / "two")


def test_a_link_inside_counts_as_what_it_leads_to(model: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(model, tmp_path / "copied")
    (copied / "again.pkl").write_text("N.")
    shutil.copytree(copied / "code", copied / "more")
    (model / "again.pkl").symlink_to("data/model.pkl")
    (model / "more").symlink_to(model / "code", target_is_directory=True)
    assert digest(model) == digest(copied)


def test_a_linked_directory_is_a_model_like_any(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model, target_is_directory=True)
    assert digest(tmp_path / "link") == digest(model)


def test_links_that_lead_out_or_round_or_nowhere_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for name, target, why in (
        ("out", tmp_path / "secret", "out in the model .* leads out"),
        ("nowhere", model / "absent", "nowhere in the model .* which is not there"),
        ("round", model, "round in the model .* that holds it"),
    ):
        (model / name).symlink_to(target)
        with pytest.raises(ModelInvalid, match=why):
            files(model)
        (model / name).unlink()


def test_a_neighbour_whose_name_begins_alike_is_outside(model: Path) -> None:
    neighbour = model.with_name(model.name + "-secret")
    neighbour.write_text("x")
    (model / "out").symlink_to(neighbour)
    with pytest.raises(ModelInvalid, match="leads out"):
        files(model)


def test_a_pipe_is_refused(model: Path) -> None:
    os.mkfifo(model / "pipe")
    with pytest.raises(ModelInvalid, match=r"pipe in the model .* neither a file nor a directory"):
        files(model)


def test_a_name_that_is_not_utf8_is_refused(model: Path) -> None:
    try:
        (model / os.fsdecode(b"\xff")).write_text("x")
    except OSError:
        return  # macOS has no such names
    with pytest.raises(ModelInvalid, match="not UTF-8"):
        files(model)


def test_a_file_that_vanishes_is_a_fault_of_the_machine(model: Path) -> None:
    listed = files(model)
    (model / "MLmodel").unlink()
    with pytest.raises(MachineFault, match="MLmodel can't be read"):
        content_digest(listed)


def test_the_digest_can_be_put_together_by_who_reads_the_files(model: Path) -> None:
    import hashlib

    listed = files(model)
    assert combined((file, hashlib.sha256(file.source.read_bytes()).digest()) for file in listed) == digest(model)


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("registered_model_meta", True),
        ("a/registered_model_meta", False),
        (".git/x", True),
        ("a/__pycache__/x", True),
        ("a/.DS_Store", True),
        ("a/b", False),
    ],
)
def test_paths_are_left_out_alike_wherever_a_model_is_listed(path: str, left_out: bool) -> None:
    assert ignored(path) is left_out
