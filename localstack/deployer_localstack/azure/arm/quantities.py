"""Quantities of CPU and memory as Kubernetes writes them, and what a container asks of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer_localstack.azure.answers import AzureError

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|[MGTPE]i?|Ki)?")
_UNITS = {"": 1.0, "m": 0.001, **{f"{sign}": 1000.0**power for power, sign in enumerate("kMGTPE", 1)}}
_UNITS |= {f"{sign}i": 1024.0**power for power, sign in enumerate("KMGTPE", 1)}


@dataclass(frozen=True, slots=True)
class ResourceAmounts:
    """What a container asks for, or may have at most; None where it isn't said. Memory in bytes."""

    cpu: float | None = None
    memory: float | None = None
    gpu: float | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any] | None, where: str) -> ResourceAmounts:
        """Of Azure ML's settings, or of an instance type's.

        Raises:
            AzureError: one isn't a quantity, or is nothing.
        """
        told = {name: value for name, value in (given or {}).items() if value is not None}
        told |= {"gpu": gpu} if (gpu := told.get("gpu", told.get("nvidia.com/gpu"))) not in (None, "0", 0) else {"gpu": None}
        read = {name: quantity(told[name], f"{name} of {where}") for name in ("cpu", "memory", "gpu") if told.get(name) is not None}
        return cls(**read)

    def beyond(self, limits: ResourceAmounts) -> str:
        """What of this is more than the limits allow: "cpu"; "" where nothing is. More of a GPU than is said of one is too much."""
        pairs = (("cpu", self.cpu, limits.cpu), ("memory", self.memory, limits.memory), ("gpu", self.gpu, limits.gpu or 0.0))
        return next((name for name, own, most in pairs if own is not None and most is not None and own > most), "")


def quantity(given: Any, what: str) -> float:
    """Of a text such as 100m, 2 or 1.5Gi.

    Raises:
        AzureError: it isn't one, or is 0.
    """
    match = _QUANTITY.fullmatch(str(given))
    value = float(match[1]) * _UNITS[match[2] or ""] if match else 0.0
    if value <= 0:
        raise AzureError(
            "BadArgument", f"{what} is {given!r}: a quantity of Kubernetes over 0, such as 500m or 2Gi.", target="containerResourceRequirements"
        )
    return value
