"""How callers follow an operation that goes on: Azure-AsyncOperation, and Location for what has no resource in the end.

Documented: "Track asynchronous Azure operations".
"""

from __future__ import annotations

import math
from typing import Any

from deployer_localstack.azure.account import LOCATION, SUBSCRIPTION
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.requests import RESULT, STATUS, ResourceRequest
from deployer_localstack.azure.operations import LongOperation, Operations


def accepted(asked: ResourceRequest, operation: LongOperation, retry_after: float, document: Any, status: int) -> JsonAnswer:
    """The first answer: the resource as it is now, or nothing where it is to go. azure-ai-ml reads its Retry-After as a whole number."""
    root = f"{asked.url}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/{LOCATION}"
    query = f"?api-version={asked.api_version}"
    headers = {"Azure-AsyncOperation": f"{root}/mfeOperationsStatus/{operation.id}{query}", "Retry-After": str(math.ceil(retry_after))}
    if document is None:
        headers["Location"] = f"{root}/mfeOperationResults/{operation.id}{query}"
    return JsonAnswer(document, status, headers)


def answer(asked: ResourceRequest, operations: Operations, retry_after: float) -> JsonAnswer | None:
    """What a poller is told; None where the request is no poll.

    Raises:
        AzureError: there is no such operation.
    """
    if asked.operation not in {STATUS, RESULT}:
        return None
    found = operations.find(asked.names["id"])
    if found is None:
        raise AzureError("NotFound", f"There is no operation {asked.names['id']}.", 404)
    waiting = {"Retry-After": f"{retry_after:g}"} if found.status == "InProgress" else {}
    if asked.operation == STATUS:
        return JsonAnswer(found.document(), headers=waiting)
    return JsonAnswer(status=202 if waiting else 204, headers=waiting)
