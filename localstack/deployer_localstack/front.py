"""The AWS endpoint: journal, faults and expired sessions around every call, and who answers it: we, or moto."""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deployer_localstack import ground, s3_bodies
from deployer_localstack.aws_errors import AwsError, expired, render, validation
from deployer_localstack.aws_request import Call, read_call
from deployer_localstack.ecr import Ecr
from deployer_localstack.faults import Faults, Rule
from deployer_localstack.invocations import Invocations
from deployer_localstack.journal import Journal
from deployer_localstack.sagemaker.api import SageMaker
from deployer_localstack.sagemaker.store import Place, Store
from deployer_localstack.server import Application, DropConnection, Environ, StartResponse
from deployer_localstack.settings import Settings

_SLOW_SECONDS = 1.0
_CODE = re.compile(rb'"__type": ?"([^"]+)"|<Code>([^<]+)</Code>')
_SCALABLE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


class Front:
    """The WSGI application at AWS_ENDPOINT_URL."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        faults: Faults,
        store: Store,
        sagemaker: SageMaker,
        invocations: Invocations,
        ecr: Ecr,
        control: Application,
        directory: Path,
    ) -> None:
        self._settings, self._journal, self._faults, self._store = settings, journal, faults, store
        self._sagemaker, self._invocations, self._ecr = sagemaker, invocations, ecr
        self._control = control
        self._moto = ground.application()
        s3_bodies.install()
        self._s3_bodies = s3_bodies.S3Bodies(directory / "objects", self._moto)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_deployer/"):
            return self._control(environ, start_response)
        call = read_call(environ)
        entry = self._journal.open(call, environ.get("HTTP_USER_AGENT", ""))
        began = time.monotonic()
        rule = self._faults.striking(call)
        if rule:
            entry["fault"] = rule.kind
            time.sleep(rule.seconds or (_SLOW_SECONDS if rule.kind == "slow" else 0.0))
            if rule.kind == "drop":
                raise DropConnection

        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            entry["status"] = int(status.split(" ", 1)[0])
            entry["seconds"] = round(time.monotonic() - began, 4)
            start_response(status, headers)

        pieces = self._answer(call, environ, noting, rule, entry)
        if rule and rule.kind == "lose-answer":
            for _ in pieces:
                pass
            raise DropConnection
        return pieces

    def _answer(self, call: Call, environ: Environ, start_response: StartResponse, rule: Rule | None, entry: dict[str, Any]) -> Iterable[bytes]:
        try:
            if rule and rule.kind in {"throttle", "error"}:
                raise rule.error(call.service)
            if ground.session_expired(call.access_key):
                raise expired(call.service)
            return self._dispatch(call, environ, start_response, entry)
        except (AwsError, NotImplementedError) as fault:
            # What moto doesn't have is a definite no: a 500 would be asked again until the caller's patience ends.
            error = fault if isinstance(fault, AwsError) else AwsError("NotImplemented", f"The local cloud doesn't do this: {fault}", 501)
            entry["error"] = error.code
            status, headers, body = render(error, call.service, bodiless=environ["REQUEST_METHOD"] == "HEAD")
            start_response(_line(status), headers)
            return [body]

    def _dispatch(self, call: Call, environ: Environ, start_response: StartResponse, entry: dict[str, Any]) -> Iterable[bytes]:
        place = Place(ground.account_of(call.access_key), call.region)
        answer: dict[str, Any] | None = None
        if call.service == "sagemaker-runtime":
            return self._invocations.answer(call, place, environ, start_response)
        if call.service == "sagemaker":
            answer = self._sagemaker.answer(place, call.operation, call.parameters)
        elif call.service == "ecr":
            if call.operation in self._ecr.operations:
                answer = self._ecr.operations[call.operation](place, call.parameters)
            else:
                return self._ecr_by_moto(call, place, environ, start_response, entry)
        elif call.service == "s3":
            streamed = self._s3_bodies.answer(call, place, environ, start_response)
            if streamed is not None:
                return streamed
        elif call.service == "application-autoscaling" and call.operation == "RegisterScalableTarget":
            self._refuse_unknown_variant(call, place)
        elif call.service == "sts" and call.operation == "AssumeRole":
            refusal = ground.assume_role_refusal(call.parameters.get("RoleArn", ""), place.account, call.parameters.get("ExternalId"))
            if refusal:
                raise AwsError("AccessDenied", refusal, 403)
            self._shorten(call, environ)
        if call.service == "application-autoscaling" and call.operation == "DeregisterScalableTarget":
            pieces = list(self._moto(environ, start_response))
            ground.drop_policies_without_target(place)
            return _noting_errors(pieces, entry)
        if answer is None:
            return _noting_errors(self._moto(environ, start_response), entry)
        return _json(start_response, answer)

    def _ecr_by_moto(self, call: Call, place: Place, environ: Environ, start_response: StartResponse, entry: dict[str, Any]) -> Iterable[bytes]:
        """moto keeps the repositories; their addresses are ours."""
        if call.operation == "DeleteRepository":
            self._ecr.refuse_deletion_of_images(place, call.parameters)
        status: list[str] = []
        body = b"".join(self._moto(environ, lambda line, headers, exc_info=None: status.append(line)))
        if not status[0].startswith("200"):
            start_response(status[0], [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
            return _noting_errors([body], entry)
        if call.operation == "DeleteRepository":
            self._ecr.forget(place, call.parameters)
        return _json(start_response, self._ecr.own_addresses(json.loads(body or b"{}")))

    def _shorten(self, call: Call, environ: Environ) -> None:
        """Give the session the life that the settings say, in the answer too."""
        if self._settings.session_seconds > 0:
            form = {"Action": call.operation, **call.parameters, "DurationSeconds": str(max(1, round(self._settings.session_seconds)))}
            body = urlencode(form).encode()
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))

    def _refuse_unknown_variant(self, call: Call, place: Place) -> None:
        """moto lets autoscaling own what isn't there."""
        if call.parameters.get("ServiceNamespace") != "sagemaker":
            return
        match = _SCALABLE.fullmatch(call.parameters.get("ResourceId", ""))
        endpoint = self._store.shelf(place).endpoints.get(match[1]) if match else None
        variants = endpoint.current.variants if endpoint and endpoint.current else []
        found = next((each for each in variants if match and each.name == match[2]), None)
        if found is None:
            resource = call.parameters.get("ResourceId", "")
            raise validation(f"SageMaker endpoint variant does not exist for service namespace: sagemaker, resource ID: {resource}")
        if found.instance_type.startswith("ml.t2."):
            raise validation(f"Autoscaling is not supported for instance type {found.instance_type}.")


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


def _noting_errors(pieces: Iterable[bytes], entry: dict[str, Any]) -> Iterator[bytes]:
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
