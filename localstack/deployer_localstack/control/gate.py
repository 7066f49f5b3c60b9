"""What stands before a local cloud's own API: the control API, the journal, and misbehaviour on order."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

from deployer_localstack.control.calls import Call
from deployer_localstack.control.faults import FaultRule, FaultRules
from deployer_localstack.control.journal import Journal
from deployer_localstack.http.server import Application, DropConnection, Environ, StartResponse

CONTROL_PATH = "/_deployer/"
_SLOW_SECONDS = 1.0
_HELD_SECONDS = 0.02

Entry = dict[str, Any]
"""A call's entry in the journal."""


class Api(Protocol):
    """A cloud's API, as a gate needs it."""

    def read(self, environ: Environ) -> Call:
        """The call that a request makes; its body can still be read."""

    def answer(self, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """Do what is asked; the code of an error is noted in `entry`."""

    def refuse(self, call: Call, rule: FaultRule, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        """Refuse in the service's own words: as throttled, or with the rule's code, message and status."""


class Gate:
    """A WSGI application before an API."""

    def __init__(self, api: Api, *, journal: Journal, faults: FaultRules, control: Application | None = None) -> None:
        self._api, self._journal, self._faults, self._control = api, journal, faults, control

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._control is not None and environ["PATH_INFO"].startswith(CONTROL_PATH):
            return self._control(environ, start_response)
        call = self._api.read(environ)
        entry = self._journal.open(call, environ.get("HTTP_USER_AGENT", ""))
        began = time.monotonic()
        rule = self._faults.striking(call)
        if rule:
            entry["fault"] = rule.kind
            time.sleep(rule.seconds or (_SLOW_SECONDS if rule.kind == "slow" else 0.0))
            while rule.kind == "hold" and self._faults.holds(rule):
                time.sleep(_HELD_SECONDS)
            if rule.kind == "drop":
                raise DropConnection

        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            entry["status"] = int(status.split(" ", 1)[0])
            entry["seconds"] = round(time.monotonic() - began, 4)
            start_response(status, headers)

        if rule and rule.kind in {"throttle", "error"}:
            return self._api.refuse(call, rule, environ, noting, entry)
        pieces = self._api.answer(call, environ, noting, entry)
        if rule and rule.kind == "lose-answer":
            for _ in pieces:
                pass
            raise DropConnection
        return pieces
