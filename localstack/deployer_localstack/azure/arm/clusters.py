"""An attached cluster of Kubernetes, with its instance types.

Documented: "Create and manage instance types" (defaultinstancetype and its resources).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deployer_localstack.azure.arm.documents import now
from deployer_localstack.azure.arm.quantities import ResourceAmounts

DEFAULT_INSTANCE_TYPE = "defaultinstancetype"
_DEFAULT_RESOURCES = {"requests": {"cpu": "100m", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}


@dataclass(slots=True)
class AttachedCompute:
    """An attached cluster: what was put."""

    name: str
    document: dict[str, Any]
    created: datetime = field(default_factory=now)

    @property
    def default_instance_type(self) -> str:
        return str(self._given.get("defaultInstanceType") or DEFAULT_INSTANCE_TYPE)

    @property
    def instance_types(self) -> dict[str, Any]:
        """By name; the default one is always there."""
        return {DEFAULT_INSTANCE_TYPE: {"resources": _DEFAULT_RESOURCES}, **(self._given.get("instanceTypes") or {})}

    @property
    def namespace(self) -> str:
        return str(self._given.get("namespace") or "default")

    def limits_of(self, instance_type: str) -> ResourceAmounts:
        """What a container on an instance type may have."""
        return ResourceAmounts.read((self.instance_types[instance_type].get("resources") or {}).get("limits"), f"instance type {instance_type}")

    @property
    def _given(self) -> Mapping[str, Any]:
        return self.document["properties"].get("properties") or {}
