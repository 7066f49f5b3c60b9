"""`deploy localstack` where what it stands on isn't installed, and what its options say."""

from __future__ import annotations

import sys

import pytest

from deployer_localstack.options import PORT, StartOptions
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("missing", ["moto", "flask", "boto3"])
def test_without_its_extra_up_names_it(deploy: Run, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    result = deploy("localstack", "up", target=False)
    assert result.exit_code == 2
    assert "Error [extra-missing]: the local cloud needs" in result.stderr
    assert 'pip install "deployer-ml[localstack]"' in result.stderr


def test_status_and_down_need_no_extra(deploy: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    monkeypatch.setenv("DEPLOYER_LOCALSTACK_DIR", f"{tmp_path}/none")
    assert deploy("localstack", "status", target=False).exit_code == 0
    assert deploy("localstack", "down", target=False).exit_code == 0


def test_the_port_is_its_own(deploy: Run) -> None:
    assert f"[default: {PORT};" in " ".join(deploy("localstack", "up", "--help", target=False).output.split())
    assert StartOptions().port == PORT not in {4566, 5000}
