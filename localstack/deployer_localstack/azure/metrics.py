"""What Azure Monitor tells of online endpoints: their requests by the minute.

Documented: "Supported metrics with Azure Monitor" (names, dimensions, PT1M), "Metrics - List" of its REST API (parameters, shape). Azure's come
minutes late, these at once.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from statistics import fmean, quantiles
from typing import Any

from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace

_FILTER = re.compile(r"(\w+) eq '([^']*)'")
_MOST = 100_000
_DIMENSIONS = {"requestsperminute": {"deployment", "statuscode", "statuscodeclass", "modelstatuscode"}}


@dataclass(frozen=True, slots=True)
class Scored:
    """One request that an endpoint answered; `model_status` is the container's."""

    at: datetime
    endpoint: str
    deployment: str
    status: int
    model_status: str
    seconds: float

    def dimension(self, name: str) -> str:
        told = {"deployment": self.deployment, "statuscode": str(self.status), "statuscodeclass": f"{self.status // 100}xx"}
        return {**told, "modelstatuscode": self.model_status}[name]


class EndpointMetrics:
    """Counts requests, and tells of them."""

    def __init__(self) -> None:
        self._scored: deque[Scored] = deque(maxlen=_MOST)
        self._lock = threading.Lock()
        self.operations: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {"Metrics_List": self._list}

    def count(self, endpoint: str, deployment: str, status: int, model_status: str, seconds: float) -> None:
        with self._lock:
            self._scored.append(Scored(datetime.now(UTC), endpoint.lower(), deployment.lower(), status, model_status, seconds))

    def clear(self) -> None:
        with self._lock:
            self._scored.clear()

    def _list(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        wanted = {key.lower(): value for key, value in _FILTER.findall(asked.query.get("$filter", ""))}
        begin, end = _span(asked.query.get("timespan", ""))
        with self._lock:
            all_of_it = [each for each in self._scored if each.endpoint == asked.names["endpoint"].lower() and begin <= each.at <= end]
        told = []
        for name in asked.query.get("metricnames", "").split(","):
            if unknown := wanted.keys() - _DIMENSIONS.get(name.lower(), {"deployment"}):
                raise AzureError("BadRequest", f"Metric {name} has no dimension {', '.join(sorted(unknown))}.")
            found = [each for each in all_of_it if all(value in ("*", each.dimension(key)) for key, value in wanted.items())]
            split = [key for key, value in wanted.items() if value == "*"]
            told.append({"name": {"value": name}, "unit": _unit(name), "timeseries": _series(found, name, split)})
        return JsonAnswer({"timespan": asked.query.get("timespan"), "interval": "PT1M", "value": told})


def _series(found: Iterable[Scored], name: str, split: list[str]) -> list[dict[str, Any]]:
    """One for each combination of the dimensions that are split by; a value for each minute that has any."""

    def values(each: Scored) -> tuple[str, ...]:
        return tuple(each.dimension(key) for key in split)

    series = []
    for combination, group in groupby(sorted(found, key=values), key=values):
        minutes = groupby(sorted(group, key=lambda each: each.at), key=lambda each: each.at.replace(second=0, microsecond=0))
        data = [{"timeStamp": minute.strftime("%Y-%m-%dT%H:%M:%SZ"), "average": _value(name, [*these])} for minute, these in minutes]
        metadata = [{"name": {"value": key}, "value": value} for key, value in zip(split, combination, strict=True)]
        series.append({"metadatavalues": metadata, "data": data})
    return series


def _value(name: str, these: list[Scored]) -> float:
    times = [each.seconds * 1000 for each in these]
    match name.lower().rpartition("_p"):
        case (_, _, "requestsperminute"):
            return float(len(these))
        case ("requestlatency", _, percentile) if percentile.isdigit() and len(times) > 1:
            return quantiles(times, n=100, method="inclusive")[int(percentile) - 1]
        case ("requestlatency", _, _) | (_, _, "requestlatency"):
            return fmean(times)
        case _:
            raise AzureError("BadRequest", f"Failed to find metric configuration for metric: {name}.")


def _unit(name: str) -> str:
    return "Count" if name.lower() == "requestsperminute" else "Milliseconds"


def _span(text: str) -> tuple[datetime, datetime]:
    try:
        begin, end = (datetime.fromisoformat(each) for each in text.split("/"))
    except ValueError:
        raise AzureError("BadRequest", f"timespan is START/END, both in ISO 8601: {text}") from None
    return begin, end
