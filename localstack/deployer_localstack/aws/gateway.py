"""The AWS API: which of its calls we answer, and which moto."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deployer_localstack.aws import ground, s3_bodies
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.ecr import Ecr
from deployer_localstack.aws.errors import AwsError, expired, render, throttled, validation
from deployer_localstack.aws.invocations import Invocations
from deployer_localstack.aws.requests import read_call
from deployer_localstack.aws.sagemaker.api import SageMaker
from deployer_localstack.aws.sagemaker.store import SageMakerStore
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.control.calls import Call
from deployer_localstack.control.faults import FaultRule
from deployer_localstack.control.gate import Entry
from deployer_localstack.http.server import Environ, StartResponse

_CODE = re.compile(rb'"__type": ?"([^"]+)"|<Code>([^<]+)</Code>')
_SCALABLE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_ANY = "*"

_Answer = Callable[[Call, AccountRegion, Environ, StartResponse, Entry], Iterable[bytes]]


class Gateway:
    """What answers at AWS_ENDPOINT_URL, behind the gate."""

    def __init__(
        self,
        *,
        settings: AwsSettings,
        store: SageMakerStore,
        sagemaker: SageMaker,
        invocations: Invocations,
        ecr: Ecr,
        directory: Path,
    ) -> None:
        self._settings, self._store, self._sagemaker, self._ecr = settings, store, sagemaker, ecr
        self._application = ground.application()
        s3_bodies.install()
        self._bodies = s3_bodies.S3Bodies(directory / "objects", self._application)
        self._answers: Mapping[tuple[str, str], _Answer] = {
            ("sagemaker-runtime", _ANY): lambda call, place, environ, start, entry: invocations.answer(call, place, environ, start),
            ("sagemaker", _ANY): self._deployments,
            **{("ecr", operation): _own(function) for operation, function in ecr.operations.items()},
            ("ecr", _ANY): self._repositories,
            ("s3", _ANY): self._objects,
            ("application-autoscaling", "RegisterScalableTarget"): self._register_scalable_target,
            ("application-autoscaling", "DeregisterScalableTarget"): self._deregister_scalable_target,
            ("monitoring", "DescribeAlarms"): self._alarms,
            ("monitoring", "DescribeAlarmsForMetric"): self._alarms,
            ("sts", "AssumeRole"): self._assume_role,
        }

    def read(self, environ: Environ) -> Call:
        return read_call(environ)

    def answer(self, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        try:
            if ground.session_expired(call.access_key):
                raise expired(call.service)
            place = AccountRegion(ground.account_of(call.access_key), call.region)
            answer = self._answers.get((call.service, call.operation)) or self._answers.get((call.service, _ANY)) or self._moto
            return answer(call, place, environ, start_response, entry)
        except AwsError as error:
            return _refusal(error, call, environ, start_response, entry)
        except NotImplementedError as lacking:
            # What moto doesn't have is a definite no: a 500 would be asked again until the caller's patience ends.
            unknown = AwsError("NotImplemented", f"The local cloud doesn't do this: {lacking}", 501)
            return _refusal(unknown, call, environ, start_response, entry)

    def refuse(self, call: Call, rule: FaultRule, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        error = throttled(call.service) if rule.kind == "throttle" else AwsError(rule.code, rule.message, rule.status)
        return _refusal(error, call, environ, start_response, entry)

    def _moto(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        return _noting_errors(self._application(environ, start_response), entry)

    def _deployments(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """What SageMaker has of models and endpoints is ours, all else of it is moto's."""
        answer = self._sagemaker.answer(place, call.operation, call.parameters)
        return self._moto(call, place, environ, start_response, entry) if answer is None else _json(start_response, answer)

    def _repositories(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """moto keeps ECR's repositories; their addresses are ours."""
        if call.operation == "DeleteRepository":
            self._ecr.refuse_deletion_of_images(place, call.parameters)
        status: list[str] = []
        body = b"".join(self._application(environ, lambda line, headers, exc_info=None: status.append(line)))
        if not status[0].startswith("200"):
            start_response(status[0], [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
            return _noting_errors([body], entry)
        if call.operation == "DeleteRepository":
            self._ecr.forget(place, call.parameters)
        return _json(start_response, self._ecr.own_addresses(json.loads(body or b"{}")))

    def _objects(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """The bodies of S3's objects are ours, all else is moto's."""
        streamed = self._bodies.answer(call, place, environ, start_response)
        return self._moto(call, place, environ, start_response, entry) if streamed is None else streamed

    def _alarms(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """moto keeps alarms; their states are looked at when they are."""
        ground.evaluate_alarms(place, self._settings.alarm_time_scale)
        return self._moto(call, place, environ, start_response, entry)

    def _assume_role(self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        refusal = ground.assume_role_refusal(call.parameters.get("RoleArn", ""), place.account, call.parameters.get("ExternalId"))
        if refusal:
            raise AwsError("AccessDenied", refusal, 403)
        if self._settings.session_seconds > 0:  # the session gets that life in the answer, too
            form = {"Action": call.operation, **call.parameters, "DurationSeconds": str(max(1, round(self._settings.session_seconds)))}
            body = urlencode(form).encode()
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        return self._moto(call, place, environ, start_response, entry)

    def _register_scalable_target(
        self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry
    ) -> Iterable[bytes]:
        """moto lets autoscaling own what isn't there."""
        if call.parameters.get("ServiceNamespace") == "sagemaker":
            self._refuse_unknown_variant(call.parameters.get("ResourceId", ""), place)
        return self._moto(call, place, environ, start_response, entry)

    def _deregister_scalable_target(
        self, call: Call, place: AccountRegion, environ: Environ, start_response: StartResponse, entry: Entry
    ) -> Iterable[bytes]:
        """moto leaves the policies of what it forgets."""
        pieces = list(self._application(environ, start_response))
        ground.drop_policies_without_target(place)
        return _noting_errors(pieces, entry)

    def _refuse_unknown_variant(self, resource: str, place: AccountRegion) -> None:
        match = _SCALABLE.fullmatch(resource)
        endpoint = self._store.shelf(place).endpoints.get(match[1]) if match else None
        variants = endpoint.current.variants if endpoint and endpoint.current else []
        found = next((each for each in variants if match and each.name == match[2]), None)
        if found is None:
            raise validation(f"SageMaker endpoint variant does not exist for service namespace: sagemaker, resource ID: {resource}")
        if found.instance_type.startswith("ml.t2."):
            raise validation(f"Autoscaling is not supported for instance type {found.instance_type}.")


def _own(operation: Callable[[AccountRegion, Mapping[str, Any]], dict[str, Any]]) -> _Answer:
    """The answer of an operation that is ours, as JSON."""
    return lambda call, place, environ, start, entry: _json(start, operation(place, call.parameters))


def _refusal(error: AwsError, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
    entry["error"] = error.code
    status, headers, body = render(error, call.service, bodiless=environ["REQUEST_METHOD"] == "HEAD")
    start_response(_line(status), headers)
    return [body]


def _json(start_response: StartResponse, answer: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start_response("200 OK", headers)
    return [body]


def _line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Error"


def _noting_errors(pieces: Iterable[bytes], entry: Entry) -> Iterator[bytes]:
    """The pieces as they are; the code of an error that moto made is noted on the way."""
    close: Callable[[], None] | None = getattr(pieces, "close", None)
    try:
        for piece in pieces:
            if (entry["status"] or 0) >= 400 and (match := _CODE.search(piece)):
                entry["error"] = (match[1] or match[2]).decode()
            yield piece
    finally:
        if close:
            close()
