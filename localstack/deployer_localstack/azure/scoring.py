"""Scoring URIs: who may ask, which deployment answers, and what becomes of what its container says.

Documented: "Troubleshoot online endpoint deployment" (HTTP status codes), "Authenticate clients for online endpoints", "Perform safe rollout of
new deployments" (the header that names a deployment), "Enable streaming mode for flows deployed to managed online endpoint" (answers in pieces).
"""

from __future__ import annotations

import hmac
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from deployer_localstack.azure.answers import AzureError, send, send_pieces
from deployer_localstack.azure.arm.durations import seconds
from deployer_localstack.azure.arm.endpoints import audience_of
from deployer_localstack.azure.arm.online import OnlineDeployment, OnlineEndpoint
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.dataplane import DeploymentContainer
from deployer_localstack.azure.entra import MANAGEMENT, Entra
from deployer_localstack.azure.metrics import EndpointMetrics
from deployer_localstack.azure.settings import AzureSettings
from deployer_localstack.containers.proxy import ContainerAnswer, ContainerBrokeOff, ContainerTimeout, ContainerUnreachable
from deployer_localstack.http.server import HEADERS, DropConnection, Environ, StartResponse

NAMED = "azureml-model-deployment"
_PATH = re.compile(r"/inference/([^/?]+)(/[^?]*)?")
_KEPT_BACK = frozenset({"authorization", "host", "connection", "content-length", "transfer-encoding", "expect", "keep-alive"})
_NOT_PASSED_ON = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "date", "server"})
_REASON = "ms-azureml-model-error-reason"
_STATUS = "ms-azureml-model-error-statuscode"


@dataclass(frozen=True, slots=True)
class ScoringAddress:
    """An endpoint by its scoring URI, and what is asked below that."""

    endpoint: str
    below: str


