"""Roles and sessions: who may be assumed, and that a session ends."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import User


def session(user: User, arn: str, **more: Any) -> dict[str, str]:
    credentials = user.client("sts").assume_role(RoleArn=arn, RoleSessionName="s", **more)["Credentials"]
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def test_a_role_that_is_not_there_or_does_not_trust_us_is_not_assumed(user: User, name: str) -> None:
    for arn in (f"arn:aws:iam::123456789012:role/{name}", "arn:aws:iam::123456789012:role/deployer-sagemaker"):
        with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole") as caught:
            session(user, arn)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_an_external_id_is_demanded_where_the_role_says_so(user: User, name: str) -> None:
    arn = f"arn:aws:iam::210987654321:role/{name}"
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "secret"}},
            }
        ]
    }
    user.control.post("roles", {"arn": arn, "trust": trust})
    with pytest.raises(ClientError, match="not authorized"):
        session(user, arn)
    assert session(user, arn, ExternalId="secret")


def test_an_assumed_role_works_in_its_own_account(user: User, name: str) -> None:
    arn = f"arn:aws:iam::210987654321:role/{name}"
    user.control.post("roles", {"arn": arn})
    keys = session(user, arn)
    identity = user.client("sts", **keys).get_caller_identity()
    assert identity["Account"] == "210987654321"
    with pytest.raises(ClientError, match=r"arn:aws:sagemaker:us-east-1:210987654321:model/x"):
        user.client("sagemaker", **keys).describe_model(ModelName="x")
    user.client("ecr", **keys).create_repository(repositoryName=f"{name}/theirs")
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        user.ecr.describe_images(repositoryName=f"{name}/theirs")


def test_a_session_ends_when_its_time_is_over(user: User, name: str) -> None:
    arn = f"arn:aws:iam::123456789012:role/{name}"
    user.control.post("roles", {"arn": arn})
    user.control.settings(session_seconds=4.0)
    begun = time.monotonic()
    keys = session(user, arn)
    clients = {each: user.client(each, **keys) for each in ("sagemaker", "s3", "sts", "ecr")}
    clients["sagemaker"].list_models()
    time.sleep(max(0.0, begun + 5.0 - time.monotonic()))
    for service, call, code in (
        ("sagemaker", "list_models", "ExpiredTokenException"),
        ("s3", "list_buckets", "ExpiredToken"),
        ("sts", "get_caller_identity", "ExpiredToken"),
        ("ecr", "describe_repositories", "ExpiredTokenException"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(clients[service], call)()
        assert caught.value.response["Error"]["Code"] == code
