"""The one address of the local Azure: which of its parts answers a request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote

from deployer_localstack.azure import entra as oauth
from deployer_localstack.azure import scoring
from deployer_localstack.azure.account import CLIENT_ID, LOCATION, STORAGE_ACCOUNT
from deployer_localstack.azure.answers import AzureError, JsonAnswer, send, send_json
from deployer_localstack.azure.arm import requests as arm_requests
from deployer_localstack.azure.arm.api import ResourceManager, metadata
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.entra import Entra
from deployer_localstack.azure.scoring import Scoring
from deployer_localstack.azure.storage import api as storage
from deployer_localstack.azure.storage.api import BlobRequest, BlobService
from deployer_localstack.control.calls import Call
from deployer_localstack.control.faults import FaultRule
from deployer_localstack.control.gate import Entry
from deployer_localstack.http.server import HEADERS, Environ, StartResponse

ARM, ENTRA, STORAGE, METADATA, INFERENCE = "arm", "entra", "storage", "metadata", "inference"
_LOGIN = re.compile(r"/([^/]+)/(?:v2\.0/)?(?P<what>\.well-known/openid-configuration|oauth2/(?:v2\.0/)?token)")
_MANAGED = ("/msi/token", "/metadata/identity/oauth2/token")
_THROTTLED = "The request is being throttled as the limit has been reached for operation type."


class Gateway:
    """The Azure API behind the gate."""

    def __init__(self, entra: Entra, manager: ResourceManager, blobs: BlobService, scoring: Scoring) -> None:
        self._entra, self._manager, self._blobs, self._scoring = entra, manager, blobs, scoring
        self.url = ""

    def read(self, environ: Environ) -> Call:
        raw = environ["RAW_URI"].partition("?")[0]
        if raw.startswith(f"/{STORAGE_ACCOUNT}"):
            blob = _asked_of_storage(environ)
            return Call(STORAGE, blob.operation, LOCATION, "", storage.parameters(blob), asked=blob)
        if address := scoring.asked_of(environ["RAW_URI"]):
            named = environ[HEADERS].get(scoring.NAMED)
            told = {"endpoint": address.endpoint, **({"deployment": named} if named else {})}
            return Call(INFERENCE, "Score", LOCATION, "", told, asked=address)
        if raw in _MANAGED:
            query = dict(parse_qsl(environ["RAW_URI"].partition("?")[2]))
            return Call(ENTRA, "ManagedIdentityToken", LOCATION, query.get("client_id", ""), query, asked=query)
        if raw.startswith("/metadata/"):
            return Call(METADATA, "ListEndpoints", LOCATION, "")
        body = environ["wsgi.input"].read()
        if match := _LOGIN.fullmatch(raw):
            form = dict(parse_qsl(body.decode(errors="replace")))
            told = {key: form[key] for key in ("client_id", "scope", "grant_type") if key in form}
            operation = "Token" if match["what"].endswith("token") else "Discovery"
            return Call(ENTRA, operation, LOCATION, form.get("client_id", ""), {"tenant": match[1], **told}, body, asked=form)
        asked = self._asked_of_arm(environ, body)
        told = {**asked.names, **{key: value for key, value in asked.query.items() if key != "api-version"}}
        document = {"document": asked.document} if asked.document else {}
        return Call(ARM, asked.operation or f"{asked.method} {asked.path}", LOCATION, CLIENT_ID, {**told, **document}, body, asked=asked)

    def answer(self, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        try:
            if call.service == STORAGE:
                return self._blobs.answer(call.asked, environ, start_response)
            if call.service == INFERENCE:
                return self._scoring.answer(call.asked, environ, start_response)
            return send_json(start_response, self._document(call, environ))
        except AzureError as error:
            return _refusal(error, call, environ, start_response, entry)

    def refuse(self, call: Call, rule: FaultRule, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        error = AzureError(rule.code, rule.message, rule.status)
        if rule.kind == "throttle":
            # "Scalability targets for Blob storage"; "Throttling Resource Manager requests".
            error = AzureError("TooManyRequests", _THROTTLED, 429, headers={"Retry-After": "1"})
            if call.service == STORAGE:
                error = AzureError("ServerBusy", "The server is busy.", 503, headers={"Retry-After": "1"})
        return _refusal(error, call, environ, start_response, entry)

    def _document(self, call: Call, environ: Environ) -> JsonAnswer:
        if call.service == METADATA:
            return metadata(self.url)
        if call.service == ENTRA:
            if call.operation == "ManagedIdentityToken":
                return self._entra.managed(call.asked, environ[HEADERS])
            tenant = str(call.parameters["tenant"])
            if call.operation == "Discovery":
                return self._entra.discovery(self.url, tenant)
            return self._entra.token(tenant, call.asked)
        self._entra.check_management(environ.get("HTTP_AUTHORIZATION", ""), self.url)
        return self._manager.answer(call.asked)

    def _asked_of_arm(self, environ: Environ, body: bytes) -> ResourceRequest:
        raw, _, query = environ["RAW_URI"].partition("?")
        return arm_requests.asked_of(environ["REQUEST_METHOD"], raw, query, body, self.url)


def _asked_of_storage(environ: Environ) -> BlobRequest:
    raw, _, query = environ["RAW_URI"].partition("?")
    return storage.asked_of(environ["REQUEST_METHOD"], unquote(raw), query)


def _refusal(error: AzureError, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
    """In the words of the service."""
    entry["error"] = error.code
    if call.service == STORAGE:
        headers, body = storage.refusal(error)
        return send(start_response, error.status, headers, b"" if environ["REQUEST_METHOD"] == "HEAD" or error.status == 304 else body)
    document: Any = oauth.refusal_document(error) if call.service == ENTRA else {"error": error.document()}
    return send_json(start_response, JsonAnswer(document, error.status, error.headers))