def asked_of(uri: str) -> ScoringAddress | None:
    """What a path with its query asks; None where it is below no scoring URI."""
    match = _PATH.match(uri)
    if match is None:
        return None
    below = uri[match.end(1) :]
    return ScoringAddress(match[1], below if below.startswith("/") else f"/{below}")


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What a container is asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Scoring:
    """Answers what is below the endpoints' addresses."""

    def __init__(self, settings: AzureSettings, workspace: Workspace, entra: Entra, metrics: EndpointMetrics) -> None:
        self._settings, self._workspace, self._entra, self._metrics = settings, workspace, entra, metrics

    def answer(self, address: ScoringAddress, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The answer as a WSGI application gives it.

        Raises:
            AzureError: a refusal, or 424 for what the container refuses.
        """
        headers = {name: value for name, value in environ[HEADERS].items() if name.lower() not in _KEPT_BACK}
        asked = ScoringRequest(environ["REQUEST_METHOD"], address.below, headers, self._body(environ))
        with self._workspace.lock:
            endpoint = self._workspace.endpoints.get(address.endpoint.lower())
            if endpoint is None:
                raise AzureError("NotFound", f"There is no endpoint {address.endpoint}.", 404)
            self._refuse_stranger(endpoint, environ.get("HTTP_AUTHORIZATION", ""))
            named = environ[HEADERS].get(NAMED) or ""
            deployment, serving = _chosen(endpoint, named)
            serving.in_flight.enter()
            # Requests that name a deployment aren't mirrored.
            mirror = None if named else _mirror(endpoint)
            if mirror:
                mirror[1].in_flight.enter()
        if mirror:
            threading.Thread(target=self._mirrored, args=(*mirror, asked), name="mirror", daemon=True).start()
        began = time.monotonic()

        def ended(status: int, model_status: str = "") -> None:
            serving.in_flight.leave()
            self._metrics.count(endpoint.name, deployment.name, status, model_status, time.monotonic() - began)

        try:
            answer = _ask(deployment, serving, asked)
            content = _read(answer) if "content-length" in answer.headers else None
        except AzureError as refused:
            ended(refused.status)
            raise
        status = 200 if answer.status == 200 else 424
        told = {name: value for name, value in answer.headers.items() if name not in _NOT_PASSED_ON} | {NAMED: deployment.name}
        if status != 200:
            told |= {_STATUS: str(answer.status), _REASON: "model_error"}
        if content is None:
            return send_pieces(start_response, status, told, _as_they_come(answer, partial(ended, status, str(answer.status))))
        ended(status, str(answer.status))
        return send(start_response, status, told, content)

    @staticmethod
    def _mirrored(deployment: OnlineDeployment, serving: DeploymentContainer, asked: ScoringRequest) -> None:
        try:
            with suppress(AzureError):  # nobody is told what it answers
                _read(_ask(deployment, serving, asked))
        finally:
            serving.in_flight.leave()

    def _body(self, environ: Environ) -> bytes:
        limit, body = self._settings.azure_payload_limit_bytes, b""
        if int(environ.get("CONTENT_LENGTH") or 0) <= limit:
            body = environ["wsgi.input"].read()
        if int(environ.get("CONTENT_LENGTH") or len(body)) > limit:
            raise AzureError("PayloadTooLarge", f"A request has up to {limit} bytes.", 413)
        return body

    def _refuse_stranger(self, endpoint: OnlineEndpoint, authorization: str) -> None:
        kind, _, secret = authorization.partition(" ")
        if endpoint.auth_mode == "Key":
            known = [hmac.compare_digest(secret.encode(), key.encode()) for key in (endpoint.primary, endpoint.secondary)]
            good = kind.lower() == "bearer" and any(known)
        else:
            good = self._entra.is_for(authorization, [audience_of(endpoint)] if endpoint.auth_mode == "AMLToken" else MANAGEMENT)
        if not good:
            raise AzureError("key_auth_bad_header_forbidden", "Please make sure the Authorization header has a key or token of this endpoint.", 401)


def _ask(deployment: OnlineDeployment, serving: DeploymentContainer, asked: ScoringRequest) -> ContainerAnswer:
    """The container's answer, whose body is still to come."""
    requests: dict[str, Any] = deployment.document["properties"].get("requestSettings") or {}
    pool = serving.container.pool
    if pool is None:
        raise AzureError("ServiceUnavailable", "No instance of the deployment is ready.", 503)
    with _container_faults():
        return pool.request(asked.method, asked.path, asked.headers, asked.body, seconds(requests.get("requestTimeout") or "PT5S"))


def _read(answer: ContainerAnswer) -> bytes:
    with _container_faults():
        return answer.read()


def _as_they_come(answer: ContainerAnswer, ended: Callable[[], None]) -> Iterator[bytes]:
    """The pieces of a body; where the container breaks off, so does this, without an end."""
    try:
        yield from answer.pieces()
    except (ContainerTimeout, ContainerBrokeOff) as broken:
        raise DropConnection from broken
    finally:
        ended()


@contextmanager
def _container_faults() -> Iterator[None]:
    """What callers are told of a container that doesn't answer."""
    try:
        yield
    except ContainerUnreachable:
        raise AzureError("ServiceUnavailable", "No instance of the deployment accepts connections.", 503) from None
    except ContainerTimeout:
        raise AzureError("RequestTimeout", "upstream request timeout", 408) from None
    except ContainerBrokeOff:
        raise AzureError("ModelError", "The container closed the connection.", 424, headers={_STATUS: "0", _REASON: "model_error"}) from None


def _chosen(endpoint: OnlineEndpoint, named: str) -> tuple[OnlineDeployment, DeploymentContainer]:
    """The deployment that is named, else one by traffic."""
    if named:
        deployment = endpoint.deployments.get(named.lower())
        if deployment is None or deployment.serving is None:
            raise AzureError("NotFound", f"Endpoint {endpoint.name} has no deployment {named} that serves.", 404)
        return deployment, deployment.serving
    live = [(endpoint.deployments[name], share) for name, share in endpoint.traffic.items() if share and name in endpoint.deployments]
    serving = [(each, each.serving, share) for each, share in live if each.serving]
    if not serving:
        raise AzureError("NotFound", "The endpoint doesn't have any valid deployment with positive weight.", 404)
    deployment, container, _ = random.choices(serving, [share for *_, share in serving])[0]
    return deployment, container


def _mirror(endpoint: OnlineEndpoint) -> tuple[OnlineDeployment, DeploymentContainer] | None:
    """The deployment that this request's copy goes to, by the share that is mirrored."""
    name, share = next(iter(endpoint.mirrored.items()), ("", 0))
    deployment = endpoint.deployments.get(name)
    if deployment is None or deployment.serving is None or random.random() * 100 >= share:
        return None
    return deployment, deployment.serving
