"""Azure Container Instances: container groups, made, changed, started again, stopped, their logs read, deleted.

Documented: "Container Groups - Create Or Update" and its siblings of the REST reference, "Update containers in Azure Container Instances".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from deployer.errors import DeployerError
from deployer_localstack.azure.aci.dataplane import GroupDataplane
from deployer_localstack.azure.aci.groups import LocalGroup, document
from deployer_localstack.azure.aci.rules import MOST_GROUPS, refuse_group, refuse_update
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm import polling
from deployer_localstack.azure.arm.documents import page
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.settings import AzureSettings

_UNDER_WAY = frozenset({"Pending", "Creating", "Deleting"})


class ContainerGroups:
    """The operations on groups."""

    def __init__(self, settings: AzureSettings, operations: Operations, dataplane: GroupDataplane) -> None:
        self._settings, self._running, self._dataplane = settings, operations, dataplane
        self._groups: dict[str, LocalGroup] = {}
        self._lock = threading.RLock()
        self.operations: Mapping[str, Callable[[ResourceRequest], JsonAnswer]] = {
            "ContainerGroups_List": self._list,
            "ContainerGroups_ListByResourceGroup": self._list,
            "ContainerGroups_Get": self._get,
            "ContainerGroups_CreateOrUpdate": self._put,
            "ContainerGroups_Update": self._tag,
            "ContainerGroups_Delete": self._delete,
            "ContainerGroups_Restart": self._restart,
            "ContainerGroups_Start": self._start,
            "ContainerGroups_Stop": self._stop,
            "Containers_ListLogs": self._logs,
            "Location_ListUsage": self._usage,
        }

    def clear(self) -> None:
        """End all."""
        with self._lock:
            groups, self._groups = [*self._groups.values()], {}
        threads = [threading.Thread(target=each.end) for each in groups]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)

    def holds(self) -> dict[str, int]:
        return {"Azure container groups": len(self._groups)}

    def _list(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            return page(asked, [document(each, view=False) for each in self._groups.values()], self._settings.azure_page_size)

    def _get(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            return JsonAnswer(document(self._found(asked)))

    def _put(self, asked: ResourceRequest) -> JsonAnswer:
        name, properties = asked.names["containergroup"], asked.properties
        with self._lock:
            present = self._groups.get(name.lower())
            refuse_group(name, properties, {each.dns_name_label for each in self._groups.values() if each is not present} - {""})
            if present:
                _refuse_under_way(present)
                refuse_update(name, present.properties, properties)
            elif len(self._groups) >= MOST_GROUPS:
                raise AzureError(
                    "ContainerGroupQuotaReached", f"Resource type 'Microsoft.ContainerInstance/containerGroups' quota {MOST_GROUPS} reached."
                )
            group = present or LocalGroup(name, {})
            before, group.document = group.document, {**asked.document, "properties": properties}
            try:
                images = self._dataplane.images(group)
            except AzureError:
                group.document = before
                raise
            self._groups[name.lower()] = group
            group.state, group.stopped = "Pending", False
            answer = document(group)
        return self._later(asked, group, answer, lambda: self._dataplane.bring_up(group, images), 200 if present else 201)

    def _later(self, asked: ResourceRequest, group: LocalGroup, answer: Any, work: Callable[[], None], status: int) -> JsonAnswer:
        began = time.monotonic()

        def settle() -> None:
            try:
                work()
            except (DeployerError, OSError) as error:
                raise AzureError("ContainerGroupFailed", f"Container group '{group.name}' can't run: {error}") from error
            self._running.wait(self._settings.azure_deployment_seconds, began)
            group.state = "Succeeded"

        def failed() -> None:
            group.state = "Failed"

        operation = self._running.start(f"container group {group.name}", settle, failed)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, answer, status)

    def _tag(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            group = self._found(asked)
            group.document["tags"] = dict(asked.document.get("tags") or {})
            return JsonAnswer(document(group))

    def _delete(self, asked: ResourceRequest) -> JsonAnswer:
        key = asked.names["containergroup"].lower()
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                return JsonAnswer(status=204)
            _refuse_under_way(group)
            group.state = "Deleting"

        def remove() -> None:
            group.end()
            with self._lock:
                self._groups.pop(key, None)

        return self._later(asked, group, None, remove, 202)

    def _restart(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            group = self._found(asked)
            _refuse_under_way(group)
            images, group.state, group.stopped = self._dataplane.images(group), "Pending", False
        self._later(asked, group, None, lambda: self._dataplane.bring_up(group, images), 202)
        return JsonAnswer(status=204)

    def _start(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            group = self._found(asked)
            _refuse_under_way(group)
            images, group.state, group.stopped = self._dataplane.images(group), "Pending", False
        return self._later(asked, group, None, lambda: self._dataplane.bring_up(group, images), 202)

    def _stop(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            group = self._found(asked)
            _refuse_under_way(group)
            group.stopped = True
        for each in group.containers.values():
            each.stop()
        return JsonAnswer(status=204)

    def _logs(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            group = self._found(asked)
            container = group.containers.get(asked.names["container"])
        if container is None:
            message = f"The container '{asked.names['container']}' is not found in container group '{group.name}', or doesn't run yet."
            raise AzureError("ContainerNotFound", message, 404)
        text = container.log.text(int(asked.query.get("tail") or 0), timestamps=asked.query.get("timestamps", "").lower() == "true")
        return JsonAnswer({"content": text})

    def _usage(self, asked: ResourceRequest) -> JsonAnswer:
        with self._lock:
            cores = sum(_cores(each) for each in self._groups.values())
            told = [("ContainerGroups", "Container Groups", len(self._groups), MOST_GROUPS), ("StandardCores", "Standard Cores", int(cores), 100)]
        found = [
            {"id": f"{asked.path}/{name}", "unit": "Count", "currentValue": now, "limit": most, "name": {"value": name, "localizedValue": words}}
            for name, words, now, most in told
        ]
        return JsonAnswer({"value": found})

    def _found(self, asked: ResourceRequest) -> LocalGroup:
        name = asked.names["containergroup"]
        group = self._groups.get(name.lower())
        if group is None:
            message = (
                f"The Resource 'Microsoft.ContainerInstance/containerGroups/{name}' under resource group '{asked.names['group']}' was not found."
            )
            raise AzureError("ResourceNotFound", message, 404)
        return group


def _cores(group: LocalGroup) -> float:
    return sum(float(each["properties"]["resources"]["requests"]["cpu"]) for each in group.properties["containers"])


def _refuse_under_way(group: LocalGroup) -> None:
    if group.state in _UNDER_WAY:
        message = f"The container group '{group.name}' is still transitioning, please retry later."
        raise AzureError("ContainerGroupTransitioning", message, 409)
