"""The one way through, over the in-memory target: in which order it asks, when it claims, how an update is completed, what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from deployer.core.state import DeploymentName, ModelFacts, PackagedModel, Provenance, digest_of
from deployer.core.target import Intent
from deployer.errors import (
    ConfigInvalid,
    Conflict,
    DeploymentExists,
    DeploymentNotFound,
    NotOurs,
    PermissionDenied,
    RolloutFailed,
    SchemaChangeRefused,
    TimedOut,
)
from deployer.events import Event, Noticed, Resolved, silent
from deployer.verbs import lifecycle
from deployer.verbs.export import spec_of
from deployer.verbs.lifecycle import Wish
from docs.examples import memory_cloud
from docs.examples.memory_cloud import Service
from docs.examples.memory_target import Client, Memory, Options

NAME = DeploymentName("churn")
TARGET = Memory()
OPTIONS = Options.parse({}, target="memory")
CHANGES = ("put", "remove", "point", "scale", "unpoint")
Call = tuple[Any, ...]
"""A verb and what it was given."""


class Cloud(memory_cloud.Cloud):
    """It keeps what was asked of it."""

    def __init__(self) -> None:
        super().__init__(broken={digest_of("broken")})
        self.sent: list[Call] = []

    def call(self, verb: str, *given: Any) -> Any:
        self.sent.append((verb, *given))
        return super().call(verb, *given)


def model(uri: str, **facts: Any) -> PackagedModel:
    return PackagedModel(ModelFacts(uri=uri, digest=digest_of(uri), **facts))


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def deploy(cloud: Cloud, intent: str, uri: str = "", /, run: str = "one", **options: Any) -> list[Call]:
    """Run to the end; what was sent."""
    before = len(cloud.sent)
    wish = Wish(NAME, Intent(intent), model(uri) if uri else None, Options.parse(options, target="memory"), packages="image")
    lifecycle.deploy(TARGET, Client(cloud, run), wish, silent, timeout_seconds=600)
    return cloud.sent[before:]


def record(cloud: Cloud) -> Any:
    observed = TARGET.observe(NAME, Client(cloud))
    assert observed is not None
    assert observed.record is not None
    return observed.record


def changes(sent: list[Call]) -> list[Call]:
    return [call for call in sent if call[0] in CHANGES]


def test_it_settles_and_looks_before_it_claims_and_again_after(cloud: Cloud) -> None:
    sent = deploy(cloud, "create", "v1")
    claim = next(number for number, call in enumerate(sent) if call[0] == "put")
    assert sent[claim][2] == "claim"
    before, after = sent[:claim], sent[claim + 1 :]
    assert not changes(before)
    for looks in (before, after[: after.index(changes(after)[0])]):
        assert looks[0][0] == "service"
        assert "list" in [call[0] for call in looks]


def test_the_record_is_the_first_thing_made(cloud: Cloud) -> None:
    assert [call[2] for call in changes(deploy(cloud, "create", "v1"))][:3] == ["claim", "history", "record"]


def test_who_has_nothing_to_do_claims_nothing(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    for intent in ("create", "update", "apply"):
        assert changes(deploy(cloud, intent, "v1", run="two")) == []
    assert changes(deploy(cloud, "update", run="two")) == []
    assert cloud.things[NAME, "claim", NAME] == "one"


def test_delete_of_what_is_not_there_claims_nothing(cloud: Cloud) -> None:
    connection, cloud.sent = Client(cloud), []
    assert lifecycle.delete(TARGET, connection, NAME, OPTIONS, silent) is False
    assert changes(cloud.sent) == []


def test_an_update_takes_what_it_does_not_name_from_the_record(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1", image_url="scoring:7", instance_type="large", instance_count=3)
    deploy(cloud, "update", "v2")
    assert record(cloud).model.uri == "v2"
    assert record(cloud).image == "scoring:7"
    assert (record(cloud).options["instance_type"], record(cloud).options["instance_count"]) == ("large", 3)
    deploy(cloud, "update", instance_type="small")
    assert record(cloud).model.uri == "v2"
    assert (record(cloud).options["instance_type"], record(cloud).options["instance_count"]) == ("small", 3)


def test_an_update_keeps_where_packages_come_from(cloud: Cloud) -> None:
    def run(intent: str, uri: str, packages: str | None) -> str:
        wish = Wish(NAME, Intent(intent), model(uri), packages=packages)
        lifecycle.deploy(TARGET, Client(cloud), wish, silent, timeout_seconds=600)
        return str(record(cloud).packages)

    assert run("create", "v1", "at-start") == "at-start"
    assert run("update", "v2", None) == "at-start"
    assert run("update", "v3", "image") == "image"
    assert run("update", "v4", None) == "image"
    assert run("apply", "v5", None) == "auto"


def test_apply_takes_the_wish_as_complete(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1", image_url="scoring:7", instance_type="large")
    deploy(cloud, "apply", "v1")
    assert (record(cloud).image, record(cloud).options["instance_type"]) == ("registry/deployer-scoring@sha256:0a", OPTIONS.instance_type)


def test_an_update_waits_for_the_dust_to_settle_before_it_reads_the_record(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1", instance_count=2)
    cloud.rollout = 500
    with pytest.raises(TimedOut):
        deploy(cloud, "update", "v2", timeout_seconds=10, instance_type="large")
    deploy(cloud, "update", instance_count=4, run="two")
    assert record(cloud).model.uri == "v2"
    assert record(cloud).options["instance_type"] == "large"
    assert cloud.services[NAME].count == 4


def test_standing_options_give_way_to_the_record_and_to_the_wish(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1", instance_type="large")
    config = Options.parse({"instance_count": 2, "instance_type": "huge"}, target="memory")
    wish = Wish(NAME, Intent.UPDATE, model("v2"), config, frozenset({"instance_count"}), packages="image")
    lifecycle.deploy(TARGET, Client(cloud), wish, silent, timeout_seconds=600)
    assert record(cloud).options["instance_type"] == "large"
    assert record(cloud).options["instance_count"] == 2


def test_create_of_something_else_is_refused_before_anything_is_changed(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    connection, cloud.sent = Client(cloud, "two"), []
    with pytest.raises(DeploymentExists, match="exists already") as refused:
        lifecycle.deploy(TARGET, connection, Wish(NAME, Intent.CREATE, model("v2"), packages="image"), silent, timeout_seconds=600)
    assert "update" in refused.value.advice
    assert changes(cloud.sent) == []


def test_create_goes_on_where_nothing_came_to_serve(cloud: Cloud) -> None:
    with pytest.raises(RolloutFailed):
        deploy(cloud, "create", "broken")
    deploy(cloud, "create", "v2")
    assert record(cloud).model.uri == "v2"


def test_update_of_what_is_not_there_is_refused(cloud: Cloud) -> None:
    with pytest.raises(DeploymentNotFound, match="churn"):
        deploy(cloud, "update", "v1")
    assert not cloud.things


def test_an_update_without_a_model_needs_one_in_service(cloud: Cloud) -> None:
    cloud.things[NAME, "claim", NAME] = "somebody's"
    with pytest.raises(Conflict, match="complete"):
        deploy(cloud, "update", instance_count=2)


def test_what_somebody_else_made_is_refused_unless_adopted(cloud: Cloud) -> None:
    cloud.services[NAME] = Service(NAME, version="theirs")
    with pytest.raises(NotOurs):
        deploy(cloud, "apply", "v1")
    with pytest.raises(NotOurs):
        lifecycle.delete(TARGET, Client(cloud), NAME, OPTIONS, silent)
    assert cloud.services[NAME].version == "theirs"
    wish = Wish(NAME, Intent.APPLY, model("v1"), packages="image", adopt=True)
    lifecycle.deploy(TARGET, Client(cloud), wish, silent, timeout_seconds=600)
    assert record(cloud).model.uri == "v1"
    deploy(cloud, "update", "v2")
    assert record(cloud).model.uri == "v2"


def signature(*columns: str) -> Mapping[str, Any]:
    listed = ", ".join(f'{{"type": "double", "name": "{column}", "required": true}}' for column in columns)
    return {"inputs": f"[{listed}]", "outputs": '[{"type": "double"}]'}


def test_a_signature_that_breaks_callers_is_refused_until_allowed(cloud: Cloud) -> None:
    wish = Wish(NAME, Intent.APPLY, model("v1", signature=signature("a")), packages="image")
    lifecycle.deploy(TARGET, Client(cloud), wish, silent, timeout_seconds=600)
    breaking = replace(wish, model=model("v2", signature=signature("a", "b")))
    connection, cloud.sent = Client(cloud, "two"), []
    with pytest.raises(SchemaChangeRefused, match="b"):
        lifecycle.deploy(TARGET, connection, breaking, silent, timeout_seconds=600)
    assert changes(cloud.sent) == []
    lifecycle.deploy(TARGET, connection, replace(breaking, allow_schema_change=True), silent, timeout_seconds=600)
    assert record(cloud).model.uri == "v2"


def test_an_unknown_option_is_refused_before_the_cloud_is_touched(cloud: Cloud) -> None:
    with pytest.raises(ConfigInvalid, match="instance_type"):
        deploy(cloud, "create", "v1", instance_typ="large")
    assert not cloud.things


def test_a_prospect_changes_nothing(cloud: Cloud) -> None:
    connection, cloud.sent = Client(cloud), []
    found = lifecycle.prospect(TARGET, connection, Wish(NAME, Intent.CREATE, model("v1"), packages="image"))
    assert changes(cloud.sent) == []
    assert not found.plan.empty
    assert found.observed is None


def test_what_was_resolved_is_told_before_anything_is_done(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    before = record(cloud).generation
    events: list[Event] = []
    wish = Wish(NAME, Intent.UPDATE, model("v2"), packages="image")
    lifecycle.deploy(TARGET, Client(cloud), wish, events.append, timeout_seconds=600)
    told = events[0]
    assert isinstance(told, Resolved)
    assert told.changes
    assert (told.deployment, told.generation, told.replaces) == (NAME, record(cloud).generation, before)


def test_the_record_tells_who_made_it_and_what_it_replaces(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    before = record(cloud).generation
    wish = Wish(NAME, Intent.UPDATE, model("v2", run_id="r1"), packages="image", provenance=Provenance(user="ann", commit="abc"))
    lifecycle.deploy(TARGET, Client(cloud), wish, silent, timeout_seconds=600)
    assert record(cloud).replaces == before
    assert record(cloud).provenance.user == "ann"
    assert record(cloud).model.run_id == "r1"


def test_prune_of_what_is_not_there_is_refused(cloud: Cloud) -> None:
    with pytest.raises(DeploymentNotFound):
        lifecycle.prune(TARGET, Client(cloud), NAME, OPTIONS, silent)


def test_prune_with_nothing_to_remove_claims_nothing(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    connection, cloud.sent = Client(cloud, "two"), []
    assert lifecycle.prune(TARGET, connection, NAME, OPTIONS, silent).empty
    assert changes(cloud.sent) == []


def test_prune_removes_nothing_while_nothing_serves(cloud: Cloud) -> None:
    with pytest.raises(RolloutFailed):
        deploy(cloud, "create", "broken")
    TARGET.claim(NAME, Client(cloud), OPTIONS)  # all that a run leaves that was killed at once
    connection, cloud.sent = Client(cloud, "two"), []
    assert lifecycle.prune(TARGET, connection, NAME, OPTIONS, silent).empty
    assert changes(cloud.sent) == []


def test_a_prune_that_is_refused_says_so(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    deploy(cloud, "update", "v2")
    cloud.faults["remove version"] = PermissionDenied("not authorized to remove")
    with pytest.raises(PermissionDenied, match="remove"):
        lifecycle.prune(TARGET, Client(cloud, "two"), NAME, Options.parse({"keep": 0}, target="memory"), silent)


def test_a_failed_rollout_says_what_serves(cloud: Cloud) -> None:
    deploy(cloud, "create", "v1")
    before = record(cloud).generation
    with pytest.raises(RolloutFailed, match=f"generation {before} still serves") as failed:
        deploy(cloud, "update", "broken")
    assert "could not be loaded" in failed.value.why


def test_an_export_warns_of_what_a_deploy_does(cloud: Cloud) -> None:
    vague = model("v1", requirements=("./code/own",))
    wish, exported, deployed = Wish(NAME, Intent.CREATE, vague), list[Event](), list[Event]()
    spec_of(TARGET, Client(cloud), wish, exported.append)
    lifecycle.deploy(TARGET, Client(cloud), wish, deployed.append, timeout_seconds=600)
    said, wanted = ([each.message for each in told if isinstance(each, Noticed)] for told in (exported, deployed))
    assert said == wanted != []
