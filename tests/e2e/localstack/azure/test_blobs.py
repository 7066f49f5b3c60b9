"""The Blob service of the local Azure, judged by azure-storage-blob, with Azurite beside it."""

from __future__ import annotations

from pathlib import Path

from tests.azurite import ACCOUNT, KEY, azurite
from tests.docker import free_port
from tests.servers import running

from ..conftest import User
from . import sdk
from .arm import Arm


def test_the_same_requests_get_the_same_answers_from_azurite(user: User, name: str, tmp_path: Path) -> None:
    arm = Arm(user.status)
    key = arm.ask("POST", "/datastores/workspaceblobstore/listSecrets", {}).json()["key"]
    ours = sdk.run("blobs", user.status, f"{user.status.azure}/deployerlocal", key)
    port = free_port()
    with running(azurite(port), port, tmp_path / "log"):
        azurites = sdk.run("blobs", user.status, f"http://127.0.0.1:{port}/{ACCOUNT}", KEY)
    assert ours == azurites
    assert ours["whole"] == "9876543210"
