"""How an endpoint's traffic may be split among its deployments.

Documented: "Perform safe rollout of new deployments for real-time inference"; the words are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer_localstack.azure.answers import AzureError

_MOST_MIRRORED = 50


def checked(given: Mapping[str, Any] | None, serving: Mapping[str, str]) -> dict[str, int]:
    """The percentages of an endpoint, names in lower case.

    Args:
        given: as the caller has put them.
        serving: states of the deployments that are there, by names in lower case.

    Raises:
        AzureError: they don't sum to 0 or 100, or name what isn't there or doesn't serve.
    """
    shares = _percentages(given, "traffic")
    if sum(shares.values()) not in {0, 100}:
        raise AzureError("BadRequest", f"Traffic must sum to 0 or 100; it sums to {sum(shares.values())}.", target="traffic")
    for name, share in shares.items():
        if name not in serving:
            raise AzureError("BadRequest", f"Traffic names deployment {name}, which doesn't exist.", target="traffic")
        if share and serving[name] not in {"Succeeded", "Updating"}:
            raise AzureError("BadRequest", f"Traffic can't go to deployment {name}, which is {serving[name]}.", target="traffic")
    return shares


def checked_mirror(given: Mapping[str, Any] | None, live: Mapping[str, int], serving: Mapping[str, str]) -> dict[str, int]:
    """The percentage that is mirrored: up to 50, to one deployment, which gets no live traffic.

    Raises:
        AzureError: it is something else.
    """
    shares = {name: share for name, share in _percentages(given, "mirrorTraffic").items() if share}
    if len(shares) > 1 or sum(shares.values()) > _MOST_MIRRORED:
        raise AzureError("BadRequest", f"At most {_MOST_MIRRORED} percent are mirrored, to one deployment.", target="mirrorTraffic")
    for name in shares:
        if name not in serving:
            raise AzureError("BadRequest", f"Mirrored traffic names deployment {name}, which doesn't exist.", target="mirrorTraffic")
        if live.get(name):
            raise AzureError("BadRequest", f"Deployment {name} gets live traffic; mirrored traffic goes to another.", target="mirrorTraffic")
    return shares


def _percentages(given: Mapping[str, Any] | None, target: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, share in (given or {}).items():
        if isinstance(share, bool) or not isinstance(share, int) or not 0 <= share <= 100:
            raise AzureError("BadRequest", f"{target} of {name} is {share!r}: a whole number from 0 to 100.", target=target)
        found[name.lower()] = share
    return found
