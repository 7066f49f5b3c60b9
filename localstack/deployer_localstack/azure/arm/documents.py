"""How ARM writes resources, lists and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from deployer_localstack.azure.account import CLIENT_ID
from deployer_localstack.azure.answers import JsonAnswer
from deployer_localstack.azure.arm.requests import ResourceRequest

TYPE = "Microsoft.MachineLearningServices/workspaces"


def resource(place: str, kind: str, name: str, properties: Mapping[str, Any], /, **more: Any) -> dict[str, Any]:
    """A proxy resource; `place` is its id, `kind` what follows the provider's `workspaces`: "/models/versions"."""
    return {"id": place, "name": name, "type": f"{TYPE}{kind}", "properties": dict(properties), **more}


def system_data(created: datetime, modified: datetime) -> dict[str, str]:
    """Who made and changed it: always the one application."""
    who = {"createdBy": CLIENT_ID, "createdByType": "Application", "lastModifiedBy": CLIENT_ID, "lastModifiedByType": "Application"}
    return {**who, "createdAt": written(created), "lastModifiedAt": written(modified)}


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


def page(asked: ResourceRequest, entries: Sequence[Mapping[str, Any]], size: int) -> JsonAnswer:
    """One page of a list. `$skip` is opaque to callers, who follow nextLink (Azure REST API Guidelines, Collections); $top is kept in it."""
    begin = int(asked.query.get("$skip") or 0)
    top = int(asked.query.get("$top") or 0)
    end = begin + (top or size)
    following = {}
    if len(entries) > end:
        query = {**asked.query, "$skip": str(end)}
        following = {"nextLink": f"{asked.url}{asked.path}?{urlencode(query)}"}
    return JsonAnswer({"value": [*entries[begin:end]], **following})
