"""Requests straight to the scoring URI, with a key or token that is asked for once a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deployer.core.state import DeploymentName
from deployer.core.target import Payload
from deployer.errors import ConfigInvalid, DeployerError, DeploymentNotFound, TargetUnavailable
from deployer_targets.azureml import online
from deployer_targets.azureml.bodies import SCORING
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.faults import ApiError

NAMED = "azureml-model-deployment"
"""The header that asks one deployment, whatever the traffic."""
Answer = TypeVar("Answer")
_AAD_SCOPE = "https://ml.azure.com/.default"


@dataclass(frozen=True, slots=True)
class Door:
    """Where an endpoint is asked, and what opens it."""

    uri: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a server behind an endpoint; `path` is another of it than the scoring route."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None = None
    path: str = ""


def predict(name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Payload:
    """One request's answer.

    Raises:
        DeploymentNotFound, TargetUnavailable.
        ConfigInvalid: the container refuses the request, in its own words.
    """
    answer = _asked(name, payload, cloud, cloud.connection.once)
    return Payload(answer.body, content_type=answer.headers.get("Content-Type") or payload.accept, accept=payload.accept)


def predict_stream(name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Iterator[bytes]:
    """The answer's pieces as the model makes them; raises as `predict` does, in the middle too."""
    yield from _asked(name, payload, cloud, cloud.connection.opened).pieces(name)


def _asked(name: DeploymentName, payload: Payload, cloud: AzureMlCloud, ask: Callable[..., Answer]) -> Answer:
    headers = {"Content-Type": payload.content_type, "Accept": payload.accept, **({NAMED: name} if cloud.endpoint else {})}
    question = Question("POST", headers, payload.body)

    def send() -> Answer:
        try:
            return _sent(cloud.endpoint_of(name), question, cloud, ask)
        except ApiError as error:
            if (ours := _translated(name, error)) is None:
                raise
            raise ours from error

    return cloud.connection.seam.call(send, f"a request to {name}")


def probe(name: str, deployment: str, path: str, cloud: AzureMlCloud) -> int:
    """Ask one deployment by its name for a path of its server; the status that it answers with."""

    def send() -> int:
        try:
            return _sent(name, Question("GET", {NAMED: deployment}, path=path), cloud, cloud.connection.once).status
        except ApiError as error:
            if error.status != 424:
                raise
            return int(error.model_status or error.status)

    return cloud.connection.seam.call(send, f"a request to {deployment} of {name}")


def read(name: str, deployment: str, path: str, cloud: AzureMlCloud) -> str:
    """What one deployment says at a path of its server, asked by its name; "" where it can't be asked, or has no such path."""

    def send() -> str:
        try:
            question = Question("GET", {NAMED: deployment}, path=path)
            return _sent(name, question, cloud, cloud.connection.once).body.decode(errors="replace")
        except ApiError as error:
            if error.status not in (404, 424):
                raise
            return ""

    return cloud.connection.seam.call(send, f"a request to {deployment} of {name}")


def _sent(name: str, question: Question, cloud: AzureMlCloud, ask: Callable[..., Answer]) -> Answer:
    """One request, by what sends it; a key that isn't taken any more is asked for once more."""
    again = ("door", name) in cloud.learnt
    try:
        return _through(_door(name, cloud), question, ask)
    except ApiError as error:
        if error.status not in (401, 403, 404) or not again:
            raise
        for known in ("door", "endpoint"):
            cloud.learnt.pop((known, name), None)
        return _through(_door(name, cloud), question, ask)


def _through(door: Door, question: Question, ask: Callable[..., Answer]) -> Answer:
    url = _below(door.uri, question.path) if question.path else door.uri
    headers = {**question.headers, "Authorization": f"Bearer {door.secret}"}
    return ask(question.method, url, "", content=question.body, headers=headers)


def _below(uri: str, path: str) -> str:
    """Another path of the server behind a scoring URI, which ends in the scoring route."""
    base = uri.removesuffix(SCORING) if uri.endswith(SCORING) else uri.rpartition("/")[0]
    return base + path


def _door(name: str, cloud: AzureMlCloud) -> Door:
    known = cloud.learnt.get(("door", name))
    if isinstance(known, Door):
        return known
    endpoint = cloud.learnt.get(("endpoint", name)) or online.endpoint(name, cloud)
    if endpoint is None:
        raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there")
    if not endpoint.scoring_uri:
        raise DeploymentNotFound(f"{name} doesn't serve: the endpoint is {endpoint.state}", advice=f"deploy get -n {name} shows how it is")
    found = cloud.learnt["door", name] = Door(endpoint.scoring_uri, _secret(name, endpoint, cloud))
    return found


def _secret(name: str, endpoint: online.AzureEndpoint, cloud: AzureMlCloud) -> str:
    path = online.endpoint_path(name)
    match endpoint.auth_mode:
        case "aml_token":
            return str(cloud.ask("POST", f"{path}/token").document["accessToken"])
        case "aad_token":
            return cloud.connection.token(_AAD_SCOPE)
        case _:
            return str(cloud.ask("POST", f"{path}/listKeys").document["primaryKey"])


def credentials(name: DeploymentName, cloud: AzureMlCloud) -> Mapping[str, str] | None:
    """What callers of an online endpoint bring; None where there is none.

    Raises:
        ConfigInvalid: tokens of Microsoft Entra ID, which callers have by themselves.
    """
    at = cloud.endpoint_of(name)
    endpoint = online.endpoint(at, cloud)
    if endpoint is None:
        return None
    path = online.endpoint_path(at)
    match endpoint.auth_mode:
        case "aml_token":
            return {"token": str(cloud.ask("POST", f"{path}/token").document["accessToken"])}
        case "aad_token":
            raise ConfigInvalid(f"{name} is asked with a token of Microsoft Entra ID", advice=f"az account get-access-token --scope {_AAD_SCOPE}")
        case _:
            keys = cloud.ask("POST", f"{path}/listKeys").document
            return {"primary_key": str(keys["primaryKey"]), "secondary_key": str(keys["secondaryKey"])}


def _translated(name: str, error: ApiError) -> DeployerError | None:
    """What Azure's front says of the container; None for what is Azure's own."""
    match error.status:
        case 424:
            return _of_container(name, error)
        case 404:
            advice = f"deploy get -n {name} shows how it is"
            return DeploymentNotFound(f"{name} doesn't serve: it isn't there, or has no traffic", why=error.message, advice=advice)
        case 408:
            advice = "request_settings.request_timeout_ms gives a request up to 180000 ms"
            return TargetUnavailable(f"{name} did not answer in time", why=error.message, advice=advice)
        case 413:
            return ConfigInvalid(f"the request is too large for {name}", why=error.message, advice="send fewer rows at once: Azure takes 10 MB")
        case _:
            return None


def _of_container(name: str, error: ApiError) -> DeployerError:
    status, said, advice = int(error.model_status or 0), words_of(error.body), f"deploy logs -n {name} has the container's side of it"
    if status == 503:
        return TargetUnavailable(f"the container of {name} isn't ready", why=said, advice="ask again; more instances take more requests")
    if not status:
        return TargetUnavailable(f"the container of {name} gave no answer", why=said, advice=advice)
    what = f"the model behind {name} failed" if status >= 500 else f"the model behind {name} refuses the request"
    return ConfigInvalid(f"{what} (HTTP {status})", why=said, advice=advice)


def words_of(body: bytes) -> str:
    """What a container says in its error, ours or another's."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        document = None
    found = (document.get("message") or (document.get("error") or {}).get("message")) if isinstance(document, dict) else None
    return str(found or body[:2000].decode(errors="replace"))
