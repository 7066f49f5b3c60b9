"""Whether a region's quota has room for a managed deployment, and for the next one beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import PermissionDenied
from deployer_targets.azureml import regions
from deployer_targets.azureml.client import API, AzureMlCloud
from deployer_targets.azureml.config import DEFAULT_INSTANCE_TYPE
from deployer_targets.azureml.traffic import location_of

_PROVIDER = "Microsoft.MachineLearningServices"
_WITHOUT_SPARE = ("ncadsa100v4", "ncadsh100v5", "ndamsv4a100", "ndasv4a100", "ndsv2", "ndv5h100")
"""Families of which Azure holds no fifth more for upgrades: "Managed online endpoints SKU list"."""
_MORE = "ask for more: the quota page of Azure ML studio"


@dataclass(frozen=True, slots=True)
class InstanceSize:
    """A size of instances, as Azure ML has it in a region.

    Attributes:
        family: of sizes that share a quota.
    """

    name: str
    family: str
    vcpus: int
    hourly_dollars: float | None

    def held(self, count: int) -> int:
        """The vCPUs of the quota that so many instances hold: with the fifth more that upgrades take, where this family has it."""
        spared = _plain(self.family).removeprefix("standard").removesuffix("family") in _WITHOUT_SPARE
        return (count if spared else -(-12 * count // 10)) * self.vcpus


def finding(cloud: AzureMlCloud) -> Diagnosis | str:
    """Room for a deployment of these options, and for the next generation beside it. What runs already is in what is used."""
    config, location = cloud.config, location_of(cloud)
    wanted = config.instance_type or DEFAULT_INSTANCE_TYPE
    try:
        size = sizes(cloud, location).get(wanted.lower())
        if size is None:
            return Diagnosis("quota", Verdict.WARNING, f"Azure ML names no size {wanted} in {location}", "az ml compute list-sizes lists them")
        room = free(size, regions.listed(cloud, _PROVIDER, location, "usages", API))
    except PermissionDenied:
        advice = f"{_PROVIDER}/locations/usages/read and …/vmSizes/read of the subscription, which its Reader has"
        return Diagnosis("quota", Verdict.WARNING, "not told: it is the subscription's, and you may not look", advice)
    if room is None:
        return Diagnosis("quota", Verdict.WARNING, f"Azure names none of the family of {wanted}", _MORE)
    left, named, need = *room, size.held(config.instance_count)
    told = f"{left} vCPUs are free of {named}; {config.instance_count} {wanted} hold {need}, an update as many more until the one before is removed"
    if left < need:
        advice = f"in_place: true updates what serves; another instance_type, fewer instances, or {_MORE}"
        return Diagnosis("quota", Verdict.WRONG, f"no room for another generation: {told}", advice)
    if left < 2 * need:
        return Diagnosis("quota", Verdict.WARNING, f"room for one generation, none beside it: {told}", f"keep: 0, in_place: true, or {_MORE}")
    return told


def sizes(cloud: AzureMlCloud, location: str) -> Mapping[str, InstanceSize]:
    """Those of a region, by name in small letters."""
    return {str(each["name"]).lower(): _size(each) for each in regions.listed(cloud, _PROVIDER, location, "vmSizes", API)}


def free(size: InstanceSize, usages: Iterable[Mapping[str, Any]]) -> tuple[int, str] | None:
    """How many vCPUs of a size's quota nobody has, and what that is called: the family's or the whole region's, whichever has less."""
    found: list[tuple[int, str]] = []
    for each in usages:
        name, limit = str(each["name"].get("value")), int(each.get("limit") or 0)
        kind, said = str(each.get("type")).partition("/")[2], _plain(name)
        # The same families are listed for each workspace and cluster as well, which have their shares of them.
        of_family = kind == "vmFamily/usages" and said.startswith(_plain(size.family)) and "lowpriority" not in said
        if limit >= 0 and (of_family or kind == "dedicatedCores/usages"):
            found.append((limit - int(each.get("currentValue") or 0), name))
    return min(found, default=None)


def _size(document: Mapping[str, Any]) -> InstanceSize:
    prices = (document.get("estimatedVMPrices") or {}).get("values") or ()
    linux = next((each["retailPrice"] for each in prices if (each.get("osType"), each.get("vmTier")) == ("Linux", "Standard")), None)
    return InstanceSize(str(document["name"]), str(document.get("family") or ""), int(document.get("vCPUs") or 0), linux)


def _plain(name: str) -> str:
    """Families are written in several ways: "standardDSv2Family", "Standard DSv2 Family Cluster Dedicated vCPUs", "standard NCASv3_T4 Family"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
