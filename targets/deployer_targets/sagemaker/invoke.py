"""Requests to an endpoint: answered at once, in pieces, or by way of S3 where the endpoint is asynchronous."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName
from deployer.core.target import Payload
from deployer.errors import ConfigInvalid, DeployerError, DeploymentNotFound, Refused, TargetUnavailable, TimedOut
from deployer_targets.sagemaker import faults, names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.ledger import S3Ledger
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.observe import Endpoint, bucket_of, describe, generation_of

ASYNC_SECONDS = 3600.0
"""The longest that SageMaker lets one asynchronous request take."""
SERVICE = "sagemaker-runtime"

_PAUSES = Pauses(longest=10.0, share=0.5)


def predict(name: DeploymentName, payload: Payload, cloud: Aws) -> Payload:
    """One request's answer.

    Raises:
        DeploymentNotFound, TargetUnavailable.
        ConfigInvalid: the container refuses the request, in its own words.
    """
    try:
        answer = _sent(name, payload, cloud, "invoke_endpoint")
    except Refused as refusal:
        endpoint = _served(name, cloud, refusal)
        if not endpoint.description.get("AsyncInferenceConfig"):
            raise
        return _by_way_of_s3(name, payload, cloud, endpoint)
    return Payload(answer["Body"].read(), content_type=answer.get("ContentType", payload.accept), accept=payload.accept)


def predict_stream(name: DeploymentName, payload: Payload, cloud: Aws) -> Iterator[bytes]:
    """The answer's pieces as the model makes them; raises as `predict` does, in the middle too."""
    try:
        answer = _sent(name, payload, cloud, "invoke_endpoint_with_response_stream")
    except Refused as refusal:
        _served(name, cloud, refusal)
        raise
    for event in answer["Body"]:
        if "PayloadPart" in event:
            yield event["PayloadPart"]["Bytes"]
        else:
            kind, said = next(iter(event.items()))
            raise ConfigInvalid(f"the model stopped in the middle of its answer ({kind})", why=str(said.get("Message", "")))


def _sent(name: str, payload: Payload, cloud: Aws, operation: str) -> Any:
    client = cloud.connection.client(SERVICE)
    parameters = {"EndpointName": name, "Body": payload.body, "ContentType": payload.content_type, "Accept": payload.accept}

    def send() -> Any:
        try:
            return getattr(client, operation)(**parameters)
        except client.exceptions.ModelError as error:
            raise _of_the_model(name, error) from error

    return cloud.connection.attempt(send, f"{SERVICE} {operation}")


def _of_the_model(name: str, error: Any) -> DeployerError:
    """The container's own answer, which SageMaker wraps."""
    status, said = int(error.response.get("OriginalStatusCode") or 0), str(error.response.get("OriginalMessage") or faults.text_of(error))
    if status == 503:
        return TargetUnavailable(f"the container of {name} isn't ready", why=said, advice="ask again; more instances take more requests")
    if not status:
        return TargetUnavailable(f"the container of {name} gave no answer", why=said, advice=f"deploy logs -n {name} has the container's side of it")
    what = f"the model behind {name} failed" if status >= 500 else f"the model behind {name} refuses the request"
    return ConfigInvalid(f"{what} (HTTP {status})", why=said, advice=f"deploy logs -n {name} has the container's side of it")


def _served(name: str, cloud: Aws, refusal: Refused) -> Endpoint:
    """The endpoint that refused.

    Raises:
        DeploymentNotFound: there is none, or it doesn't serve yet.
    """
    endpoint = describe(name, cloud)
    if endpoint is None:
        raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there") from refusal
    if endpoint.current is None:
        advice = f"deploy get -n {name} shows how it is"
        raise DeploymentNotFound(f"{name} doesn't serve: it is {endpoint.status}", why=endpoint.reason, advice=advice) from refusal
    return endpoint


def _by_way_of_s3(name: DeploymentName, payload: Payload, cloud: Aws, endpoint: Endpoint) -> Payload:
    """The request laid into S3, the answer waited for there."""
    home = Home(bucket_of(name, cloud, endpoint), name)
    place = home.input(uuid.uuid4().hex)
    records = S3Ledger(cloud, home).read()
    record = records.get(generation_of(endpoint.carried, records))
    store.write(cloud, home, place, payload.body, store.key_of(record) if record else None)
    try:
        asked = cloud.call(
            SERVICE,
            "invoke_endpoint_async",
            EndpointName=name,
            InputLocation=home.url(place),
            ContentType=payload.content_type,
            Accept=payload.accept,
        )
        return Payload(_fetched(name, cloud, asked), content_type=payload.accept, accept=payload.accept)
    finally:
        with suppress(DeployerError):
            store.remove(cloud, home, [place])


def _fetched(name: str, cloud: Aws, asked: dict[str, Any]) -> bytes:
    answer, failure = names.split_url(asked["OutputLocation"]), asked.get("FailureLocation")
    for body in poll(lambda: store.read(cloud, *answer), seconds=ASYNC_SECONDS, pauses=_PAUSES, sleep=cloud.connection.sleep):
        if body is not None:
            return body
        failed = store.read(cloud, *names.split_url(failure)) if failure else None
        if failed is not None:
            raise ConfigInvalid(f"the model behind {name} refuses the request", why=failed.decode(errors="replace")[:2000])
    raise TimedOut(f"{name} has not answered after {ASYNC_SECONDS:.0f} s", advice=f"the answer will be at {asked['OutputLocation']}")
