"""SageMaker's runtime: InvokeEndpoint, with a stream for an answer, and asynchronously through S3.

Straight from the connection to the container, past moto, so that an invocation costs a few milliseconds.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deployer_localstack.aws import eventstream, ground
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.cloudwatch.endpoint_metrics import Invocation, record
from deployer_localstack.aws.dataplane import Fleet, Replica
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.sagemaker.store import Endpoint, RegionStore, SageMakerStore
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.containers.proxy import ContainerAnswer, ContainerBrokeOff, ContainerTimeout, ContainerUnreachable
from deployer_localstack.control.calls import Call
from deployer_localstack.http.server import Environ, StartResponse

_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_HEADERS = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": _ATTRIBUTES,
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT": "X-Amzn-SageMaker-Target-Variant",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "X-Amzn-SageMaker-Target-Model",
    "HTTP_X_AMZN_SAGEMAKER_SESSION_ID": "X-Amzn-SageMaker-Session-Id",
}
# The streaming and asynchronous calls have names of their own for these two.
_RENAMED = {"HTTP_X_AMZN_SAGEMAKER_CONTENT_TYPE": "Content-Type", "HTTP_X_AMZN_SAGEMAKER_ACCEPT": "Accept"}
_INLINE_ASYNC_BYTES = 128_000
_ATTRIBUTE_LENGTH = 1024
_STREAM_SECONDS = 480.0
_ASYNC_SECONDS = 900


@dataclass(slots=True)
class HeldReplica:
    """A replica that a request is on its way to, with the fleet that must not go before it's answered.

    Attributes:
        sent: when the container was asked; 0 as long as it wasn't.
        answered: when its answer was whole.
        status: of that; 0 where there is none.
    """

    fleet: Fleet
    replica: Replica
    endpoint: Endpoint
    began: float = field(default_factory=time.monotonic)
    sent: float = 0.0
    answered: float = 0.0
    status: int = 0

    def invocation(self) -> Invocation:
        now = time.monotonic()
        return Invocation(
            endpoint=self.endpoint.name,
            variant=self.replica.variant,
            config=self.fleet.config,
            instances=self.replica.instances,
            status=self.status,
            seconds=now - self.began,
            model_seconds=(self.answered or now) - self.sent,
        )


class Invocations:
    """Answers the calls of the service `sagemaker-runtime`."""

    def __init__(self, settings: AwsSettings, store: SageMakerStore) -> None:
        self._settings = settings
        self._store = store
        self._async = ThreadPoolExecutor(8, thread_name_prefix="async invocation")
        self._in_use: dict[int, int] = {}
        self._lock = threading.Lock()

    def answer(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The answer as a WSGI application gives it.

        Raises:
            AwsError: before anything was sent.
        """
        name = call.parameters["EndpointName"]
        _refuse_headers(environ)
        if call.operation == "InvokeEndpointAsync":
            return self._invoke_async(place, name, environ, start_response)
        if call.operation == "InvokeEndpointWithResponseStream":
            return self._invoke_stream(place, name, environ, start_response)
        if call.operation == "InvokeEndpoint":
            return self._invoke(place, name, environ, start_response)
        raise AwsError("UnknownOperationException", f"no such operation: {environ['PATH_INFO']}", 404)

    def close(self) -> None:
        self._async.shutdown(wait=False, cancel_futures=True)

    def _invoke(self, place: AccountRegion, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        held = self._hold(place, name, environ, asynchronous=False)
        try:
            body = self._body(environ, held.replica)
            answer = self._ask(place, held, _forwarded(environ), body, self._settings.invocation_timeout_seconds)
            content = self._read(place, held, answer)
        finally:
            self._release(place, held)
        if answer.status != 200:
            raise _model_error(place, held, answer.status, content)
        headers = [*_answer_headers(held, answer), ("Content-Length", str(len(content)))]
        headers.append(("Content-Type", answer.headers.get("content-type", "application/octet-stream")))
        start_response("200 OK", headers)
        return [content]

    def _invoke_stream(self, place: AccountRegion, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        held = self._hold(place, name, environ, asynchronous=False)
        try:
            if held.replica.serverless:
                raise AwsError("ValidationError", f"Endpoint {name} is serverless, which has no response streaming.")
            body = self._body(environ, held.replica)
            answer = self._ask(place, held, _forwarded(environ, renamed=True), body, _STREAM_SECONDS)
            if answer.status != 200:
                raise _model_error(place, held, answer.status, self._read(place, held, answer))
        except BaseException:
            self._release(place, held)
            raise
        headers = [*_answer_headers(held, answer), ("Content-Type", eventstream.CONTENT_TYPE)]
        headers.append(("X-Amzn-SageMaker-Content-Type", answer.headers.get("content-type", "application/octet-stream")))
        start_response("200 OK", headers)
        return self._events(place, held, answer)

    def _events(self, place: AccountRegion, held: HeldReplica, answer: ContainerAnswer) -> Iterator[bytes]:
        try:
            for piece in answer.pieces():
                yield eventstream.payload_part(piece)
        except ContainerTimeout:
            held.status = 0
            yield eventstream.model_stream_error("The request took longer than 8 minutes.", "ModelInvocationTimeExceeded")
        except ContainerBrokeOff:
            held.status = 0
            yield eventstream.model_stream_error("The container closed the connection in the middle of its answer.", "StreamBroken")
        finally:
            self._release(place, held)

    def _invoke_async(self, place: AccountRegion, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        endpoint = self._endpoint(place, name)
        config = (endpoint.current.document if endpoint.current else {}).get("AsyncInferenceConfig")
        if not config:
            raise AwsError("ValidationError", f"Endpoint {name} of account {place.account} is not an asynchronous endpoint.")
        location = environ.get("HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION")
        inline = environ["wsgi.input"].read()
        if bool(location) == bool(inline):
            raise AwsError("ValidationError", "Either InputLocation or Body is required, and not both.")
        if len(inline) > _INLINE_ASYNC_BYTES:
            raise AwsError("ValidationError", f"Body has {len(inline)} bytes; at most {_INLINE_ASYNC_BYTES} are allowed inline.")
        inference = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID") or str(uuid.uuid4())
        job = AsyncJob(place, name, _forwarded(environ, renamed=True), location, inline, config, f"{uuid.uuid4()}.out", _seconds(environ))
        self._async.submit(self._run_async, job)
        headers = [("Content-Type", "application/json"), ("X-Amzn-SageMaker-OutputLocation", job.output_location)]
        if job.failure_location:
            headers.append(("X-Amzn-SageMaker-FailureLocation", job.failure_location))
        content = json.dumps({"InferenceId": inference}).encode()
        start_response("202 Accepted", [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _run_async(self, job: AsyncJob) -> None:
        try:
            held = self._hold(job.place, job.endpoint, {}, asynchronous=True)
            try:
                answer = self._ask(job.place, held, job.headers, job.content(), job.seconds)
                content = self._read(job.place, held, answer)
            finally:
                self._release(job.place, held)
            if answer.status != 200:
                raise _model_error(job.place, held, answer.status, content)
            _store(job.place, job.output_location, content)
        except AwsError as failed:
            if job.failure_location:
                _store(job.place, job.failure_location, failed.message.encode())

    def _hold(self, place: AccountRegion, name: str, environ: Mapping[str, Any], *, asynchronous: bool) -> HeldReplica:
        """A replica for this request. What is held must be released."""
        shelf = self._store.shelf(place)
        with shelf.lock:
            endpoint = self._endpoint(place, name, shelf)
            if bool((endpoint.current.document if endpoint.current else {}).get("AsyncInferenceConfig")) != asynchronous:
                raise AwsError("ValidationError", f"Endpoint {name} of account {place.account} takes asynchronous invocations only.")
            fleets = endpoint.fleets
            fleet = fleets[0][0] if len(fleets) == 1 else random.choices([f for f, _ in fleets], [w for _, w in fleets])[0]
            variant = environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT")
            replica = fleet.choose(variant)
            if replica is None:
                raise AwsError("ValidationError", f"Variant {variant} of endpoint {name} not found, or all weights are 0.")
            self._take(replica)
            fleet.in_flight.enter()
        return HeldReplica(fleet, replica, endpoint)

    def _take(self, replica: Replica) -> None:
        """Serverless endpoints take MaxConcurrency requests at once and throttle the rest."""
        if not replica.serverless:
            return
        with self._lock:
            used = self._in_use.get(id(replica), 0)
            if used >= replica.serverless["MaxConcurrency"]:
                raise AwsError("ThrottlingException", "Rate exceeded", 400)
            self._in_use[id(replica)] = used + 1

    def _release(self, place: AccountRegion, held: HeldReplica) -> None:
        held.fleet.in_flight.leave()
        if held.sent:
            record(place, held.invocation())
        if held.replica.serverless:
            with self._lock:
                self._in_use[id(held.replica)] -= 1

    def _endpoint(self, place: AccountRegion, name: str, shelf: RegionStore | None = None) -> Endpoint:
        """The endpoint, if it has something that serves."""
        endpoint = (shelf or self._store.shelf(place)).endpoints.get(name)
        if endpoint is None or not endpoint.fleets:
            raise AwsError("ValidationError", f"Endpoint {name} of account {place.account} not found.")
        return endpoint

    def _body(self, environ: Environ, replica: Replica) -> bytes:
        limit = self._settings.serverless_payload_limit_bytes if replica.serverless else self._settings.payload_limit_bytes
        if int(environ.get("CONTENT_LENGTH") or 0) > limit:
            raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
        body: bytes = environ["wsgi.input"].read()
        if len(body) > limit:
            raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
        return body

    @staticmethod
    def _ask(place: AccountRegion, held: HeldReplica, headers: Mapping[str, str], body: bytes, seconds: float) -> ContainerAnswer:
        pool, held.sent = held.replica.pool, time.monotonic()
        if pool is None:
            raise AwsError("ServiceUnavailable", "The container of the variant is being started again.", 503)
        try:
            answer = pool.request("POST", "/invocations", headers, body, seconds)
        except ContainerUnreachable:
            raise AwsError("ServiceUnavailable", "The container of the variant doesn't accept connections.", 503) from None
        except ContainerTimeout:
            raise _timeout(place, held) from None
        except ContainerBrokeOff:
            raise _model_error(place, held, 0, b"The container closed the connection without an answer.") from None
        held.status = answer.status
        return answer

    @staticmethod
    def _read(place: AccountRegion, held: HeldReplica, answer: ContainerAnswer) -> bytes:
        held.status = 0  # until it is whole
        try:
            content = answer.read()
        except ContainerTimeout:
            raise _timeout(place, held) from None
        except ContainerBrokeOff:
            raise _model_error(place, held, 0, b"The container closed the connection in the middle of its answer.") from None
        held.status, held.answered = answer.status, time.monotonic()
        return content


@dataclass(frozen=True, slots=True)
class AsyncJob:
    """One asynchronous invocation."""

    place: AccountRegion
    endpoint: str
    headers: Mapping[str, str]
    input_location: str | None
    inline: bytes
    config: Mapping[str, Any]
    output_name: str
    seconds: int

    @property
    def output_location(self) -> str:
        path = self.config["OutputConfig"].get("S3OutputPath") or f"s3://sagemaker-{self.place.region}-{self.place.account}/async"
        return f"{path.rstrip('/')}/{self.output_name}"

    @property
    def failure_location(self) -> str | None:
        path = self.config["OutputConfig"].get("S3FailurePath")
        return f"{path.rstrip('/')}/{self.output_name.removesuffix('.out')}-error.out" if path else None

    def content(self) -> bytes:
        if not self.input_location:
            return self.inline
        parts = urlsplit(self.input_location)
        stored = ground.stored_object(self.place, parts.netloc, parts.path.lstrip("/"))
        if stored is None:
            raise AwsError("ValidationError", f"The input object {self.input_location} is not there.")
        return stored.read()


def _refuse_headers(environ: Environ) -> None:
    attributes = environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", "")
    if len(attributes) > _ATTRIBUTE_LENGTH or not attributes.isascii():
        raise AwsError("ValidationError", f"CustomAttributes must be at most {_ATTRIBUTE_LENGTH} ASCII characters.")


def _forwarded(environ: Environ, *, renamed: bool = False) -> dict[str, str]:
    """The headers that reach the container; all others are stripped."""
    found = {name: environ[key] for key, name in _HEADERS.items() if environ.get(key)}
    if renamed:
        found |= {name: environ[key] for key, name in _RENAMED.items() if environ.get(key)}
    return found


def _answer_headers(held: HeldReplica, answer: ContainerAnswer) -> list[tuple[str, str]]:
    headers = [("x-Amzn-Invoked-Production-Variant", held.replica.variant), ("x-amzn-RequestId", str(uuid.uuid4()))]
    if attributes := answer.headers.get(_ATTRIBUTES.lower()):
        headers.append((_ATTRIBUTES, attributes))
    return headers


def _model_error(place: AccountRegion, held: HeldReplica, status: int, content: bytes) -> AwsError:
    """ModelError in the real one's words: what the container said, and where its log is."""
    said = content.decode(errors="replace")
    kind = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{held.endpoint.name}"
    message = (
        f'Received {kind} error ({status}) from primary with message "{said}". See https://{place.region}.console.aws.amazon.com/cloudwatch/'
        f"home?region={place.region}#logEventViewer:group={group} in account {place.account} for more information."
    )
    log = f"arn:{place.partition}:logs:{place.region}:{place.account}:log-group:{group}"
    return AwsError("ModelError", message, 424, {"OriginalStatusCode": status, "OriginalMessage": said, "LogStreamArn": log})


def _timeout(place: AccountRegion, held: HeldReplica) -> AwsError:
    said = (
        "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each container "
        "in Amazon CloudWatch, resolve the issue, and try again."
    )
    return _model_error(place, held, 0, said.encode())


def _seconds(environ: Environ) -> int:
    given = environ.get("HTTP_X_AMZN_SAGEMAKER_INVOCATIONTIMEOUTSECONDS")
    if given and not (given.isdigit() and 1 <= int(given) <= 3600):
        raise AwsError("ValidationError", f"InvocationTimeoutSeconds {given} is not between 1 and 3600.")
    return int(given or _ASYNC_SECONDS)


def _store(place: AccountRegion, location: str, content: bytes) -> None:
    parts = urlsplit(location)
    ground.store_object(place, parts.netloc, parts.path.lstrip("/"), content)
