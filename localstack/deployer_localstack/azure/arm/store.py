"""What a workspace holds."""

from __future__ import annotations

import base64
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deployer_localstack.azure.account import WorkspaceAddress
from deployer_localstack.azure.arm.clusters import AttachedCompute
from deployer_localstack.azure.arm.documents import now
from deployer_localstack.azure.arm.online import OnlineEndpoint


@dataclass(slots=True)
class Version:
    """One version of an asset."""

    properties: dict[str, Any]
    created: datetime = field(default_factory=now)
    modified: datetime = field(default_factory=now)


@dataclass(slots=True)
class Asset:
    """All versions of one name, oldest first."""

    properties: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    created: datetime = field(default_factory=now)

    @property
    def next_version(self) -> str:
        return str(max((int(each) for each in self.versions if each.isdecimal()), default=0) + 1)


@dataclass(slots=True)
class Workspace:
    """One workspace; `lock` is held while an operation on it is answered."""

    address: WorkspaceAddress
    lock: threading.RLock = field(default_factory=threading.RLock)
    storage_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(64)).decode())
    endpoints: dict[str, OnlineEndpoint] = field(default_factory=dict)
    computes: dict[str, AttachedCompute] = field(default_factory=dict)
    _assets: dict[str, dict[str, Asset]] = field(default_factory=dict)

    def assets(self, path: str) -> dict[str, Asset]:
        """Those of a kind, by name; the newest last."""
        return self._assets.setdefault(path, {})

    def clear(self) -> None:
        with self.lock:
            self._assets.clear()
            self.endpoints.clear()
            self.computes.clear()

    def holds(self) -> dict[str, int]:
        with self.lock:
            return {"Azure endpoints": len(self.endpoints), **{f"Azure {path}": len(assets) for path, assets in self._assets.items()}}
