"""The model APIs of SageMaker's multi-model endpoints (SAGEMAKER_MULTI_MODEL=true): models are loaded and forgotten while the server runs.

    POST   /models              {"model_name", "url"}: load the directory at url; 409 where it is loaded, 507 where memory is short
    GET    /models              those that are loaded, by pages (limit, next_page_token)
    GET    /models/NAME         one of them
    DELETE /models/NAME         forget it
    POST   /models/NAME/invoke  as /invocations

What is forgotten for another is SageMaker's choice: told 507, it unloads what was used least lately and asks again.
Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from deployer_scoring.errors import InvalidInput, LoadError, ScoringError
from deployer_scoring.server.http.messages import Request, Response, as_json, failure, not_allowed
from deployer_scoring.server.protocols import invocations
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.system.memory import memory

if TYPE_CHECKING:
    from deployer_scoring.server.predict.dispatch import Dispatcher

_log = logging.getLogger(__name__)
_PAGE = 100
_STEP_SECONDS, _FINISH_STEPS = 0.05, 400
_RESERVE = 0.05  # of the memory: what is kept free for requests
_SHORT = "INSUFFICIENT_STORAGE"
_SIGNS_OF_SHORTAGE = ("MemoryError", "SIGKILL")  # the latter is how the kernel ends a process for its memory


class MultiModel:
    """Loads models into a catalog and takes them out again, as it is asked. Belongs to the event loop."""

    def __init__(self, catalog: Catalog, load: Callable[[Path], Awaitable[Dispatcher]]) -> None:
        """Make it.

        Args:
            catalog: Where the models go.
            load: Loads the model of a directory; raises LoadError or MLModelError.
        """
        self._catalog, self._load_model = catalog, load
        self._urls: dict[str, str] = {}
        self._loading: set[str] = set()

    async def answer(self, request: Request) -> Response:
        """Answer a request to /models or below.

        Raises:
            InvalidInput: The request is at fault, or there is no such model.
            ScoringError: As Dispatcher.answer.
        """
        parts = request.path.split("/")[2:]
        if not parts:
            return await self._collection(request)
        name, method = parts[0], request.method
        if parts[1:] == ["invoke"]:
            return await invocations.answer(request, self._named(name)) if method == "POST" else not_allowed("POST")
        if parts[1:]:
            raise InvalidInput(f"there is no {request.path} here", status=404, error_code="ENDPOINT_NOT_FOUND")
        if method == "DELETE":
            return await self._forget(name)
        if method not in {"GET", "HEAD"}:
            return not_allowed("GET, HEAD, DELETE")
        self._named(name)
        return as_json(_entry(name, self._urls[name]))

    async def _collection(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._load(request)
        return self._listed(request) if request.method in {"GET", "HEAD"} else not_allowed("GET, HEAD, POST")

    async def _load(self, request: Request) -> Response:
        name, url = _wanted(request.body)
        if name in self._urls or name in self._loading:
            return failure(409, "RESOURCE_ALREADY_EXISTS", f"the model {name} is loaded already")
        self._loading.add(name)
        try:
            directory = await asyncio.get_running_loop().run_in_executor(None, _directory, url)
            if short := _shortage(directory):
                return failure(507, _SHORT, f"the model {name} can't be loaded: {short}")
            self._catalog.models[name] = await self._load_model(directory)
            self._urls[name] = url
        except InvalidInput:
            raise
        except ScoringError as error:
            _log.error("the model %s can't be loaded: %s", name, error)
            status, code = (507, _SHORT) if any(sign in str(error) for sign in _SIGNS_OF_SHORTAGE) else (500, "INTERNAL_ERROR")
            return failure(status, code, f"the model {name} can't be loaded: {error}")
        finally:
            self._loading.discard(name)
        _log.info("loaded the model %s from %s", name, url)
        return as_json(_entry(name, url))

    async def _forget(self, name: str) -> Response:
        dispatcher = self._named(name)
        url = self._urls.pop(name)
        del self._catalog.models[name]
        for _ in range(_FINISH_STEPS):  # what was asked before is answered yet
            if not dispatcher.pending:
                break
            await asyncio.sleep(_STEP_SECONDS)
        dispatcher.stop()
        _log.info("forgot the model %s", name)
        return as_json(_entry(name, url))

    def _listed(self, request: Request) -> Response:
        start, limit = _number(request, "next_page_token", 0), _number(request, "limit", _PAGE)
        page = list(self._urls.items())[start : start + limit]
        listed: dict[str, Any] = {"models": [_entry(name, url) for name, url in page]}
        if limit and start + limit < len(self._urls):
            listed["nextPageToken"] = str(start + limit)
        return as_json(listed)

    def _named(self, name: str) -> Dispatcher:
        if name not in self._urls:
            raise InvalidInput(f"the model {name} is not loaded; POST it to /models first", status=404, error_code="RESOURCE_DOES_NOT_EXIST")
        return self._catalog.models[name]


def _wanted(body: bytes) -> tuple[str, str]:
    try:
        value = json.loads(body)
        name, url = value["model_name"], value["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput("the body must be a JSON object with model_name and url") from None
    if not isinstance(name, str) or not name or "/" in name or not isinstance(url, str) or not url:
        raise InvalidInput("model_name must be a name without slashes, and url the path of the model's directory")
    return name, url


def _directory(url: str) -> Path:
    """Where the model is at or below the directory that SageMaker unpacked it to.

    Raises:
        InvalidInput: No model there, or several.
    """
    from deployer_scoring.model.locate import find_model

    try:
        return find_model({}, Path(url))
    except (LoadError, ValueError) as error:
        raise InvalidInput(str(error)) from error


def _shortage(directory: Path) -> str:
    """Why there is too little memory for a model, judged by the size of its files; empty where there is enough."""
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    free, whole = memory()
    if size + whole * _RESERVE <= free:
        return ""
    megabyte = 1024 * 1024
    return f"its files take {size // megabyte} MiB, and {free // megabyte} of {whole // megabyte} MiB are free"


def _number(request: Request, name: str, default: int) -> int:
    given = request.query.get(name, "")
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidInput(f"{name} must be a number, not {given!r}")
    return int(given)


def _entry(name: str, url: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": url}
