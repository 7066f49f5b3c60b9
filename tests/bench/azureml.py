"""The local Azure: the calls that verbs make beside those of Azure ML's own SDK for the same work, the time that they take, and a long list."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from tests.azureml import AzureHere, running
from tests.bench.processes import Finished, run
from tests.bench.tables import Table
from tests.environments import azure_python
from tests.local_clouds import MINOR, QUESTION, model_in

RUNS, LISTED = 3, 500
DEPLOY = str(Path(sys.executable).with_name("deploy"))
LEAST = {"create": 16, "create again, nothing to do": 4, "list": 3, "predict": 2, "update, another model": 16, "delete": 13}
"""Calls to Resource Manager without which it can't be done safely: docs/adr/0016-azure-by-its-rest-api.md has which."""
POLLS = ("OperationStatus_Get", "OperationResult_Get")


def measure(**_: object) -> Iterator[Table]:
    """Each table's note has its goals."""
    with tempfile.TemporaryDirectory(prefix="deployer-bench-") as folder:
        room = Path(folder)
        with running(room / "cloud") as here:
            environment = {**here.environment, "BODY": str(room / "body.json")}
            (room / "body.json").write_bytes(QUESTION.body)
            for name, factor in (("doubler", 2), ("tripler", 3)):
                model_in(room / name, factor)
            yield _beside_the_sdk(here, room, environment)
            yield _create_to_prediction(here, room, environment)
            yield _long_list(here, environment)


def _beside_the_sdk(here: AzureHere, room: Path, environment: Mapping[str, str]) -> Table:
    """Verb by verb, ours and then the SDK's."""
    image = here.push(f"sdk-py{MINOR}").reference
    body, models = str(room / "body.json"), {name: str(room / name) for name in ("doubler", "tripler")}
    named = ("-t", "azureml", "-n", "ours")
    verbs: Mapping[str, tuple[tuple[str, ...], tuple[str, str]]] = {
        "create": (("create", *named, "-m", models["doubler"]), ("create", "doubler")),
        "create again, nothing to do": (("apply", *named, "-m", models["doubler"]), ("again", "doubler")),
        "list": (("list", "-t", "azureml"), ("list", "doubler")),
        "predict": (("predict", *named, "-i", body), ("predict", "doubler")),
        "update, another model": (("update", *named, "-m", models["tripler"]), ("update", "tripler")),
        "delete": (("delete", *named), ("delete", "tripler")),
    }
    rows = []
    for verb, (ours, (theirs, model)) in verbs.items():
        found = _asked(here, partial(run, [DEPLOY, *ours], _environment(environment)))
        sdk = [str(azure_python()), str(Path(__file__).with_name("azure_sdk.py")), theirs, "theirs", models[model], image]
        others = _asked(here, partial(run, sdk, _environment(environment)))
        rows.append((verb, *found, *others))
    heads = tuple(f"{whose}: {what}" for whose in ("ours", "azure-ai-ml") for what in ("ARM", "polls", "store", "scoring", "s"))
    note = (
        "From the local Azure's journal; whole commands and scripts, imports too. Ours keeps records, history and a claim in the store, asks the new "
        "deployment before it has traffic and looks whether each thing is done already; the SDK's script does none of it."
    )
    return Table("Calls to Azure beside its SDK's", ("verb", *heads), tuple(rows), note)


def _asked(here: AzureHere, does: Callable[[], Finished]) -> tuple[str, ...]:
    """What a run asked Azure: Resource Manager, polls apart, the store and scoring URIs; and its seconds."""
    here.control.clear_journal()
    seconds = does().seconds
    journal = here.control.journal()
    arm = [each["operation"] for each in journal if each["service"] == "arm"]
    polls = sum(each in POLLS for each in arm)
    others = (str(sum(each["service"] == service for each in journal)) for service in ("storage", "inference"))
    return (str(len(arm) - polls), str(polls), *others, f"{seconds:.1f}")


def _create_to_prediction(here: AzureHere, room: Path, environment: Mapping[str, str]) -> Table:
    """Another model each time; the first doesn't count."""
    created, answered = [], []
    for turn in range(RUNS + 1):
        model_in(room / f"model-{turn}", turn + 2)
        begin = time.perf_counter()
        run([DEPLOY, "create", "-t", "azureml", "-n", "bench", "-m", str(room / f"model-{turn}")], _environment(environment))
        middle = time.perf_counter()
        run([DEPLOY, "predict", "-t", "azureml", "-n", "bench", "-i", environment["BODY"]], _environment(environment))
        end = time.perf_counter()
        run([DEPLOY, "delete", "-t", "azureml", "-n", "bench"], _environment(environment))
        if turn:
            created.append(middle - begin)
            answered.append(end - begin)
    note = f"Medians of {RUNS} runs, whole commands, a new model each; containers are processes. Goal: under 8 s."
    rows = ((f"{median(created):.1f}", f"{median(answered):.1f}"),)
    return Table("Create to first prediction on the local Azure", ("create, s", "with first predict, s"), rows, note)


def _long_list(here: AzureHere, environment: Mapping[str, str]) -> Table:
    """Endpoints of ours without deployments, so no record is read: what the pages of endpoints cost."""
    for number in range(LISTED):
        name = f"listed-{number}"
        here.arm("PUT", f"onlineEndpoints/{name}", {"location": "eastus", "tags": {"deployer-deployment": name}, "properties": {"authMode": "Key"}})
    seconds = [run([DEPLOY, "list", "-t", "azureml", "-o", "json"], _environment(environment)) for _ in range(RUNS)]
    listed = len(json.loads(seconds[0].output[seconds[0].output.index("[") :]))
    rows = ((str(listed), f"{median(each.seconds for each in seconds):.1f}"),)
    return Table(
        "A long list on the local Azure",
        ("endpoints", "list, s"),
        rows,
        f"Medians of {RUNS} whole commands; endpoints without deployments, so that no record is read. Goal for 500 with deployments: under 3 s.",
    )


def _environment(of_cloud: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **of_cloud}
