"""Errors in programs: all that is known of one stands in its text, and stays with it in other processes."""

from __future__ import annotations

import copy
import pickle
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from deployer import errors
from deployer.errors import ConfigInvalid, DeployerError, ExtraMissing, RolloutFailed
from deployer_scoring.enforcement.values import Misfit
from deployer_scoring.errors import InvalidInput, MLModelError, ModelFailure, kind_of
from deployer_scoring.python_model import MlflowError
from deployer_scoring.wire.csv_shape import CsvRefused

LINES = ("Traceback (most recent call last):", "ModuleNotFoundError: No module named 'lightgbm'")
FAILED = RolloutFailed("churn was not updated", why="the model could not be loaded", advice="add lightgbm to the model's requirements", lines=LINES)
TEXT = """\
churn was not updated
Why: the model could not be loaded
The container's last lines:
  | Traceback (most recent call last):
  | ModuleNotFoundError: No module named 'lightgbm'
What to do: add lightgbm to the model's requirements"""


def every_error(base: type[DeployerError] = DeployerError) -> list[type[DeployerError]]:
    return [base, *(each for child in base.__subclasses__() for each in every_error(child))]


def facts(error: DeployerError) -> tuple[object, ...]:
    return type(error), error.message, error.why, error.advice, error.lines, error.code, error.exit_code, str(error), repr(error)


def raise_it() -> None:
    raise FAILED


def test_the_text_says_why_and_what_to_do() -> None:
    assert str(FAILED) == TEXT
    assert traceback.format_exception_only(FAILED)[0].rstrip() == f"deployer.errors.RolloutFailed: {TEXT}"
    assert str(ConfigInvalid("which model is not said", advice="name its URI")) == "which model is not said\nWhat to do: name its URI"
    assert str(ExtraMissing.named("sagemaker", "the target")).endswith('What to do: pip install "deployer-ml[sagemaker]"')


def test_the_attributes_are_what_the_text_is_made_of() -> None:
    assert (FAILED.message, FAILED.why, FAILED.lines) == ("churn was not updated", "the model could not be loaded", LINES)
    assert (FAILED.advice, FAILED.code, FAILED.exit_code) == ("add lightgbm to the model's requirements", "rollout-failed", 5)
    assert repr(ConfigInvalid("no", advice="yes")) == "ConfigInvalid('no', advice='yes')"


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_is_whole_after_pickling_and_copying(kind: type[DeployerError]) -> None:
    for error in (kind("it is so"), kind("it is so", why="because", advice="do that", lines=LINES)):
        error.add_note("seen in the nightly job")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(error, protocol))
            assert facts(again) == facts(error)
            assert again.__notes__ == ["seen in the nightly job"]
        assert facts(copy.copy(error)) == facts(copy.deepcopy(error)) == facts(error)


def test_an_error_is_whole_when_it_comes_from_another_process() -> None:
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool, pytest.raises(RolloutFailed) as raised:
        pool.submit(raise_it).result(60)
    assert facts(raised.value) == facts(FAILED)


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("the column 'a' is missing", error_code="INVALID_PARAMETER_VALUE", status=415),
        MLModelError("MLmodel", "flavors", "is wrong", "Mend it."),
        ModelFailure("ValueError: no", stack="Traceback …"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_runtimes_errors_are_whole_too(error: Exception) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_every_kind_has_a_code_of_its_own_or_its_parents() -> None:
    ours = [kind for kind in every_error() if kind.__module__ == errors.__name__]
    assert len({kind.code for kind in ours}) == len(ours)


@pytest.mark.parametrize("special", [CsvRefused("there is 1 field", 3), Misfit("'x' is no number"), MlflowError("no", "INVALID_PARAMETER_VALUE")])
def test_a_special_case_is_told_to_other_processes_as_its_kind(special: Exception) -> None:
    assert kind_of(special) == "InvalidInput"
    assert kind_of(OSError()) == "OSError"
