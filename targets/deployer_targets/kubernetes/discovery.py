"""Which of the kinds a cluster has, and in which version: asked of the cluster, once, and only where a kind isn't one that every cluster has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.kinds import KINDS, ObjectKind

Ask = Callable[[str], Mapping[str, Any]]


class Discovery:
    """What one API server says that it serves."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._told: dict[str, frozenset[str]] = {}

    def version(self, kind: str) -> str:
        """GROUP/VERSION in which the cluster has a kind.

        Raises:
            ConfigInvalid: it hasn't; with what would bring it.
        """
        asked = KINDS[kind]
        found = self.find(kind)
        if found is None:
            raise ConfigInvalid(
                f"the cluster has no {kind} ({' or '.join(asked.served_as)})",
                advice=f"it comes with {asked.comes_with}; kubectl api-resources lists what there is; or leave the option out",
            )
        return found

    def find(self, kind: str) -> str | None:
        """The same; None where the cluster hasn't got it."""
        asked = KINDS[kind]
        if asked.everywhere:
            return asked.served_as[0]
        with self._lock:
            return next((each for each in asked.served_as if self._serves(each, asked)), None)

    def has_group(self, group: str) -> bool:
        """Whether it serves anything of an API group."""
        with self._lock:
            return any(each.partition("/")[0] == group for each in self._versions())

    def place(self, kind: str) -> str:
        """Where the API server has a kind: "apis/apps/v1"."""
        version = self.version(kind)
        return f"apis/{version}" if "/" in version else f"api/{version}"

    def _serves(self, version: str, kind: ObjectKind) -> bool:
        """A group of Kubernetes' own has its kinds in each version that is named here; of what is installed beside, each kind is asked for."""
        return version in self._versions() and (not kind.installed or kind.plural in self._plurals(version))

    def _versions(self) -> frozenset[str]:
        if "" not in self._told:
            groups = self._ask("apis").get("groups") or ()
            self._told[""] = frozenset(each["groupVersion"] for group in groups for each in group.get("versions") or ())
        return self._told[""]

    def _plurals(self, version: str) -> frozenset[str]:
        if version not in self._told:
            self._told[version] = frozenset(each["name"] for each in self._ask(f"apis/{version}").get("resources") or ())
        return self._told[version]
