"""What is said of what went wrong, whichever protocol the client speaks."""

from __future__ import annotations

import logging
from typing import NamedTuple

from deployer_scoring.errors import EncodingError, InvalidInput, ModelFailure
from deployer_scoring.server.http.messages import Request
from deployer_scoring.server.protocols.catalog import NotReady

_log = logging.getLogger(__name__)
_ERROR_CODES = {413: "REQUEST_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}


class Failure(NamedTuple):
    """An answer that is none."""

    status: int
    """HTTP's."""
    code: str
    """MLflow's name for the kind of error."""
    message: str


def judged(error: Exception, request_id: str) -> Failure:
    """What became of a request; what isn't the client's fault is logged."""
    from deployer_scoring.server.predict.waiting import Busy, PredictTimeout

    if isinstance(error, InvalidInput):
        return Failure(error.status, _ERROR_CODES.get(error.status, error.error_code), str(error))
    if isinstance(error, (Busy, NotReady)):
        return Failure(503, "TEMPORARILY_UNAVAILABLE", str(error))
    if isinstance(error, PredictTimeout):
        return Failure(504, "DEADLINE_EXCEEDED", str(error))
    if isinstance(error, (ModelFailure, EncodingError)):
        _log.error("request %s: the model failed: %s", request_id, getattr(error, "stack", "") or error)
        return Failure(500, "INTERNAL_ERROR", str(error))
    _log.error("request %s: a fault of the server", request_id, exc_info=error)
    return Failure(500, "INTERNAL_ERROR", f"a fault of the server: {type(error).__name__}: {error}")


def wants(request: Request, *methods: str) -> None:
    """Take no other methods on this path.

    Raises:
        InvalidInput: The request has another.
    """
    if request.method not in methods:
        raise InvalidInput(f"this path answers to {', '.join(methods)}", status=405)
