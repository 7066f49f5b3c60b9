"""Quantities as Kubernetes writes them: 500m, 2, 1.5Gi (Kubernetes' documentation, "Quantity")."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_PATTERN = r"(\d+(?:\.\d+)?)(m|k|Ki|[MGTPE]i?)?"
_UNITS = {"m": 1e-3, **{sign: 1000.0**power for power, sign in enumerate("kMGTPE", 1)}}
_UNITS |= {f"{sign}i": 1024.0**power for power, sign in enumerate("KMGTPE", 1)}


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Quantity = Annotated[str, BeforeValidator(_as_text), Field(pattern=f"^{_PATTERN}$")]
"""A quantity in an option: a number may stand for its text."""


def amount(value: Any) -> float | None:
    """How much it is, however it is spelled: 1 for "1" and "1000m"; None for what is no quantity."""
    match = None if isinstance(value, bool) else re.fullmatch(_PATTERN, str(value))
    return round(float(match[1]) * _UNITS.get(match[2] or "", 1.0), 9) if match else None


def exceeds(value: Any, other: Any) -> bool:
    """Whether one quantity is more than the other; what is no quantity neither exceeds nor is exceeded."""
    left, right = amount(value), amount(other)
    return left is not None and right is not None and left > right
