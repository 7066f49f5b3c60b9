"""Keys without which a server answers nobody but probes: for platforms that check no caller before the container."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Optional

from deployer_scoring.errors import ScoringError

_RPC = "/inference.GRPCInferenceService"
PROBES = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready", f"{_RPC}/ServerLive", f"{_RPC}/ServerReady"})
"""What is answered without a key: platforms ask it and have none."""
_SHORTEST = 16


class ApiKeys:
    """The keys of one server, each as good as the others: two, so that clients change from one to the other while both count."""

    def __init__(self, setting: str) -> None:
        """Read them.

        Args:
            setting: Keys with commas between.

        Raises:
            ScoringError: One is short, or can't stand in a header. None of them is in the message.
        """
        self._keys = tuple(key.strip().encode() for key in setting.split(","))
        if not all(len(key) >= _SHORTEST and all(0x21 <= sign <= 0x7E for sign in key) for key in self._keys):
            raise ScoringError(f"DEPLOYER_API_KEYS must be keys of {_SHORTEST} or more printable characters of ASCII each, with a comma between two")

    def __repr__(self) -> str:
        return f"{len(self._keys)} keys"

    def refusal(self, path: str, headers: Mapping[str, str]) -> Optional[str]:
        """Why a request isn't answered; None where it is. How long that takes tells nothing of the keys.

        Args:
            path: Of the request, without its query.
            headers: Names in lower case.
        """
        if path in PROBES:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        found = [hmac.compare_digest(key, given.strip().encode("utf-8", "surrogateescape")) for key in self._keys]
        if scheme.lower() == "bearer" and any(found):
            return None
        return "this server wants one of its keys: send it as Authorization: Bearer KEY"
