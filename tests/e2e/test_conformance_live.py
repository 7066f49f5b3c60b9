"""`make test-sagemaker-live` against the local cloud: what it says first, what it refuses, and that it removes what it made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

import deployer_localstack as localstack

SCRIPT = Path(__file__).parents[2] / "scripts" / "conformance_live"
REGION = "us-east-1"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of somebody who has an AWS account."""
    directory = tmp_path_factory.mktemp("account")
    localstack.up(localstack.StartOptions(directory=directory, port=0, runtime="process", registry="python"))
    try:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEPLOYER_"))}
        yield {**own, **localstack.environment(directory), "XDG_CONFIG_HOME": str(directory / "config"), "DEPLOYER_LOCALSTACK_DIR": str(directory)}
    finally:
        localstack.down(directory)


def live(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--runtime", "process", *arguments]
    return subprocess.run(command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)


def client(environment: Mapping[str, str], service: str) -> Any:
    make: Any = boto3.client
    keys = {"aws_access_key_id": environment["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"]}
    return make(service, region_name=REGION, endpoint_url=environment["AWS_ENDPOINT_URL"], **keys)


def all_that_is_there(environment: Mapping[str, str]) -> list[Any]:
    sagemaker, s3 = client(environment, "sagemaker"), client(environment, "s3")
    return [
        *sagemaker.list_endpoints()["Endpoints"],
        *sagemaker.list_endpoint_configs()["EndpointConfigs"],
        *sagemaker.list_models()["Models"],
        *client(environment, "ecr").describe_repositories()["repositories"],
        *client(environment, "logs").describe_log_groups()["logGroups"],
        *(each for bucket in s3.list_buckets()["Buckets"] for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())),
    ]


def test_the_price_is_said_and_the_promises_are_kept_and_nothing_is_left(account: Mapping[str, str]) -> None:
    ended = live(account, "--yes", "-k", "test_names_at_both_limits or test_update_of_what_is_not_there_is_told")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "$2.99 at most" in ended.stdout
    assert "2 passed" in ended.stdout
    assert ended.stdout.endswith("nothing is left\n")
    assert not all_that_is_there(account)


def test_a_suite_that_takes_too_long_is_ended_and_swept(account: Mapping[str, str]) -> None:
    ended = live(account, "--yes", "--minutes", "0.06", "-k", "test_update_by_model_keeps_one_generation_for_a_way_back")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "the 0.06 minutes are over" in ended.stdout
    assert not all_that_is_there(account)


def test_nothing_is_made_without_a_yes_and_what_an_earlier_run_left_is_named_and_swept(account: Mapping[str, str]) -> None:
    ecr = client(account, "ecr")
    for name in ("conformance-live-0dead0", "somebody-elses"):
        ecr.create_repository(repositoryName=name)
    try:
        unasked = live(account)
        assert unasked.returncode == 2
        assert "an earlier run left 1 things" in unasked.stdout
        assert "--yes" in unasked.stderr
        assert len(all_that_is_there(account)) == 2
        assert live(account, "--sweep").returncode == 0
        assert [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]] == ["somebody-elses"]
    finally:
        ecr.delete_repository(repositoryName="somebody-elses")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "no AWS credentials"),
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "no region"),
        (("DEPLOYER_EXECUTION_ROLE_ARN",), "no role"),
    ],
)
def test_who_lacks_something_is_refused_by_name(account: Mapping[str, str], missing: tuple[str, ...], told: str, tmp_path: Path) -> None:
    less = {name: value for name, value in account.items() if name not in missing} | {"HOME": str(tmp_path)}
    ended = live(less, "--yes")
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "nothing was made" in ended.stderr
