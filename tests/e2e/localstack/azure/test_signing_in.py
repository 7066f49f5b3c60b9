"""Who asks the local Azure: kinds of identities and signatures, made by azure-identity and azure-storage-blob."""

from __future__ import annotations

from ..conftest import User
from . import sdk
from .arm import Arm


def test_every_kind_of_identity_gets_tokens(user: User) -> None:
    told = sdk.run("identities", user.status)
    assert "AADSTS50013" in told.pop("forged")
    assert list(told.values()) == ["eastus"] * 4, told


def test_signatures_are_checked_for_what_they_sign(user: User) -> None:
    key = Arm(user.status).ask("POST", "/datastores/workspaceblobstore/listSecrets", {}).json()["key"]
    failed, permission, kind = "403 AuthenticationFailed", "403 AuthorizationPermissionMismatch", "403 AuthorizationResourceTypeMismatch"
    there = ["signed/été.txt"]
    assert sdk.run("signatures", user.status, f"{user.status.azure}/deployerlocal", key) == {
        "account: read": "signed",
        "account: write": True,
        "account: names": there,
        "account: containers": True,
        "account, objects alone: names": kind,
        "container: read": "signed",
        "container: write": permission,
        "container: names": there,
        "container: containers": failed,
        "blob: read": "signed",
        "blob: another": failed,
        "expired": failed,
        "another key": failed,
        "altered": failed,
        "another account key": failed,
        "delegated: read": "signed",
        "delegated: write": permission,
        "delegated, another key": failed,
    }
