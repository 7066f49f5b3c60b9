"""What every simulated service says: answers as the APIs shape them, a definite no, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Answer = Mapping[str, Any]


class ServiceError(Exception):
    """The cloud's definite no, or its being busy (`Throttling`), with the service's own code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class LostAnswer(Exception):
    """The call may have had its effect: nothing came back."""
