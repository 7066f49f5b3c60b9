"""What the environment and the command line say, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_scoring.errors import ScoringError
from deployer_scoring.server.settings import ServerSettings


@pytest.mark.parametrize(
    ("environ", "port", "expected"),
    [
        ({}, None, 8080),
        ({}, 9000, 9000),
        ({"DEPLOYER_PORT": "7000"}, None, 7000),
        ({"DEPLOYER_PORT": "7000"}, 9000, 9000),
        ({"SAGEMAKER_BIND_TO_PORT": "6000", "DEPLOYER_PORT": "7000"}, 9000, 6000),
        ({"DEPLOYER_PORT": "0"}, None, 0),
        ({}, 0, 0),
    ],
)
def test_the_port_is_the_platform_s_then_the_command_line_s_then_the_environment_s(environ: Any, port: Any, expected: int) -> None:
    assert ServerSettings.of(environ, port=port).port == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"DEPLOYER_PORT": "x"},
        {"DEPLOYER_MAX_REQUEST_BYTES": "-1"},
        {"DEPLOYER_MAX_QUEUE": "1.5"},
        {"DEPLOYER_DRAIN_SECONDS": "60"},
        {"DEPLOYER_DRAIN_SECONDS": "nan"},
        {"DEPLOYER_DRAIN_SECONDS": "31"},
        {"DEPLOYER_DRAIN_SECONDS": "16", "DEPLOYER_GRACE_SECONDS": "15"},
        {"DEPLOYER_GRACE_SECONDS": "-1"},
        {"DEPLOYER_PACKAGES": "never"},
        {"DEPLOYER_BATCHING": "perhaps"},
        {"DEPLOYER_WORKERS": "two"},
        {"DEPLOYER_CPUS": "m"},
        {"DEPLOYER_CPUS": "1Gi"},
        {"DEPLOYER_CPUS": "-500m"},
        {"DEPLOYER_CPUS": "nan"},
        {"DEPLOYER_REQUEST_TIMEOUT_SECONDS": "-1"},
    ],
)
def test_a_setting_that_is_wrong_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(ScoringError, match=next(iter(environ))):
        ServerSettings.of(environ)


@pytest.mark.parametrize(
    ("drain", "grace", "finish", "stop"),
    [
        (0.5, 30, 24.5, 27),  # the defaults
        (15, 80, 60, 77),  # Kubernetes: a drain of 15 s, requests of a minute
        (300, 365, 60, 362),
        (0, 30, 25, 27),
        (30, 30, 1, 33),  # what was begun has a moment, though the platform may not wait
        (0.5, 0, 1, 3.5),
    ],
)
def test_what_was_begun_has_what_the_drain_leaves_of_the_grace(drain: float, grace: float, finish: float, stop: float) -> None:
    settings = ServerSettings.of({"DEPLOYER_DRAIN_SECONDS": str(drain), "DEPLOYER_GRACE_SECONDS": str(grace)})
    assert (settings.finish_seconds, settings.stop_seconds) == (finish, stop)


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"DEPLOYER_GRPC_PORT": "9", "DEPLOYER_WORKERS": "3", "DEPLOYER_THREADS": "4", "DEPLOYER_BATCHING": "off", "DEPLOYER_MODEL_NAME": "a"}
    names = ("grpc_port", "workers", "threads", "batching", "model_name")

    def chosen(**given: Any) -> list[Any]:
        return [getattr(ServerSettings.of(environ, **given), name) for name in names]

    assert chosen() == [9, 3, 4, "off", "a"]
    assert chosen(grpc_port=8, workers=1, threads=2, batching="on", model_name="b") == [8, 1, 2, "on", "b"]
    assert ServerSettings.of({})[2:6] == (0, 0, 0, "auto")


@pytest.mark.parametrize(("said", "cpus"), [("", 0), ("2", 2), ("0.5", 0.5), ("500m", 0.5), ("1500m", 1.5)])
def test_cpus_are_said_as_kubernetes_does(said: str, cpus: float) -> None:
    assert ServerSettings.of({"DEPLOYER_CPUS": said}).cpus == cpus


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 60),
        ({"MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "10"}, 10),
        ({"MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "10", "DEPLOYER_REQUEST_TIMEOUT_SECONDS": "3600"}, 3600),
        ({"DEPLOYER_REQUEST_TIMEOUT_SECONDS": "0"}, 0),
    ],
)
def test_the_time_a_predict_may_take_is_ours_then_mlflow_s(environ: dict[str, str], seconds: float) -> None:
    assert ServerSettings.of(environ).request_timeout_seconds == seconds


@pytest.mark.parametrize(
    "keys", ["short", "0123456789abcdef,short", "0123456789abcdef,", ",", "0123456789 abcdef0", "0123456789abcdefü", "0123456789abcde\x7f"]
)
def test_keys_that_cannot_do_are_refused_and_not_shown(keys: str) -> None:
    with pytest.raises(ScoringError) as refused:
        ServerSettings.of({"DEPLOYER_API_KEYS": keys})
    assert "DEPLOYER_API_KEYS" in str(refused.value)
    assert "0123456789" not in str(refused.value)


def test_settings_show_no_key() -> None:
    settings = ServerSettings.of({"DEPLOYER_API_KEYS": "0123456789abcdef, fedcba9876543210"})
    assert "2 keys" in repr(settings)
    assert "0123456789" not in repr(settings)
