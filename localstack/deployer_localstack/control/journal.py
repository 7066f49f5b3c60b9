"""What was asked of the local cloud, call by call, so that tests can count and users can look."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from deployer_localstack.control.calls import Call
from deployer_scoring.masking import masked

_KEPT = 100_000
_LONGEST = 256
_HIDDEN = frozenset(
    {
        "environment",
        "environmentvariables",
        "keys",
        "keyvalue",
        "body",
        "secretaccesskey",
        "sessiontoken",
        "policydocument",
        "logevents",
        "layerpartblob",
    }
)


class Journal:
    """The last hundred thousand calls, oldest first; safe for threads."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self, call: Call, user_agent: str) -> dict[str, Any]:
        """A new entry; its `status` is None until the call is answered."""
        entry: dict[str, Any] = {
            "number": 0,
            "time": time.time(),
            "service": call.service,
            "operation": call.operation,
            "region": call.region,
            "parameters": summary(call.parameters),
            "status": None,
            "error": None,
            "fault": None,
            "seconds": None,
            "user_agent": user_agent,
        }
        with self._lock:
            entry["number"] = next(self._numbers)
            self._entries.append(entry)
        return entry

    def entries(self, *, service: str = "", operation: str = "", after: int = 0) -> list[dict[str, Any]]:
        with self._lock:
            found = list(self._entries)
        return [entry for entry in found if entry["number"] > after and service in {"", entry["service"]} and operation in {"", entry["operation"]}]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def summary(value: Any) -> Any:
    """The parameters without what may be secret or long: values of `Environment` are replaced, texts are cut."""
    if isinstance(value, Mapping):
        return {key: _hidden(inner) if str(key).lower() in _HIDDEN else summary(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [summary(inner) for inner in value[:50]]
    if isinstance(value, str):
        return masked(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    return value


def _hidden(value: Any) -> Any:
    return dict.fromkeys(value, "***") if isinstance(value, Mapping) else "***"
