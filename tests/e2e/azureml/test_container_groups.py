"""`compute: aci` on the local Azure: a real scoring server behind its keys, what is secret, and what Azure's SDK says of what is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import deployer
import deployer_localstack as localstack
from deployer.core.state import DeploymentName
from deployer.core.target import Payload, Verdict
from deployer.events import silent
from deployer.oci import Repository
from deployer.oci.credentials import Credentials
from deployer_images.builder import BuildOptions, build_and_push
from deployer_targets.azureml import doctor
from deployer_targets.azureml.aci import bodies
from tests.azureml import PULLER, AzureHere, AzureMlPlace
from tests.e2e.localstack.azure import sdk
from tests.models import saved_model

NAME = DeploymentName("churn")
OPTIONS = {"compute": "aci", "pull_identity": PULLER}


@pytest.fixture(scope="module")
def here(here: AzureHere) -> AzureHere:
    here.control.settings(azure_backoff_seconds=0.2)
    return here


@pytest.fixture
def place(here: AzureHere, tmp_path: Path) -> Iterator[AzureMlPlace]:
    made = AzureMlPlace(here, tmp_path)
    yield made
    made.run(made.command("delete", NAME))


def test_the_scoring_server_lets_in_who_has_a_key(here: AzureHere, place: AzureMlPlace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    registry = here.environment["AZURE_CONTAINER_REGISTRY_ENDPOINT"]
    login = Credentials("deployerlocal", here.environment["AZURE_CLIENT_SECRET"])
    image = build_and_push(BuildOptions(python="3.11", runtime="process"), Repository(registry, "real-scoring", login), silent).reference
    client = deployer.get_deploy_client("azureml")
    made = client.create_deployment(NAME, str(saved_model("doubler")), config={**OPTIONS, "image_url": image, "env": {"SECRET": "hidden-value"}})
    question = {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}}
    assert [*client.predict(NAME, question)] == [2.0, 5.0]

    url = client.get_deployment(NAME).document()["url"]
    keys = client.credentials(NAME)
    assert list(keys) == ["primary_key", "secondary_key"]
    assert requests.post(url, json=question).status_code == 401
    assert requests.post(url, json=question, headers={"Authorization": "Bearer guessed"}).status_code == 401
    for key in keys.values():
        assert requests.post(url, json=question, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert key not in json.dumps([made, client.get_deployment(NAME).document(), here.groups("GET")], default=str)
        assert key not in caplog.text
    assert "hidden-value" not in json.dumps([client.get_deployment(NAME).document(), here.groups("GET")], default=str) + caplog.text
    client.update_deployment(NAME, config={"cpu": 2.0})
    assert client.credentials(NAME) == keys
    assert [*client.predict(NAME, question)] == [2.0, 5.0]


def test_variables_come_back_with_their_generation(here: AzureHere, place: AzureMlPlace) -> None:
    client = deployer.get_deploy_client("azureml")

    def flavor() -> Any:
        answer = place.target.predict(NAME, Payload(json.dumps({"environment": "FLAVOR"}).encode()), place.connect())
        return json.loads(answer.body)["predictions"]

    client.create_deployment(NAME, str(place.first.model.path), config={**OPTIONS, "env": {"FLAVOR": "blue"}})
    assert flavor() == ["blue"]
    client.update_deployment(NAME, config={"env": {"FLAVOR": "green"}})
    assert flavor() == ["green"]
    assert place.run(place.command("rollback", NAME)).done
    assert flavor() == ["blue"]


def test_what_is_sent_is_as_the_sdk_has_it_and_nothing_to_do_sends_nothing(here: AzureHere, place: AzureMlPlace) -> None:
    options = {**OPTIONS, "dns_name_label": "deployer-churn", "cpu": 1.5, "memory": 3.0}
    assert place.run(place.command("create", NAME, place.first.model, **options)).done
    answered = here.groups("GET", f"/{NAME}")
    assert answered["properties"]["containers"][0]["properties"]["resources"]["requests"] == {"cpu": 1.5, "memoryInGB": 3.0}
    login = {"server": "registry", "identity": PULLER}
    config = here.connect(**options).config
    sent = bodies.group(config, location="eastus", image="registry/i:1", variables={"A": "b"}, keys=("k" * 16,), tags={"a": "b"}, login=login)
    assert sdk.run("strict_groups", localstack.status(here.directory), given=json.dumps([sent, answered])) == []
    assert len(sdk.run("strict_groups", localstack.status(here.directory), given=json.dumps([{"location": 1, "properties": {"colour": "x"}}]))) == 2

    def changes() -> int:
        return sum(each["operation"] in ("ContainerGroups_CreateOrUpdate", "ContainerGroups_Update") for each in here.control.journal())

    before = changes()
    assert not place.run(place.command("update", NAME, place.first.model)).changed
    assert changes() == before
    assert place.run(place.command("update", NAME, None, tags={"team": "risk"})).changed
    assert (changes(), here.groups("GET", f"/{NAME}")["tags"]["team"]) == (before + 1, "risk")
    assert [(each["operation"]) for each in here.control.journal() if each["operation"].startswith("ContainerGroups_")][
        -1
    ] != "ContainerGroups_CreateOrUpdate"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"compute": "aci"}, "nothing says by what the container group pulls"),
        ({**OPTIONS, "strategy": "canary"}, "strategy canary needs two"),
        ({**OPTIONS, "env": {"DEPLOYER_API_KEYS": "x" * 20}}, "set by the target"),
    ],
)
def test_what_a_container_group_can_not_be_is_refused(here: AzureHere, place: AzureMlPlace, options: dict[str, Any], says: str) -> None:
    refused = place.run(place.command("create", NAME, place.first.model, **options))
    assert (refused.code, here.groups("GET", f"/{NAME}")) == ("config-invalid", None)
    assert says in refused.error


def test_doctor_tells_the_quota_of_container_groups(here: AzureHere) -> None:
    found = {each.subject: each for each in doctor.findings(here.connect(**OPTIONS))}["container groups"]
    assert (found.verdict, found.detail) == (Verdict.OK, "0 of 100 ContainerGroups, 0 of 100 StandardCores")
