"""What Azure's roles call the calls that this target makes, and which of them a caller lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_ML = "Microsoft.MachineLearningServices/workspaces"
_ACI = "Microsoft.ContainerInstance"
_ALWAYS: Mapping[str, str] = {
    f"{_ML}/read": "every verb",
    f"{_ML}/datastores/read": "every verb",
    f"{_ML}/datastores/listSecrets/action": "every verb, where the store takes signatures",
    f"{_ML}/onlineEndpoints/read": "every verb",
}
"""Each action, and what needs it. A name is looked for among endpoints first, a container group's too."""
_OF_ENDPOINTS: Mapping[str, str] = {
    f"{_ML}/models/versions/read": "create and update",
    f"{_ML}/models/versions/write": "create, update and delete",
    f"{_ML}/environments/versions/read": "create and update",
    f"{_ML}/environments/versions/write": "create, update and delete",
    f"{_ML}/data/versions/read": "create, update and delete, with data_collector",
    f"{_ML}/data/versions/write": "create, update and delete, with data_collector",
    f"{_ML}/onlineEndpoints/write": "create and update",
    f"{_ML}/onlineEndpoints/delete": "delete",
    f"{_ML}/onlineEndpoints/listKeys/action": "create, update and predict, with auth_mode key",
    f"{_ML}/onlineEndpoints/token/action": "create, update and predict, with auth_mode aml_token",
    f"{_ML}/onlineEndpoints/score/action": "create, update and predict, with auth_mode aad_token",
    f"{_ML}/onlineEndpoints/deployments/read": "every verb",
    f"{_ML}/onlineEndpoints/deployments/write": "create and update",
    f"{_ML}/onlineEndpoints/deployments/delete": "update, prune and delete",
    f"{_ML}/onlineEndpoints/deployments/getLogs/action": "logs",
    "Microsoft.Insights/metrics/read": "checks of a rollout",
}
_BY_COMPUTE: Mapping[str, Mapping[str, str]] = {
    "managed": _OF_ENDPOINTS,
    "aks": {**_OF_ENDPOINTS, f"{_ML}/computes/read": "compute aks"},
    "aci": {
        f"{_ACI}/containerGroups/read": "every verb",
        f"{_ACI}/containerGroups/write": "create and update",
        f"{_ACI}/containerGroups/delete": "update and delete",
        f"{_ACI}/containerGroups/containers/logs/read": "create, update and logs",
        f"{_ACI}/locations/usages/read": "doctor",
    },
}


def needed(compute: str) -> Mapping[str, str]:
    """The actions that a caller needs, by compute."""
    return {**_ALWAYS, **_BY_COMPUTE[compute]}


def lacking(wanted: Iterable[str], permissions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of the actions that no permission gives. Each gives its own actions but for its own notActions."""
    held = list(permissions)
    return [action for action in wanted if not any(_given(action, each) for each in held)]


def _given(action: str, permission: Mapping[str, Any]) -> bool:
    return _matches(action, permission.get("actions") or ()) and not _matches(action, permission.get("notActions") or ())


def _matches(action: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(".*".join(map(re.escape, each.split("*"))), action, re.IGNORECASE) for each in patterns)
