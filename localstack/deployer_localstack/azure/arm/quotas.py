"""What a region allows: endpoints, deployments, and vCPUs of each family of instances; sizes of instances.

Documented: "Manage and increase quotas" (100 endpoints and 500 deployments, those on clusters counted with them; a fifth more instances, for
upgrades), "Managed online endpoints SKU list" (families, vCPUs, who needs no fifth), Usages - List, Virtual Machine Sizes - List. Words of
refusals: from public reports of Azure's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer_localstack.azure.account import LOCATION, SUBSCRIPTION
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.documents import page
from deployer_localstack.azure.arm.online import OnlineEndpoint
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.settings import AzureSettings

_PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class InstanceFamily:
    """Sizes that share a quota.

    Attributes:
        spare: whether a fifth more is held for upgrades.
        hourly: dollars of a vCPU, on Linux: made up.
        sizes: vCPUs by name.
    """

    name: str
    words: str
    sizes: Mapping[str, int]
    spare: bool = True
    hourly: float = 0.05


_FAMILIES = (
    InstanceFamily("standardDSv2Family", "Standard DSv2 Family", {f"Standard_DS{n}_v2": 2 ** (n - 1) for n in range(1, 6)}),
    InstanceFamily("standardFSv2Family", "Standard FSv2 Family", {f"Standard_F{n}s_v2": n for n in (2, 4, 8, 16, 32, 48, 64, 72)}),
    InstanceFamily("standardESv3Family", "Standard ESv3 Family", {f"Standard_E{n}s_v3": n for n in (2, 4, 8, 16, 32, 48, 64)}),
    InstanceFamily("standardDASv4Family", "Standard DASv4 Family", {f"Standard_D{n}as_v4": n for n in (2, 4, 8, 16, 32, 48, 64, 96)}),
    InstanceFamily("standardNCADSA100v4Family", "Standard NCADSA100v4 Family", {f"Standard_NC{n}ads_A100_v4": n for n in (24, 48, 96)}, spare=False),
)
_BY_SIZE = {size.lower(): (family, cores) for family in _FAMILIES for size, cores in family.sizes.items()}


class Quotas:
    """What is allowed by the settings, and how much of it a workspace uses: the only one of its subscription."""

    def __init__(self, settings: AzureSettings, workspace: Workspace) -> None:
        self._settings, self._workspace = settings, workspace
        self.operations: Mapping[str, Callable[[ResourceRequest], JsonAnswer]] = {
            "Usages_List": self._usages,
            "VirtualMachineSizes_List": self._sizes,
        }

    def refuse_endpoint(self) -> None:
        """Return if there may be another endpoint.

        Raises:
            AzureError: there are as many as may be.
        """
        there, most = len(self._workspace.endpoints), self._settings.azure_most_endpoints
        if there >= most:
            raise _reached("Endpoint", there, most)

    def refuse_deployment(self, present: Mapping[str, Any] | None, document: Mapping[str, Any], *, managed: bool) -> None:
        """Return if there may be a deployment as it is put; `present` is it as it is.

        Raises:
            AzureError: there are as many as may be, or its family's vCPUs don't suffice.
        """
        there, most = sum(len(each.deployments) for each in self._workspace.endpoints.values()), self._settings.azure_most_deployments
        if present is None and there >= most:
            raise _reached("Deployment", there, most)
        size = str(document["properties"].get("instanceType") or "")
        family, _ = _BY_SIZE.get(size.lower(), (None, 0))
        if not managed or family is None:
            return
        before = _held(present)[1] if present and _held(present)[0] is family else 0
        used, limit, more = self._used()[family.name], self._settings.azure_family_vcpus, _held(document)[1] - before
        if more > limit - used:
            raise _too_many(size, used, limit, more)

    def _used(self) -> dict[str, int]:
        found = dict.fromkeys((family.name for family in _FAMILIES), 0)
        for endpoint in self._managed():
            for deployment in endpoint.deployments.values():
                family, cores = _held(deployment.document)
                if family:
                    found[family.name] += cores
        return found

    def _managed(self) -> list[OnlineEndpoint]:
        return [each for each in self._workspace.endpoints.values() if not each.compute]

    def _usages(self, asked: ResourceRequest) -> JsonAnswer:
        with self._workspace.lock:
            used, most = self._used(), self._settings.azure_family_vcpus
        total = sum(used.values())
        rows = [("Total Cluster Dedicated Regional vCPUs", "dedicatedCores", total, most * len(_FAMILIES))]
        rows += [(f"{each.words} Cluster Dedicated vCPUs", "vmFamily", used[each.name], most) for each in _FAMILIES]
        rows += [(f"{each.words} Cluster LowPriority vCPUs", "vmFamily", 0, -1) for each in _FAMILIES]
        found = [
            {
                "id": f"/subscriptions/{SUBSCRIPTION}/providers/{_PROVIDER}/locations/{LOCATION}/usages/{words.replace(' ', '_')}",
                "type": f"{_PROVIDER}/{kind}/usages",
                "unit": "Count",
                "currentValue": now,
                "limit": limit,
                "name": {"value": words, "localizedValue": words},
            }
            for words, kind, now, limit in rows
        ]
        return page(asked, found, self._settings.azure_page_size)

    def _sizes(self, _: ResourceRequest) -> JsonAnswer:
        found = [
            {
                "name": size,
                "family": family.name,
                "vCPUs": cores,
                "supportedComputeTypes": ["AmlCompute", "ComputeInstance", "MIR"],
                "estimatedVMPrices": {
                    "billingCurrency": "USD",
                    "unitOfMeasure": "OneHour",
                    "values": [{"retailPrice": round(family.hourly * cores, 2), "osType": "Linux", "vmTier": "Standard"}],
                },
            }
            for family in _FAMILIES
            for size, cores in family.sizes.items()
        ]
        return JsonAnswer({"value": found})


def _held(document: Mapping[str, Any]) -> tuple[InstanceFamily | None, int]:
    """The family of a managed deployment, and the vCPUs that it holds of that. A size that isn't known holds none."""
    family, cores = _BY_SIZE.get(str(document["properties"].get("instanceType") or "").lower(), (None, 0))
    count = int((document.get("sku") or {}).get("capacity") or 1)
    # In whole numbers: 1.2 * 5 is a little more than 6.
    return family, (math.ceil(12 * count / 10) if family and family.spare else count) * cores


def _reached(kind: str, there: int, most: int) -> AzureError:
    message = (
        f"{kind} Quota reached for subscription {SUBSCRIPTION}.Current usage/limit: {there}/{most}.Please clean up existing "
        f"{kind.lower()}s and try again"
    )
    return AzureError("InferencingClientCallFailed", f'"{message}"')


def _too_many(size: str, used: int, limit: int, more: int) -> AzureError:
    words = (
        f"Not enough quota available for {size} in SubscriptionId {SUBSCRIPTION}. Current usage/limit: {used}/{limit}. Additional needed: {more} "
        "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-outofquota"
    )
    detail = json.dumps({"errors": {"VmSize": [words]}, "title": "One or more validation errors occurred.", "status": 400}, separators=(",", ":"))
    inner = AzureError("InferencingClientCreateDeploymentFailed", f"InferencingClient HttpRequest error, error detail: {detail}")
    return AzureError("BadRequest", "The request is invalid.", details=[inner.document()])
