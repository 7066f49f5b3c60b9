"""The local Azure as a part of the local cloud: brought up, trusted, reset and taken down with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import deployer_localstack as localstack
from deployer.errors import MachineFault
from deployer_localstack.processes.children import leftover_processes

from ..conftest import User
from .arm import Arm
from .test_endpoints import pushed


def test_it_is_there_where_it_is_asked_for_and_trusted_after_a_restart(
    start: Callable[..., localstack.CloudStatus], tmp_path: Path, name: str
) -> None:
    without = start(directory=tmp_path)
    assert not without.azure
    assert not {each for each in localstack.environment(tmp_path) if each.startswith(("AZURE", "ARM", "SSL", "REQUESTS"))}
    with pytest.raises(MachineFault, match="has no Azure"):
        start(directory=tmp_path, azure=True)
    localstack.down(tmp_path)

    user = User(start(directory=tmp_path, azure=True, azure_port=0))
    variables = localstack.environment(tmp_path)
    assert variables["REQUESTS_CA_BUNDLE"] == variables["SSL_CERT_FILE"] == str(tmp_path / "trusted.pem")
    assert (tmp_path / "authority.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "trusted.pem").read_text().count("BEGIN CERTIFICATE") > 20  # all else is trusted, too
    arm = Arm(user.status)
    arm.follow(arm.endpoint(name))
    arm.follow(arm.deployment(name, "blue", pushed(user, name)))
    assert len(leftover_processes(tmp_path)) >= 2
    held = localstack.reset(tmp_path).resources
    assert (held["Azure endpoints"], held["Azure environments"]) == (1, 1)
    assert arm.ask("GET", "/onlineEndpoints").json()["value"] == []
    assert not list((tmp_path / "endpoints").glob("*"))
    arm.follow(arm.endpoint(name))
    trusted = (tmp_path / "trusted.pem").read_text()
    forgotten = localstack.down(tmp_path)
    assert "1 Azure endpoint" in str(forgotten)
    assert leftover_processes(tmp_path) == []

    again = start(directory=tmp_path, azure=True, azure_port=0)
    assert (tmp_path / "trusted.pem").read_text() == trusted
    assert Arm(again).ask("GET", "").status_code == 200
