"""A deployment's address: an endpoint and a name. What is named goes all the way; a target whose deployments are their own endpoints refuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import deployer
from deployer.core.capabilities import SupportsEndpoints
from deployer.errors import ConfigInvalid, DeploymentExists, DeploymentNotFound
from deployer.verbs.deployment import Deployment
from tests.unit.cli import shared
from tests.unit.cli.conftest import Run, deployed, saved

HERE = "shared:/here"
VERBS = ("create", "update", "apply", "plan", "diff", "delete", "prune", "get", "list", "logs", "predict", "explain")


@pytest.fixture
def client(installed: None, churn: Path) -> deployer.DeployClient:
    """A client of a cloud with endpoints, and two models: `churn` and `other`."""
    shared.CLOUDS.clear()
    saved(churn.parent / "other", "another pickle")
    return deployer.get_deploy_client(HERE)


def models(client: deployer.DeployClient) -> dict[str, str]:
    """What is behind each endpoint under the name `churn`."""
    found: dict[str, str] = {}
    for endpoint in ("red", "blue"):
        try:
            found[endpoint] = client.get_deployment("churn", endpoint).model
        except DeploymentNotFound:
            found[endpoint] = ""
    return found


def test_one_name_behind_two_endpoints_is_two_deployments(client: deployer.DeployClient) -> None:
    client.create_deployment("churn", "churn", endpoint="red")
    with pytest.raises(DeploymentExists):
        client.create_deployment("churn", "other", endpoint="red")
    client.create_deployment("churn", "other", endpoint="blue")
    assert models(client) == {"red": "churn", "blue": "other"}
    with pytest.raises(DeploymentNotFound):
        client.get_deployment("churn")
    client.update_deployment("churn", "other", endpoint="red")
    client.apply("churn", "churn", endpoint="blue")
    assert models(client) == {"red": "other", "blue": "churn"}
    assert client.delete_deployment("churn", endpoint="red") is True
    assert models(client) == {"red": "", "blue": "churn"}
    assert client.delete_deployment("churn") is False
    assert [each.endpoint for each in client.list_deployments("blue")] == ["blue"]
    assert client.list_deployments() == []


def test_looking_changes_nothing_elsewhere_and_claims_are_the_endpoints(client: deployer.DeployClient) -> None:
    client.create_deployment("churn", "churn", endpoint="red")
    assert client.plan("churn", "churn", endpoint="red").empty
    assert not client.plan("churn", "churn", endpoint="blue").empty
    assert client.diff("churn", "other", endpoint="red").differs
    assert client.plan_delete("churn", endpoint="red")
    assert client.plan_delete("churn", endpoint="blue") == ()
    assert client.explain("churn", None, "red") == {"endpoint": "red"}
    assert [line.text for line in client.logs("churn", "red")] == ["listening"]
    for ask in (client.plan_prune, client.prune):
        assert ask("churn", endpoint="red") == ()
        with pytest.raises(DeploymentNotFound):
            ask("churn", endpoint="blue")
    with pytest.raises(DeploymentNotFound):
        client.predict("churn", {"inputs": [1]}, "blue")
    here = shared.CLOUDS["here"]
    assert {name: behind.claims for name, behind in here.behind.items()} == {"red": ["red"], "blue": []}
    assert here.claims == []


def test_the_record_keeps_where_it_is(client: deployer.DeployClient) -> None:
    client.create_deployment("churn", "churn", endpoint="red")
    observed = deployed(shared.CLOUDS["here"].behind["red"])["churn"]
    assert observed.record is not None
    assert observed.record.endpoint == "red"
    assert type(observed.record).from_json(observed.record.to_json()) == observed.record


def test_endpoints_have_verbs_of_their_own(client: deployer.DeployClient) -> None:
    assert isinstance(client.target, SupportsEndpoints)
    assert client.create_endpoint("red") == {"name": "red"}
    assert client.list_endpoints() == [{"name": "red"}]
    assert client.update_endpoint("red", {"keep": 2}) == client.get_endpoint("red") == {"name": "red"}
    client.create_deployment("churn", "churn", endpoint="red")
    assert client.predict(None, {"inputs": [1]}, "red") == client.predict("churn", {"inputs": [1]}, "red")
    with pytest.raises(ConfigInvalid, match="which deployment is not said"):
        client.predict(None, {"inputs": [1]})
    assert client.delete_endpoint("red") is True
    assert client.delete_endpoint("red") is False
    with pytest.raises(DeploymentNotFound):
        client.get_endpoint("red")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.usefixtures("client")
def test_every_verb_takes_it_on_the_command_line(deploy: Run, verb: str) -> None:
    def run(verb: str, *arguments: str) -> Any:
        done = deploy(verb, "-t", HERE, "--endpoint", "red", *arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    if verb not in ("create", "apply"):
        run("create", "churn", "-m", "churn")
    given = {"create": ("churn", "-m", "churn"), "apply": ("churn", "-m", "churn"), "list": (), "predict": ("churn", "-d", '{"inputs": [1]}')}
    said = run(verb, *given.get(verb, ("churn",)), *(("-i", "churn/MLmodel") if verb == "explain" else ()))
    assert not shared.CLOUDS["here"].things
    if verb == "create":
        assert "--endpoint red" in said
    if verb == "delete":
        assert not shared.CLOUDS["here"].behind["red"].things
    assert verb != "list" or json.loads(run("list", "-o", "json"))[0]["endpoint"] == "red"


@pytest.mark.parametrize("verb", VERBS)
def test_where_a_deployment_is_its_own_endpoint_another_is_refused_in_words(deploy: Run, churn: Path, verb: str) -> None:
    arguments = {"create": ("-m", "churn"), "apply": ("-m", "churn"), "predict": ("-d", '{"inputs": [1]}')}.get(verb, ())
    refused = deploy(verb, *(() if verb == "list" else ("churn",)), *arguments, "--endpoint", "red")
    assert refused.exit_code == 2
    assert ("can't explain" if verb == "explain" else "memory can't have endpoints apart from deployments") in refused.stderr


@pytest.mark.parametrize("target", ["sagemaker:/us-west-2", "local"])
def test_neither_of_our_targets_has_them(target: str) -> None:
    client = deployer.get_deploy_client(target)
    for call in (client.list_endpoints, lambda: client.create_endpoint("red")):
        with pytest.raises(ConfigInvalid, match="leave the endpoint out"):
            call()


def test_what_is_behind_no_endpoint_says_nothing_of_one(client: deployer.DeployClient) -> None:
    found: Deployment = client.create_deployment("churn", "churn")
    assert "endpoint" not in found.document()
