"""The local cloud's own HTTP API below /_deployer/: health, settings, faults, journal, reset. Tests and `deploy localstack` use it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from deployer_localstack.control.faults import FaultRules
from deployer_localstack.control.journal import Journal
from deployer_localstack.control.settings import AllSettings
from deployer_localstack.http.server import Environ, StartResponse
from deployer_localstack.options import TOKEN_VARIABLE


class ControlApi:
    """A WSGI application: JSON in, JSON out, 400 with `message` for what is wrong, 401 for who doesn't know the token."""

    def __init__(
        self,
        *,
        token: str,
        settings: AllSettings,
        journal: Journal,
        faults: FaultRules,
        health: Callable[[], dict[str, Any]],
        reset: Callable[[], dict[str, Any]],
        holds: Callable[[], dict[str, Any]],
        posts: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        """Make the API of one cloud.

        Args:
            posts: what the cloud has beside that which all have: POSTs by name, each given the document.
        """
        self._authorization = f"Bearer {token}"
        self._settings, self._journal, self._faults = settings, journal, faults
        self._health, self._reset, self._holds, self._posts = health, reset, holds, posts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            if hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), self._authorization.encode()):
                body = environ["wsgi.input"].read()
                status, answer = self._route(environ, json.loads(body) if body else {})
            else:
                status, answer = "401 Unauthorized", {"message": f"the control API wants its token, {TOKEN_VARIABLE} of `deploy localstack env`"}
        except (ValueError, TypeError, KeyError) as wrong:
            status, answer = "400 Bad Request", {"message": str(wrong)}
        content = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    def _route(self, environ: Environ, document: Any) -> tuple[str, Any]:
        method = environ["REQUEST_METHOD"]
        path: str = environ["PATH_INFO"].removeprefix("/_deployer/")
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        name, _, rest = path.partition("/")
        handlers: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "health"): self._health,
            ("GET", "holds"): self._holds,
            ("GET", "settings"): self._settings.as_dict,
            ("POST", "settings"): lambda: self._settings.change(document) or self._settings.as_dict(),  # type: ignore[func-returns-value]
            ("GET", "faults"): self._faults.rules,
            ("POST", "faults"): lambda: self._faults.add(document).as_dict(),
            ("DELETE", "faults"): lambda: self._faults.remove(int(rest) if rest else None),
            ("GET", "journal"): lambda: self._journal.entries(
                service=query.get("service", ""), operation=query.get("operation", ""), after=int(query.get("after", 0))
            ),
            ("DELETE", "journal"): self._journal.clear,
            ("POST", "reset"): self._reset,
            **{("POST", each): partial(post, document) for each, post in self._posts.items()},
        }
        handler = handlers.get((method, name))
        if handler is None:
            return "404 Not Found", {"message": f"{method} /_deployer/{path} is not part of the control API"}
        return "200 OK", handler()
