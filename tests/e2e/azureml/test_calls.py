"""How often Azure is asked: each call to Resource Manager takes a tenth of a second or more, and they are throttled. Counted in the local Azure's
journal, against the least that docs/adr/0016-azure-by-its-rest-api.md works out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import deployer
from deployer.client import DeployClient
from tests.azureml import AzureHere
from tests.bench.azureml import LEAST
from tests.local_clouds import QUESTION, model_in

POLLS = frozenset({"OperationStatus_Get", "OperationResult_Get"})
"""How many there are depends on how long Azure takes."""


def client(**options: object) -> DeployClient:
    """One that knows nothing of Azure yet, as a command."""
    return deployer.get_deploy_client("azureml", {"timeout_seconds": 120, **options})


def asked(here: AzureHere, action: Callable[[], object]) -> Counter[str]:
    """What Resource Manager was asked while `action` ran, polls apart."""
    here.control.clear_journal()
    action()
    return Counter(entry["operation"] for entry in here.control.journal() if entry["service"] == "arm" and entry["operation"] not in POLLS)


def test_no_verb_asks_more_than_it_must(here: AzureHere, tmp_path: Path) -> None:
    doubler, tripler = (str(tmp_path / name) for name in ("doubler", "tripler"))
    model_in(tmp_path / "doubler", 2)
    model_in(tmp_path / "tripler", 3)
    counted = {
        "create": asked(here, lambda: client().create_deployment("asked", doubler, packages="image")),
        "create again, nothing to do": asked(here, lambda: client().apply("asked", doubler, packages="image")),
        "list": asked(here, lambda: client().list_deployments()),
        "predict": asked(here, lambda: client().predict("asked", QUESTION.body.decode())),
        "logs": asked(here, lambda: list(client().logs("asked"))),
        "update, another model": asked(here, lambda: client().update_deployment("asked", tripler, packages="image")),
        "rollback": asked(here, lambda: client().rollback("asked")),
        "delete": asked(here, lambda: client().delete_deployment("asked")),
    }
    least = {**LEAST, "logs": 3, "rollback": 12}
    assert {verb: calls.total() for verb, calls in counted.items() if calls.total() > 1.2 * least[verb]} == {}, counted


def test_with_a_token_of_ones_own_predict_asks_once_and_then_never(here: AzureHere, tmp_path: Path) -> None:
    model_in(tmp_path / "doubler", 2)
    client(auth_mode="aad_token").create_deployment("tokens", str(tmp_path / "doubler"), packages="image")
    new = client()
    assert asked(here, lambda: new.predict("tokens", QUESTION.body.decode())) == {"OnlineEndpoints_Get": 1}
    assert asked(here, lambda: new.predict("tokens", QUESTION.body.decode())) == {}
    client().delete_deployment("tokens")


def test_what_can_not_change_is_read_once_in_a_run(here: AzureHere, tmp_path: Path) -> None:
    model_in(tmp_path / "doubler", 2)
    calls = asked(here, lambda: client().create_deployment("once", str(tmp_path / "doubler"), packages="image"))
    for operation in ("Workspaces_Get", "Datastores_Get", "Datastores_ListSecrets", "OnlineEndpoints_ListKeys"):
        assert calls[operation] == 1, operation
    assert calls["ContainerGroups_Get"] == 0, "no record says that it is one"
    client().delete_deployment("once")
