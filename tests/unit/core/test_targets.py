"""Targets by entry point, and what each can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.core import targets
from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid, ExtraMissing
from docs.examples.memory_target import Memory


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with entry points, to be written by the test."""
    metadata = tmp_path / "third_party-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return metadata / "entry_points.txt"


def test_a_third_partys_target_is_found_by_its_entry_point(site: Path) -> None:
    site.write_text("[deployer.targets]\nmemory = docs.examples.memory_target:Memory\n")
    assert "memory" in targets.available()
    assert isinstance(targets.load(TargetUri.parse("memory:/here")), Memory)
    assert isinstance(targets.load(TargetUri.parse("deployer-memory:/here")), Memory)


def test_a_target_that_is_not_installed_names_the_nearest(site: Path) -> None:
    site.write_text("[deployer.targets]\nmemory = docs.examples.memory_target:Memory\n")
    with pytest.raises(ConfigInvalid, match=r"memroy is not a target; did you mean memory\?"):
        targets.load(TargetUri("memroy"))
    with pytest.raises(ConfigInvalid, match=r"installed are .*memory"):
        targets.load(TargetUri("xyz"))


def test_a_missing_dependency_names_what_to_install(site: Path) -> None:
    site.write_text("[deployer.targets]\nlacking = tests.unit.cli.lacking:Lacking\n")
    with pytest.raises(ExtraMissing) as caught:
        targets.load(TargetUri("lacking"))
    assert caught.value.advice == "pip install --upgrade third-party"


def test_a_target_whose_module_is_gone_is_not_called_a_missing_dependency(site: Path) -> None:
    site.write_text("[deployer.targets]\ngone = tests.unit.cli.gone:Gone\n")
    with pytest.raises(ConfigInvalid, match=r"its module tests\.unit\.cli\.gone is not there"):
        targets.load(TargetUri("gone"))


def test_our_own_targets_are_installed() -> None:
    assert {"local", "sagemaker"} <= set(targets.available())


def test_the_support_table_is_read_off_the_classes() -> None:
    class Bare:
        """A target that can only list."""

        def list(self) -> None: ...

    rows = dict(targets.support_table({"memory": Memory, "bare": Bare}))
    assert rows["list"] == {"memory": True, "bare": True}
    assert rows["predict --stream"] == {"memory": True, "bare": False}
    assert rows["explain"] == {"memory": False, "bare": False}
    table = targets.markdown(targets.support_table({"memory": Memory, "bare": Bare})).splitlines()
    assert table[0] == "| | `memory` | `bare` |"
    assert "| predict --stream | yes | no |" in table
