"""The list of a model's files, which pods fetch it by: that of what was deployed, or none."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from deployer.artifacts import content_digest, files
from deployer.core.state import ModelFacts, PackagedModel
from deployer.errors import ModelInvalid
from deployer_images.layers.model_images import files_part
from deployer_scoring.fetching.files import PLACE, is_whole, read_files


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "churn"
    (directory / "code").mkdir(parents=True)
    (directory / "MLmodel").write_text("flavors: {}\n")
    (directory / "code" / "größe.sh").write_text("#!/bin/sh\n")
    (directory / "code" / "größe.sh").chmod(0o755)
    return PackagedModel(ModelFacts("churn", content_digest(files(directory))), directory)


def test_the_runtime_knows_the_files_again_by_it(model: PackagedModel, tmp_path: Path) -> None:
    part = files_part(model)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(part.file().read_bytes()))) as tar:
        found = tar.extractfile(str(PLACE.relative_to("/")))
        assert found is not None
        (tmp_path / "list").write_bytes(found.read())
    listed = read_files(tmp_path / "list")
    assert [(each.path, each.executable) for each in listed] == [("MLmodel", False), ("code/größe.sh", True)]
    assert all(is_whole(each, model.directory / each.path) for each in listed)
    (model.directory / "MLmodel").write_text("flavors: []\n")
    assert [is_whole(each, model.directory / each.path) for each in listed] == [False, True]


def test_there_is_none_of_a_model_that_changed_meanwhile(model: PackagedModel) -> None:
    (model.directory / "MLmodel").write_text("flavors: {other: {}}\n")
    with pytest.raises(ModelInvalid, match="changed while it was being deployed"):
        files_part(model)
