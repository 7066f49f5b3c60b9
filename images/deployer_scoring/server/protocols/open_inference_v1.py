"""The paths of the Open Inference Protocol, version 1, as KServe's own servers have it; its bodies are wire/v1_codec.py's.

    /v1/models                      the models' names
    /v1/models/NAME                 whether it answers
    POST /v1/models/NAME:predict

Errors are `{"error": "..."}`. Names are as in version 2.
"""

from __future__ import annotations

from deployer_scoring.errors import InvalidInput
from deployer_scoring.server.http.messages import Request, Response, as_json
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.protocols.failures import wants

CODEC = "v1"
_MODELS = "/v1/models"


async def answer(request: Request, catalog: Catalog) -> Response:
    """Answer a request below /v1.

    Raises:
        InvalidInput: No such path or model, a wrong method, or a request at fault.
        Unavailable: The model is loading.
        ScoringError: As Dispatcher.answer.
    """
    if request.path == _MODELS:
        wants(request, "GET", "HEAD")
        return as_json({"models": catalog.names})
    name, colon, verb = request.path[len(_MODELS) + 1 :].rpartition(":") if ":" in request.path else (request.path[len(_MODELS) + 1 :], "", "")
    if not request.path.startswith(f"{_MODELS}/") or not name or "/" in name or (colon and verb != "predict"):
        raise InvalidInput(f"there is no {request.path} here; predictions are at POST {_MODELS}/NAME:predict", status=404)
    if colon:
        wants(request, "POST")
        return Response(200, await catalog.named(name).answer(request.body, "", CODEC))
    wants(request, "GET", "HEAD")
    ready = catalog.unavailable() is None
    if ready:
        catalog.named(name)
    return as_json({"name": name, "ready": ready}, 200 if ready else 503)
