"""What the caller's role allows below the workspace.

Documented: "Understand Azure role definitions", "Azure permissions for AI + machine learning", Permissions - List For Resource; that an action
is named by its path and method is the rule of Resource Manager, and assumed to hold for each of these.
"""

from __future__ import annotations

import re
from typing import Any

from deployer_localstack.azure.account import CLIENT_ID
from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.arm.requests import ResourceRequest

_VERBS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def held(actions: str) -> dict[str, Any]:
    """A permission as Permissions - List has it; of all where none are named."""
    return {
        "actions": [each.strip() for each in actions.split(",") if each.strip()] or ["*"],
        "notActions": [],
        "dataActions": [],
        "notDataActions": [],
    }


def refuse(asked: ResourceRequest, actions: str) -> None:
    """Return if the role allows what is asked. What one may do, anybody may ask.

    Raises:
        AzureError: it doesn't.
    """
    action = action_of(asked)
    if asked.operation == "Permissions_ListForResource" or any(_covers(each, action) for each in held(actions)["actions"]):
        return
    message = (
        f"The client '{CLIENT_ID}' with object id '{CLIENT_ID}' does not have authorization to perform action '{action}' over scope "
        f"'{asked.path}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    )
    raise AzureError("AuthorizationFailed", message, 403)


def action_of(asked: ResourceRequest) -> str:
    """What a role calls a request: the types of its path, without names, and what is done."""
    parts = asked.path.rpartition("/providers/")[2].strip("/").split("/")
    if asked.method == "POST":
        return "/".join([parts[0], *parts[1::2], "action"])
    return "/".join([parts[0], *parts[1::2], _VERBS[asked.method]])


def _covers(pattern: str, action: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), action, re.IGNORECASE) is not None
