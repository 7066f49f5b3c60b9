"""Where a local cloud keeps what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer_localstack import StartOptions
from deployer_localstack.options import default_directory


def test_the_directory_follows_the_users_wishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEPLOYER_LOCALSTACK_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "deployer" / "localstack"
    monkeypatch.setenv("DEPLOYER_LOCALSTACK_DIR", str(tmp_path / "mine"))
    assert StartOptions().directory == tmp_path / "mine"
