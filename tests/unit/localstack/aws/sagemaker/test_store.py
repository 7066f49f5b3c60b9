"""Tags, and names whatever their case."""

from __future__ import annotations

import pytest

from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.sagemaker.store import RegionStore, StoredResource, read_tags


def test_tags_of_aws_and_double_ones_are_refused() -> None:
    for tags in ([{"Key": "aws:x", "Value": ""}], [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]):
        with pytest.raises(AwsError):
            read_tags(tags)
    assert read_tags([{"Key": "a", "Value": "2"}], {"a": "1", "b": "1"}) == {"a": "2", "b": "1"}


def test_names_are_the_same_whatever_their_case() -> None:
    shelf = RegionStore(AccountRegion("123456789012", "us-gov-west-1"))
    shelf.models["Churn"] = StoredResource("Churn", shelf.place.arn("model", "Churn"), {}, {})
    assert shelf.model("churn").arn == "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:model/churn"
    with pytest.raises(AwsError, match="already existing"):
        shelf.refuse_existing(shelf.models, "model", "model", "CHURN")
