"""What Azure says of a region to a subscription: usages and sizes, beside the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer_targets.azureml.client import AzureMlCloud


def listed(cloud: AzureMlCloud, provider: str, location: str, what: str, api: str) -> Iterator[dict[str, Any]]:
    """The elements of a list that a provider has for a region: "usages", "vmSizes"."""
    place = f"{cloud.connection.cloud.resource_manager}/subscriptions/{cloud.workspace.subscription}/providers/{provider}"
    yield from cloud.elements(cloud.at("GET", f"{place}/locations/{location}/{what}?api-version={api}"))
