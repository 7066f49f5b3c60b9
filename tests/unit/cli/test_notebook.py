"""Objects in notebooks and at a prompt: through IPython's own formatter, over the in-memory target."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

import deployer
from deployer.core.state import Status
from deployer.verbs.changes import Changes
from deployer.verbs.deployment import Deployment, Deployments, GenerationFacts, History
from docs.examples.memory_cloud import Cloud
from tests.unit.cli.conftest import saved

EVIL = "<img src=x onerror=alert(1)>&\"'</td>"


@pytest.fixture
def client(cloud: Cloud, churn: Path) -> deployer.DeployClient:
    return deployer.get_deploy_client("memory:/here")


class Page(HTMLParser):
    """What a browser would make of it: its text, its tags and their attributes; each tag must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.attributes, self.open = "", [], [], []  # type: tuple[str, list[str], list[tuple[str, str | None]], list[str]]
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def displayed(shown: object) -> tuple[str, Page]:
    """The plain text and the page that IPython sends to a notebook."""
    formatter: Any = DisplayFormatter()
    data, _ = formatter.format(shown)
    return data["text/plain"], Page(data["text/html"])


def test_a_deployment_shows_what_get_shows(client: deployer.DeployClient, workspace: Path) -> None:
    client.create_deployment("churn", "churn", config={"env": {"TOKEN": "hunter2"}, "instance_count": 2})
    saved(workspace / "next", "another pickle")
    deployment = client.update_deployment("churn", "next")
    plain, page = displayed(deployment)
    for said in (
        "churn on memory:/here",
        "ready",
        "next",
        deployment.generation,
        "instance_count",
        *(each.generation for each in deployment.history),
    ):
        assert said in page.text
    assert "hunter2" not in page.text + plain + str(deployment)
    assert (
        plain
        == repr(deployment)
        == (f"Deployment(name='churn', target='memory:/here', status='ready', generation='{deployment.generation}', model='next')")
    )
    assert str(deployment) == f"churn on memory:/here: ready, generation {deployment.generation} of next" + (
        f", at {deployment.url}" if deployment.url else ""
    )


def test_a_list_is_a_table_and_a_list(client: deployer.DeployClient) -> None:
    assert displayed(client.list_deployments())[1].text == "no deployments"
    client.create_deployment("second", "churn")
    client.create_deployment("first", "churn")
    found = client.list_deployments()
    assert isinstance(found, list)
    assert [each.name for each in found[:]] == ["first", "second"]
    plain, page = displayed(found)
    assert page.tags.count("tr") == 3
    assert page.text.index("first") < page.text.index("second")
    assert plain.startswith("[Deployment(name='first', ")
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert displayed(again)[1].text == page.text


def test_a_plan_shows_what_differs_and_what_is_done(client: deployer.DeployClient, workspace: Path) -> None:
    client.create_deployment("churn", "churn")
    changes = client.plan("churn", config={"instance_type": "large"})
    plain, page = displayed(changes)
    for said in ("churn on memory:/here", "instance_type", "small -> large", *(each.subject for each in changes.steps)):
        assert said in page.text
    assert plain.startswith("Changes('churn on memory:/here: ")
    assert "small -> large" in str(changes)
    nothing = client.plan("churn", "churn")
    assert "nothing to do" in displayed(nothing)[1].text


def test_a_history_is_a_table_and_a_tuple(client: deployer.DeployClient) -> None:
    history = client.create_deployment("churn", "churn").history
    assert isinstance(history, tuple)
    _, page = displayed(history)
    assert history[0].generation in page.text
    assert "100 %" in page.text
    assert pickle.loads(pickle.dumps(history)) == history == copy.deepcopy(history)
    assert json.dumps(client.get_deployment("churn").document()["history"])


def test_what_others_named_is_text_in_every_place() -> None:
    history = History([GenerationFacts(generation=EVIL, model=EVIL, user=EVIL, job=EVIL, commit=EVIL, time=EVIL, version=EVIL)])
    deployment = Deployment(
        name=EVIL,
        target=EVIL,
        status=Status.READY,
        model=EVIL,
        generation=EVIL,
        incoming=EVIL,
        reason=EVIL,
        url=f'https://x/"{EVIL.replace(" ", "")}',
        created=datetime.now(UTC),
        traffic={EVIL: 50, "b": 50},
        options={EVIL: EVIL},
        history=history,
        columns={EVIL: EVIL},
    )
    for shown in (deployment, Deployments([deployment]), history):
        _, page = displayed(shown)
        assert "img" not in page.tags
        assert EVIL in page.text
        assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_an_address_is_a_link_and_nothing_else_is() -> None:
    def links(url: str) -> list[str | None]:
        _, page = displayed(Deployment(name="churn", target="local", status=Status.READY, url=url))
        assert url in page.text
        return [value for name, value in page.attributes if name == "href"]

    assert links("http://127.0.0.1:8080/invocations") == ["http://127.0.0.1:8080/invocations"]
    assert links("javascript:alert(1)") == []
    assert links("arn:aws:sagemaker:us-west-2:1:endpoint/churn") == []


def test_nothing_sets_colours_or_runs(client: deployer.DeployClient) -> None:
    """Dark and light pages both have their own colours, and pages that show saved notebooks take styles and scripts out."""
    client.create_deployment("churn", "churn")
    changes: Changes = client.plan("churn", config={"instance_count": 3})
    for shown in (client.get_deployment("churn"), client.list_deployments(), changes):
        _, page = displayed(shown)
        assert not {"style", "script", "link", "iframe"} & set(page.tags)
        assert not [value for name, value in page.attributes if name == "style" and ("color" in str(value) or "background" in str(value))]
