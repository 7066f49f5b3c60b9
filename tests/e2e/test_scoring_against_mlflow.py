"""What the runtime makes of requests and predictions, held against the real MLflow in the same interpreter, case by case."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scoring_cases import CASES
from tests.e2e.scoring_differences import LOOSER, OTHERWISE, STRICTER, differs_on_purpose, refused_earlier
from tests.environments import mlflow_python

pytestmark = pytest.mark.mlflow
_ROOT = Path(__file__).parents[2]


@cache
def verdicts() -> dict[str, Any]:
    """What both did with all the cases: one process, because importing MLflow takes seconds."""
    cases = json.dumps([case._asdict() for case in CASES])
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT / "images"), str(_ROOT)])}
    done = subprocess.run(
        [str(mlflow_python()), str(Path(__file__).with_name("scoring_oracle.py"))],
        input=cases,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_request_gets_the_verdict_and_the_values_of_mlflow(number: int) -> None:
    theirs, ours = verdicts()["requests"][number]
    if _differ(theirs, ours) and differs_on_purpose(CASES[number].name, theirs["status"] == 200, ours["status"] == 200, str(ours.get("message"))):
        return
    if theirs["status"] == 200:
        assert (ours["status"], repr(ours.get("answer"))) == (200, repr(theirs["answer"])), ours
    elif theirs["status"] == 500:  # MLflow stumbles over bodies that are the client's fault
        assert ours["status"] == 400, ours
    elif refused_earlier(CASES[number].name):
        assert (ours["status"], theirs["status"]) == (400, 400), ours
    else:
        assert (ours["status"], ours["error_code"]) == (theirs["status"], theirs.get("error_code", ours["error_code"])), ours


def _differ(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    return (theirs["status"], repr(theirs.get("answer"))) != (ours["status"], repr(ours.get("answer")))


@pytest.mark.parametrize("what", ["data", "params"])
def test_some_thousand_inputs_held_against_signatures_get_the_verdict_and_the_values_of_mlflow(what: str) -> None:
    """tests/e2e/enforcement_cases.py: frames, arrays, dictionaries and params that no request can express."""
    compared = verdicts()[what]
    differing = {}
    for name, (theirs, ours) in compared.items():
        alike = "refused" in ours if "given" not in theirs else repr(theirs) == repr(ours)  # what MLflow stumbles over is refused
        if not alike and not differs_on_purpose(name, "given" in theirs, "given" in ours, str(ours.get("message"))):
            differing[name] = theirs, ours
    assert differing == {}
    given = sum("given" in theirs for theirs, _ in compared.values())
    assert given > 90
    assert len(compared) - given > 600


def test_each_difference_on_purpose_is_there() -> None:
    """None of the patterns is left over from a difference that is gone."""
    cases = {each.name: (theirs["status"] == 200, ours["status"] == 200) for each, (theirs, ours) in zip(CASES, verdicts()["requests"], strict=True)}
    for what in ("data", "params"):
        cases |= {name: ("given" in theirs, "given" in ours) for name, (theirs, ours) in verdicts()[what].items()}
    for patterns, taken in ((STRICTER, (True, False)), (LOOSER, (False, True)), (OTHERWISE, (True, True))):
        idle = [each for each in patterns if not any(taken == pair and re.fullmatch(each, name) for name, pair in cases.items())]
        assert idle == []


def test_parquet_gives_a_model_what_the_same_frame_in_process_does() -> None:
    found, refused = verdicts()["stored"], verdicts()["refused"]
    # pandas' own strings come back in the dtype that pandas has for them, and a gap as that dtype's.
    said = {name: [re.sub("NAType: <NA>|NoneType: None|string", "", each.replace("float: nan", "")) for each in pair] for name, pair in found.items()}
    assert {name: pair for name, pair in said.items() if pair[0].replace('"str"', '"object"') != pair[1].replace('"str"', '"object"')} == {}
    assert sorted(name for name, (ours, _) in found.items() if ours.startswith("refused")) == sorted(refused)
    assert all("'x'" in found[name][0] for name in refused)


def test_where_mlflow_hints_at_missing_values_the_advice_is_to_use_double() -> None:
    hinted = {
        name: (theirs, ours)
        for name, (theirs, ours) in verdicts()["data"].items()
        if "missing values" in theirs.get("message", "") and "given" not in ours
    }
    assert len(hinted) > 5
    assert [name for name, (_, ours) in hinted.items() if "declare the column as double" not in ours.get("message", "")] == []


def test_predictions_are_written_with_the_values_of_mlflow() -> None:
    written = verdicts()["predictions"]
    read = {what: [None if text is None else repr(json.loads(text)) for text in pair] for what, pair in written.items()}
    assert {what: ours for what, (theirs, ours) in read.items() if theirs != ours} == {
        "not available": "{'predictions': [None]}",
        # what MLflow has no form for
        "a set": "{'predictions': [1]}",
        "a timedelta": "{'predictions': 'P1DT0H0M0S'}",
        "a frame of timedeltas": "{'predictions': [{'t': 'P0DT0H0M0.000000001S'}]}",
    }
    assert sum(theirs is None for theirs, _ in read.values()) < 10


def test_the_comparison_has_answers_and_refusals_of_every_kind() -> None:
    statuses = [theirs["status"] for theirs, _ in verdicts()["requests"]]
    assert min(statuses.count(200), statuses.count(400)) > 100
    assert 415 in statuses
