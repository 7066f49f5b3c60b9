"""MLflow's door: what each target's `mlflow` module shows to `mlflow deployments` and `mlflow.deployments.get_deploy_client`.

MLflow takes a module that has exactly one subclass of its BaseDeploymentClient, a `run_local` and a `target_help`:

    from deployer.mlflow_plugin.client import MLflowClient, door

    run_local, target_help = door("sagemaker")

Everything is handed on to `deployer.client`; errors become MLflow's, which its command line prints as one sentence.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from deployer import errors
from deployer.client import DeployClient
from deployer.core.target import Payload
from deployer.events import Event, Noticed, Report, RollbackStarted, StepFailed, StepFinished
from deployer.requests import payloads
from deployer.verbs.progress import LineProgress

_log = logging.getLogger("deployer")

_CODES: Mapping[type[errors.DeployerError], int] = {
    errors.DeploymentNotFound: codes.RESOURCE_DOES_NOT_EXIST,
    errors.ModelNotFound: codes.RESOURCE_DOES_NOT_EXIST,
    errors.DeploymentExists: codes.RESOURCE_ALREADY_EXISTS,
    errors.NotOurs: codes.RESOURCE_ALREADY_EXISTS,
    errors.Conflict: codes.RESOURCE_CONFLICT,
    errors.PermissionDenied: codes.PERMISSION_DENIED,
    errors.QuotaExceeded: codes.RESOURCE_LIMIT_EXCEEDED,
    errors.ConfigInvalid: codes.INVALID_PARAMETER_VALUE,
    errors.ModelInvalid: codes.INVALID_PARAMETER_VALUE,
    errors.SchemaChangeRefused: codes.INVALID_PARAMETER_VALUE,
    errors.TargetUnavailable: codes.TEMPORARILY_UNAVAILABLE,
}


class DeploymentFailed(MlflowException, click.ClickException):  # type: ignore[misc]  # both call their text `message`
    """One of our errors as MLflow's callers expect it; click, which runs MLflow's command line, prints it without a trace and exits with our code."""

    def __init__(self, error: errors.DeployerError) -> None:
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), codes.INTERNAL_ERROR)
        super().__init__(f"[{error.code}] {error}", error_code=code)
        self.error = error
        self.code, self.why, self.advice, self.lines = error.code, error.why, error.advice, error.lines
        vars(self)["exit_code"] = error.exit_code  # click reads it from the instance, and declares it of the class

    def __reduce__(self) -> tuple[type, tuple[errors.DeployerError]]:
        return type(self), (self.error,)


class MLflowClient(BaseDeploymentClient):
    """`deployer.client.DeployClient` under MLflow's names, with MLflow's forms of answers and errors."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)  # type: ignore[no-untyped-call]
        with mlflows_errors():
            self._client = DeployClient(target_uri, on_event=_report(target_uri))

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.create_deployment(name, model_uri, flavor, config, endpoint).document()

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.update_deployment(name, model_uri, flavor, config, endpoint).document()

    def delete_deployment(self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None) -> None:
        with mlflows_errors():
            self._client.delete_deployment(name, config, endpoint)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        with mlflows_errors():
            return [each.document() for each in self._client.list_deployments(endpoint)]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.get_deployment(name, endpoint).document()

    def predict(self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None) -> PredictionsResponse:
        """The answer as MLflow's own clients have it: `.get_predictions()`, `.to_json()`, `["predictions"]`."""
        with mlflows_errors():
            name = None if endpoint and not deployment_name else _named(deployment_name)
            answer = self._client.query(name, payloads.encode(inputs), endpoint)
        return _response(answer)

    def predict_stream(self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None) -> Iterator[bytes]:
        with mlflows_errors():
            yield from self._client.predict_stream(_named(deployment_name), inputs, endpoint)

    def explain(self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None) -> Any:
        with mlflows_errors():
            return self._client.explain(_named(deployment_name), df, endpoint)

    def create_endpoint(self, name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.create_endpoint(name, config)

    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.update_endpoint(endpoint, config)

    def delete_endpoint(self, endpoint: str) -> None:
        with mlflows_errors():
            self._client.delete_endpoint(endpoint)

    def list_endpoints(self) -> list[dict[str, Any]]:
        with mlflows_errors():
            return self._client.list_endpoints()

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        with mlflows_errors():
            return self._client.get_endpoint(endpoint)


def door(scheme: str) -> tuple[Callable[..., None], Callable[[], str]]:
    """`run_local` and `target_help` for the target of that scheme."""

    def run_local(name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        """Run the model here as the target would, until Ctrl-C. Config: the target's options, and `port`, `runtime`, `image`."""
        with mlflows_errors():
            _run_here(scheme, model_uri, flavor, dict(config or {}))

    def target_help() -> str:
        with mlflows_errors():
            return DeployClient(scheme).target_help()

    return run_local, target_help


def _run_here(scheme: str, model_uri: str, flavor: str | None, config: dict[str, Any]) -> None:
    port, runtime, image = (config.pop(key, None) for key in ("port", "runtime", "image"))
    options = {**config, **({"image_url": image} if image else {})}
    DeployClient(scheme).run_local(model_uri, flavor, options, runtime=runtime, port=_port(port), detach=False, on_event=_report(scheme), log=_say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _port(value: Any) -> int:
    try:
        return int(value or 0)
    except ValueError:
        raise errors.ConfigInvalid(f"port {value!r} is not a number", advice="-C port=5000, or leave it out for any free one") from None


def _named(name: str | None) -> str:
    if not name:
        raise errors.ConfigInvalid("which deployment is not said", advice="name it: --name NAME")
    return name


def _response(answer: Payload) -> PredictionsResponse:
    found = json.loads(answer.body)
    return PredictionsResponse(found if isinstance(found, dict) and "predictions" in found else {"predictions": found})


@contextmanager
def mlflows_errors() -> Iterator[None]:
    """Errors of ours as MLflow's."""
    try:
        yield
    except errors.DeployerError as error:
        raise DeploymentFailed(error) from error


def _report(target_uri: str) -> Report:
    """Progress as lines on standard error under MLflow's command line; in a program, which may have a log, by Python's logging."""
    return _logged if click.get_current_context(silent=True) is None else LineProgress(sys.stderr, target_uri)


def _logged(event: Event) -> None:
    """Events by Python's logging."""
    match event:
        case StepFinished():
            _log.info("%s %s", event.label, event.detail)
        case StepFailed():
            _log.warning("%s: %s", event.label, event.reason)
        case RollbackStarted():
            _log.warning("going back: %s", event.reason)
        case Noticed():
            _log.log(logging.WARNING if event.level == "warning" else logging.INFO, event.message)
