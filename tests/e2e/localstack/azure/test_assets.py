"""Tokens, the workspace, models and environments of the local Azure, judged by Azure ML's SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import User
from . import sdk


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "churn"
    (directory / "data").mkdir(parents=True)
    (directory / "MLmodel").write_text("flavors: {}\n")
    (directory / "data" / "weights.bin").write_bytes(bytes(range(256)) * 100)
    return directory


def test_the_sdk_registers_lists_archives_and_downloads(user: User, model: Path, name: str, tmp_path: Path) -> None:
    since = (user.control.journal() or [{"number": 0}])[-1]["number"]
    said = sdk.run("assets", user.status, str(model), name, str(tmp_path / "downloads"))
    assert said["location"] == "eastus"
    assert said["first"] == ["1", "workspaceblobstore", {"team": "risk"}]
    assert said["second"] == "2"
    assert said["tags"] == {"team": "fraud"}
    assert said["labelled"] == "2"
    assert (said["listed"], said["archived"], said["restored"], said["names"]) == (["2"], ["1"], ["1", "2"], True)
    downloaded = tmp_path / "downloads" / name / "churn"
    assert (downloaded / "data" / "weights.bin").read_bytes() == (model / "data" / "weights.bin").read_bytes()
    assert said["environment"] == ["1", "registry/scoring:1", 8080, "/invocations"]
    assert said["next environment"] == "2"
    assert said["by the tenant's id"] == "1"

    assert said["another path"] == ["ResourceExistsError", 409, "Conflict"]
    assert said["another image"] == ["ResourceExistsError", 409, "Conflict"]
    assert said["no model"] == ["ResourceNotFoundError", 404, "UserError"]
    assert said["no subscription"] == ["ResourceNotFoundError", 404, "SubscriptionNotFound"]
    assert said["no group"] == ["ResourceNotFoundError", 404, "ResourceGroupNotFound"]
    assert said["no workspace"] == ["ResourceNotFoundError", 404, "ResourceNotFound"]
    assert said["wrong secret"][0] == "ClientAuthenticationError"

    calls = user.control.journal(after=since)
    assert len([each for each in calls if each["operation"] == "PutBlob"]) == 2  # the same content isn't sent again
    assert {each["service"] for each in calls} == {"arm", "entra", "metadata", "storage"}
    secrets = ("deployer-local-secret-not-a-secret", "sig=", "client_secret")
    assert not [secret for secret in secrets if secret in str(calls)]
