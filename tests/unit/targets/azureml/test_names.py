"""Names of endpoints and deployments, and what an endpoint's percentages and tags say together."""

from __future__ import annotations

import pytest

from deployer.core.state import DeploymentName, Resource, Share
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import names

OLD, NEW = "0123456789", "abcdef0123"


@pytest.mark.parametrize("name", ["ab", "", "1ab", "-abc", "abc-", "a_b", "Churn", "a" * 33, "größe"])
def test_names_that_no_endpoint_has(name: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        names.check_name(name)
    assert names.check_name(str(refused.value.advice).split()[1])


@pytest.mark.parametrize("name", ["abc", "a-b", "a" * 32, "a1-"[:2] + "1"])
def test_names_that_one_has(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize("candidate", ["churn", "My Model (v2)", "-", "", "1", "a", "ab", "x" * 300, "größe_東京", "a" * 31 + "-b"])
def test_any_candidate_comes_to_a_valid_name(candidate: str) -> None:
    name = names.name_for(candidate)
    assert names.check_name(name) == name


def test_a_generation_and_its_azure_deployment() -> None:
    assert names.generation_of(names.deployment_of(OLD)) == OLD
    assert names.check_name(names.deployment_of(OLD))
    assert names.deployment_of("blue") == names.generation_of("blue") == "blue"
    assert not names.is_ours("blue")
    assert not names.is_ours("green00000")


@pytest.mark.parametrize("percent", [0, 20, 100])
def test_which_of_two_was_there_first_is_told_whatever_their_shares(percent: int) -> None:
    traffic = (Share(OLD, 100 - percent), Share(NEW, percent))
    tags = names.tags_for(DeploymentName("churn"), traffic, {"team": "a"})
    shares = {names.deployment_of(each.generation): each.percent for each in traffic}
    assert names.traffic_of(shares, tags) == traffic
    without_zeros = {name: share for name, share in shares.items() if share}
    assert names.traffic_of(without_zeros, tags) == traffic


def test_tags_that_say_otherwise_than_the_traffic_do_not_count() -> None:
    tags = names.tags_for(DeploymentName("churn"), (Share(OLD, 80), Share(NEW, 20)), {})
    assert names.traffic_of({"theirs": 100}, tags) == (Share("theirs"),)
    assert names.traffic_of({}, tags) == ()
    assert names.traffic_of({"blue": 30, "green": 70}, {}) == (Share("green", 70), Share("blue", 30))


def test_a_deployment_that_was_updated_in_place_is_the_generation_that_it_was_looked_at_to_be() -> None:
    tags = names.tags_for(DeploymentName("churn"), (), {}, in_place=True)
    held = {names.deployment_of(OLD): NEW}
    assert names.traffic_of({names.deployment_of(OLD): 100}, tags, held) == (Share(NEW),)


def test_what_is_behind_an_endpoint_shares_no_place_with_a_deployment_of_its_own() -> None:
    own, behind = names.Shelf(DeploymentName("blue")), names.Shelf(DeploymentName("blue"), "churn")
    assert not behind.prefix.startswith(own.prefix)
    assert not behind.prefix.startswith(names.Shelf(DeploymentName("churn")).prefix)
    assert behind.claim == names.Shelf(DeploymentName("green"), "churn").claim
    assert names.asset_of(DeploymentName("blue"), "churn") != names.asset_of(DeploymentName("churn-blue"))
    assert Resource(names.CLAIM, "blue") not in names.beside(DeploymentName("blue"), "churn")
