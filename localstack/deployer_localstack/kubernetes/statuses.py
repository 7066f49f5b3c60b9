"""Refusals in Kubernetes' own words: a Status object, as the API server sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployer_localstack.control.faults import FaultRule

_RETRY_AFTER_SECONDS = 1
_TOO_MANY = "the server has received too many requests and has asked us to try again later"


def refusal(rule: FaultRule) -> tuple[str, Mapping[str, str], bytes]:
    """Status line, headers and body of a call that a rule has refused."""
    if rule.kind == "throttle":
        details = {"retryAfterSeconds": _RETRY_AFTER_SECONDS}
        return _answer(429, "TooManyRequests", _TOO_MANY, details, {"Retry-After": str(_RETRY_AFTER_SECONDS)})
    return _answer(rule.status, rule.code, rule.message, {}, {})


def _answer(status: int, reason: str, message: str, details: Mapping[str, Any], more: Mapping[str, str]) -> tuple[str, Mapping[str, str], bytes]:
    document = {
        **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"},
        **{"message": message, "reason": reason, "details": details, "code": status},
    }
    body = json.dumps(document).encode()
    return f"{status} {reason}", {"Content-Type": "application/json", "Content-Length": str(len(body)), **more}, body
