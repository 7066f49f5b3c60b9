"""Managed online endpoints of the local Azure, judged by Azure ML's SDK: made, asked, split, updated, failed, deleted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deployer.events import silent
from deployer.oci import Repository
from deployer.oci.credentials import Credentials
from deployer_images.builder import BuildOptions, build_and_push
from tests.models import saved_model

from ..conftest import SERVER, User
from ..registry_client import Client
from . import sdk

LOGIN = ("deployerlocal", "deployer-local-secret-not-a-secret")


def pushed(user: User, repository: str) -> str:
    """An image in the workspace's registry that is the server of these tests."""
    client = Client(user.status.azure_registry)
    client.login(*LOGIN)
    labels = {"io.deployer.stand-in": "command", "io.deployer.command": json.dumps([sys.executable, SERVER])}
    assert client.push_image(repository, "1", labels).status_code == 201
    return f"{user.status.azure_registry}/{repository}:1"


def test_the_sdk_deploys_splits_updates_and_deletes(user: User, name: str, tmp_path: Path) -> None:
    for which in ("blue", "green", "broken"):
        (tmp_path / which).mkdir()
        (tmp_path / which / "answer.txt").write_text(which)
    (tmp_path / "broken" / "mode.txt").write_text("crash")
    user.control.settings(azure_retry_after_seconds=0.1)
    said = sdk.run("endpoint", user.status, pushed(user, name), str(tmp_path), name)

    assert said["endpoint"] == ["Succeeded", {}, "key", {"team": "risk"}]
    assert said["blue"] == ["Succeeded", f"local/models/{name}-blue/versions/1", 1, {"FLAVOR": "blue"}]
    assert said["where the model is"] == [f"{name}-blue", "1"]
    assert said["no traffic"] == 404
    assert said["by name"] == [200, "blue:a", "blue", None]
    assert said["traffic"] == {"blue": 100}
    assert said["blue answers"] == [200, "blue:b", "blue", None]
    assert said["invoked"] == "blue:7"
    assert (said["wrong key"], said["no key"], said["no such deployment"], said["no such endpoint"]) == (401, 401, 404, 404)
    assert said["refused by the model"][0::3] == [424, "400"]
    assert "column x is missing" in said["refused by the model"][1]

    assert said["traffic to nobody"] == said["sum of 90"] == said["unknown name"] == said["more than all"] == [400, "BadRequest"]
    assert said["split"] == {"blue": 50, "green": 50}
    assert said["both answer"] == ["blue:d", "green:d"]
    assert said["told who"]
    assert said["too slow"] == 408
    assert said["live deployment deleted"] == [400, "BadRequest"]
    assert said["all green"] == {"green": 100}
    assert said["left"] == ["green"]

    assert (said["broken"], said["broken is"]) == ("ResourceNotReady", "Failed")
    assert "No module named 'lightgbm'" in said["its log"]
    assert said["traffic to what failed"] == [400, "BadRequest"]
    assert said["green answers still"] == [200, "green:e", "green", None]
    assert (said["updated"], said["changed"]) == (2, "other")
    assert (said["second key"], said["old key"]) == (200, 401)
    assert said["no endpoint"] == said["no deployment"] == [404, "ResourceNotFound"]
    assert (said["listed"], said["still listed"]) == (True, False)


def test_a_packaged_model_is_served_by_the_scoring_server(user: User, name: str) -> None:
    user.control.settings(azure_retry_after_seconds=0.1)
    repository = Repository(user.status.azure_registry, "deployer-scoring", Credentials(*LOGIN))
    image = build_and_push(BuildOptions(python="3.11", runtime="process"), repository, silent).reference
    question = {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}}
    status, answer, stranger = sdk.run("score", user.status, image, str(saved_model("doubler")), name, json.dumps(question))
    assert (status, answer["predictions"], stranger) == (200, [2.0, 5.0], 401)
