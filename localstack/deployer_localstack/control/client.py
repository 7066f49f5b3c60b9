"""A client of the control API, for tests and for `deploy localstack`. Standard library alone."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from deployer_localstack.options import TOKEN_VARIABLE, default_directory, token_of


class ControlClient:
    """Settings, faults and journal of a running local cloud."""

    def __init__(self, url: str, token: str = "") -> None:
        """A client; `control` makes one for the local cloud in a directory.

        Args:
            url: of the AWS endpoint.
            token: the control API's; by default what DEPLOYER_LOCALSTACK_TOKEN says, else that of the local cloud in the default directory.
        """
        self.url = url.rstrip("/")
        self._token = token or os.environ.get(TOKEN_VARIABLE) or token_of(default_directory())
        # A proxy of the user's is never meant for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def health(self, timeout_seconds: float = 5.0) -> dict[str, Any]:
        """What runs where; raises OSError when nothing answers."""
        return dict(self._call("GET", "health", timeout_seconds=timeout_seconds))

    def holds(self) -> dict[str, Any]:
        """What the cloud would forget: counts by kind."""
        return dict(self._call("GET", "holds"))

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change some settings (see `deployer_localstack.aws.settings.AwsSettings`) and read all."""
        return dict(self._call("POST", "settings", changes) if changes else self._call("GET", "settings"))

    def add_fault(self, kind: str, **rule: Any) -> int:
        """Make calls fail by rule (see `deployer_localstack.control.faults.FaultRule`); returns the rule's id."""
        return int(self._call("POST", "faults", {"kind": kind, **rule})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, with how often each has hit."""
        return list(self._call("GET", "faults"))

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def journal(self, *, service: str = "", operation: str = "", after: int = 0) -> list[dict[str, Any]]:
        """Calls so far, oldest first; `after` is the number of an entry."""
        query = urlencode({"service": service, "operation": operation, "after": after})
        return list(self._call("GET", f"journal?{query}"))

    def clear_journal(self) -> None:
        self._call("DELETE", "journal")

    def reset(self) -> dict[str, Any]:
        """Forget everything but the cloud itself; says what."""
        return dict(self._call("POST", "reset", {}, timeout_seconds=120))

    def post(self, name: str, document: Mapping[str, Any]) -> Any:
        """What one cloud has beside that which all have."""
        return self._call("POST", name, document)

    def _call(self, method: str, path: str, document: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        body = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self.url}/_deployer/{path}", data=body, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout_seconds) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            raise ValueError(json.loads(refused.read())["message"]) from None
