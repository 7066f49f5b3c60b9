"""`make test-azureml-live` against the local Azure: what it says first, what it refuses, and that it removes what it made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import deployer_localstack as localstack
from tests.azureml import AzureHere

SCRIPT = Path(__file__).parents[2] / "scripts" / "conformance_live_azureml"
BY_SECRET = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
BY_IDENTITY = ("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
EARLIER = "conformance-live-0dead0"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHere]:
    directory = tmp_path_factory.mktemp("account")
    options = localstack.StartOptions(directory=directory, port=0, runtime="process", registry="python", commands=True, azure=True, azure_port=0)
    localstack.up(options)
    try:
        made = AzureHere(directory)
        made.control.settings(azure_retry_after_seconds=0.2, azure_drain_seconds=5.0)
        yield made
    finally:
        localstack.down(directory)


@pytest.fixture(scope="module")
def account(here: AzureHere) -> Mapping[str, str]:
    """The environment of somebody who has a workspace."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE", "DEPLOYER_"))}
    return {**own, **here.environment, "DEPLOYER_LOCALSTACK_DIR": str(here.directory), "XDG_CONFIG_HOME": str(here.directory / "config")}


def live(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--runtime", "process", *arguments]
    return subprocess.run(command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)


def all_that_is_there(here: AzureHere) -> list[str]:
    """But for assets that are archived: Azure removes none."""
    found = [each["name"] for each in here.all("onlineEndpoints")]
    found += [
        f"{kind}/{each['name']}" for kind in ("models", "environments") for each in here.all(kind) if here.all(f"{kind}/{each['name']}/versions")
    ]
    return [*found, *here.blobs("")]


def images_of(here: AzureHere) -> list[str]:
    """The tags of all runs' images in the registry."""
    from deployer_targets.azureml import images

    with here.named():
        repositories = {each["name"].removeprefix("deployer-")[:23] for each in here.all("models", listViewType="All")}
        return [tag for name in repositories for tag in images.repository(here.connect(), name).tags()]


def test_the_price_is_said_and_the_promises_are_kept_and_nothing_is_left(here: AzureHere, account: Mapping[str, str]) -> None:
    ended = live(account, "--yes", "-k", "test_names_at_both_limits or test_somebody_elses_endpoint_is_refused")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "$5.20 at most" in ended.stdout and "as Azure ML estimates it here" in ended.stdout
    assert "2 passed" in ended.stdout
    assert ended.stdout.endswith("nothing is left\n")
    assert all_that_is_there(here) == []
    assert images_of(here) == []


def test_a_suite_that_takes_too_long_is_ended_and_swept(here: AzureHere, account: Mapping[str, str]) -> None:
    ended = live(account, "--yes", "--minutes", "0.06", "-k", "test_update_by_model_keeps_one_generation_for_a_way_back")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "the 0.06 minutes are over" in ended.stdout
    assert all_that_is_there(here) == []


def test_nothing_is_made_without_a_yes_and_what_an_earlier_run_left_is_named_and_swept(here: AzureHere, account: Mapping[str, str]) -> None:
    body = {"location": "eastus", "properties": {"authMode": "Key"}}
    tagged = {**body, "tags": {"conformance-live": EARLIER}}
    for name, document in ((f"{EARLIER}-1", body), ("abc", tagged), ("somebody-elses", body)):
        here.arm("PUT", f"onlineEndpoints/{name}", document)
        here.wait(f"onlineEndpoints/{name}")
    here.put_blob(f"deployer/{EARLIER}-1/claim", b"{}")
    here.put_blob("deployer/xyz/generations/0.json", b'{"options": {"tags": {"conformance-live": "' + EARLIER.encode() + b'"}}}')
    here.put_blob("deployer/uvw/generations/0.json", b"{}")
    here.arm("PUT", f"environments/deployer-{EARLIER}-1/versions/1", {"properties": {"image": "i"}})
    unasked = live(account)
    assert unasked.returncode == 2
    assert "an earlier run left 5 things" in unasked.stdout
    assert "--yes" in unasked.stderr
    swept = live(account, "--sweep")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert all_that_is_there(here) == ["somebody-elses", "deployer/uvw/generations/0.json"]
    here.arm("DELETE", "onlineEndpoints/somebody-elses")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ((*BY_SECRET, *BY_IDENTITY), "no credentials"),
        (("AZUREML_ARM_WORKSPACE_NAME",), "no Azure ML workspace is named"),
    ],
)
def test_who_lacks_something_is_refused_by_name(account: Mapping[str, str], missing: tuple[str, ...], told: str, tmp_path: Path) -> None:
    less = {name: value for name, value in account.items() if name not in missing} | {"HOME": str(tmp_path)}
    ended = live(less, "--yes")
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "nothing was made" in ended.stderr
