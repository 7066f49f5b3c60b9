"""The strategies that Azure ML's endpoints have, and what is known of a generation's answers: from Azure Monitor, or from its server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from deployer.core import counters
from deployer.core.state import DeploymentName
from deployer.core.traffic import PERCENTILES, Measured, Strategy
from deployer_targets.azureml import invoke, names, online
from deployer_targets.azureml.client import AzureMlCloud

_API = "2018-01-01"
_HELD = frozenset({"pause", "checks"})
STRATEGIES: Mapping[Strategy, frozenset[str]] = {
    Strategy.ALL_AT_ONCE: frozenset(),
    Strategy.BLUE_GREEN: _HELD,
    Strategy.CANARY: _HELD | {"steps"},
    Strategy.SHADOW: _HELD | {"mirror"},
}


def measure(name: DeploymentName, generation: str, cloud: AzureMlCloud) -> Measured:
    """What it answered since the minute in which it was given the share that it has: Azure counts by the minute, and tells it minutes late.

    Whether Azure counts copies isn't documented. Of one that gets copies the server is asked for its own counters: of several instances one answers.
    """
    cloud.check()
    found, now, called = online.endpoint(name, cloud), datetime.now(UTC), names.deployment_of(generation)
    if found is not None and called in found.mirrored:
        return counters.measured(counters.parsed(invoke.read(name, called, "/metrics", cloud)))
    since = _moment((found.tags if found else {}).get(names.TAG_SINCE, ""), now).replace(second=0, microsecond=0)
    span = f"{_written(since)}/{_written(now + timedelta(minutes=1))}"
    deployment = f"deployment eq '{called}'"
    requests = errors = 0
    counted = _asked(name, cloud, "RequestsPerMinute", span, f"{deployment} and statusCode eq '*' and modelStatusCode eq '*'")
    for _, dimensions, values in counted:
        number = round(sum(values))
        requests += number
        errors += number if _failed(dimensions.get("statuscode", ""), dimensions.get("modelstatuscode", "")) else 0
    wanted = {f"RequestLatency_P{each}": each for each in PERCENTILES}
    times = _asked(name, cloud, ",".join(wanted), span, deployment)
    return Measured(requests, errors, {wanted[metric]: max(values) / 1000 for metric, _, values in times if values})


def _failed(status: str, model_status: str) -> bool:
    """Whether the generation failed a request itself: Azure answers 424 for what its container answers with an error, the callers' own too."""
    return status.startswith("5") or (status == "424" and not model_status.startswith("4"))


def _asked(name: str, cloud: AzureMlCloud, metrics: str, span: str, condition: str) -> Iterator[tuple[str, Mapping[str, str], list[float]]]:
    """Of each series its metric, its dimensions (Azure writes their names in small letters) and its values by the minute."""
    path = f"{online.endpoint_path(name)}/providers/Microsoft.Insights/metrics"
    query = {"metricnames": metrics, "aggregation": "Average", "interval": "PT1M", "timespan": span, "$filter": condition}
    document: dict[str, Any] = cloud.ask("GET", path, api=_API, **query).document
    for metric in document.get("value") or ():
        for series in metric.get("timeseries") or ():
            dimensions = {str(each["name"]["value"]).lower(): str(each["value"]) for each in series.get("metadatavalues") or ()}
            values = [float(each["average"]) for each in series.get("data") or () if each.get("average") is not None]
            yield str(metric["name"]["value"]), dimensions, values


def _moment(text: str, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return otherwise


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
