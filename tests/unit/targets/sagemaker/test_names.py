"""Names: SageMaker's limits, digests of content, and places in the bucket."""

from __future__ import annotations

import re

import pytest

from deployer.core.state import Digest, Resource, digest_of
from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker.names import Home

LONGEST = "a" + "-b" * 31
AWS = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@pytest.mark.parametrize("name", ["a", "A1", "churn-eu", "a--b", LONGEST])
def test_valid_names_pass(name: str):
    assert names.check_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("-a", "starts or ends"),
        ("a-", "starts or ends"),
        ("a_b", "'_'"),
        ("a" * 64, "64 characters"),
        ("a-" * 32 + "b", "65 characters"),
        ("größe", "'ö'"),
    ],
)
def test_a_wrong_name_is_refused_with_the_limit_it_breaks(name: str, why: str):
    with pytest.raises(ConfigInvalid, match=re.escape(why)):
        names.check_name(name)


@pytest.mark.parametrize("candidate", ["churn", "My model (v2)", "größe", "___", "x" * 200, "a" * 62 + "--b", ""])
def test_any_candidate_becomes_a_valid_name(candidate: str):
    assert AWS.fullmatch(names.name_for(candidate))


@pytest.mark.parametrize("deployment", ["a", LONGEST, "b" * 63, "c" * 51 + "-" + "d" * 11])
def test_names_of_content_are_valid_at_both_limits_and_known_again(deployment: str):
    made = names.content_name(deployment, "model", ["anything"])
    assert AWS.fullmatch(made)
    assert names.made_for(deployment, made)


def test_deployments_whose_names_are_alike_or_cut_alike_share_no_name():
    alike = ["churn", "churn-eu", "c" * 60 + "1", "c" * 60 + "2"]
    assert len({names.content_name(each, "model", 1) for each in alike}) == len(alike)


def test_a_name_that_is_the_beginning_of_another_reaches_none_of_its_objects():
    assert not Home("b", "churn-eu").prefix.startswith(Home("b", "churn").prefix)


def test_every_object_below_the_prefix_is_a_resource():
    home, digest = Home("bucket", "churn"), Digest(digest_of("m"))
    tar, files = home.data(digest, "tar", None), home.data(digest, "prefix", None)
    found = {
        home.claim: Resource(names.CLAIM, home.url(home.claim)),
        home.record("3f2a91c07e"): Resource(names.RECORD, "3f2a91c07e"),
        tar: Resource(names.DATA, home.url(tar)),
        files + "MLmodel": Resource(names.DATA, home.url(files)),
        names.marker(files): Resource(names.DATA, home.url(files)),
        home.input("1"): Resource(names.REQUEST, home.url(home.input("1"))),
        home.prefix + "else": Resource(names.OBJECT, home.url(home.prefix + "else")),
    }
    assert {key: home.resource_of(key) for key in found} == found


def test_data_that_is_encrypted_otherwise_lies_elsewhere():
    home, digest = Home("bucket", "churn"), Digest(digest_of("m"))
    assert len({home.data(digest, "tar", key) for key in (None, "one", "two")}) == 3
