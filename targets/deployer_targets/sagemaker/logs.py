"""What containers wrote, from CloudWatch logs: a group for each endpoint, a stream for each instance."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName
from deployer.core.target import LogLine
from deployer.errors import DeploymentNotFound
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.observe import describe

PAUSES = Pauses(shortest=2.0, longest=2.0)
STREAMS = 50
"""Streams looked at for the last lines, those written to last."""
OVERLAP_MILLISECONDS = 60_000
"""CloudWatch may show an event late: followers look back this far, and tell each event once."""


def group_of(name: str) -> str:
    return f"/aws/sagemaker/Endpoints/{name}"


def lines(name: DeploymentName, cloud: Aws, *, follow: bool, tail: int) -> Iterator[LogLine]:
    """The last `tail` lines (0: all), oldest first, then, if `follow`, those that come.

    Raises:
        DeploymentNotFound: neither lines nor an endpoint.
    """
    seen: dict[str, int] = {}
    latest = 0
    try:
        for event in _last(name, cloud, tail) if tail else _since(name, cloud, 0):
            latest = max(latest, event["timestamp"])
            seen[_identity(event)] = event["timestamp"]
            yield _line(event)
    except Absent:
        if describe(name, cloud) is None:
            raise DeploymentNotFound(f"there are no logs of {name}", advice="deploy list shows what is there") from None

    def newer() -> list[Mapping[str, Any]]:
        try:
            return list(_since(name, cloud, max(latest - OVERLAP_MILLISECONDS, 0)))
        except Absent:
            return []

    for events in poll(newer, seconds=math.inf, pauses=PAUSES, sleep=cloud.connection.sleep) if follow else ():
        for event in events:
            if _identity(event) not in seen:
                latest = max(latest, event["timestamp"])
                seen[_identity(event)] = event["timestamp"]
                yield _line(event)
        seen = {key: stamp for key, stamp in seen.items() if stamp >= latest - OVERLAP_MILLISECONDS}


def last_words(name: str, cloud: Aws, count: int = 12) -> tuple[str, ...]:
    """The last lines of the container that was started last; none where nothing was written."""
    newest = max(_streams(name, cloud), key=lambda stream: int(stream.get("creationTime", 0)), default=None)
    return tuple(event["message"].rstrip("\n") for event in _tail_of(name, newest, cloud, count)) if newest else ()


def _last(name: str, cloud: Aws, count: int) -> list[Mapping[str, Any]]:
    """The last events of all streams together, in order of time."""
    of_streams = [_tail_of(name, stream, cloud, count) for stream in _streams(name, cloud)]
    return list(heapq.merge(*of_streams, key=lambda event: event["timestamp"]))[-count:]


def _streams(name: str, cloud: Aws) -> list[Mapping[str, Any]]:
    page = cloud.call("logs", "describe_log_streams", logGroupName=group_of(name), orderBy="LastEventTime", descending=True, limit=STREAMS)
    # Asynchronous inference keeps its own log of requests beside the containers'.
    return [stream for stream in page["logStreams"] if not stream["logStreamName"].endswith("/data-log")]


def _tail_of(name: str, stream: Mapping[str, Any], cloud: Aws, count: int) -> list[Mapping[str, Any]]:
    where = {"logGroupName": group_of(name), "logStreamName": stream["logStreamName"]}
    found = cloud.call("logs", "get_log_events", **where, startFromHead=False, limit=min(count, 10_000))
    return [{**event, "logStreamName": stream["logStreamName"]} for event in found["events"]]


def _since(name: str, cloud: Aws, start: int) -> Iterator[Mapping[str, Any]]:
    return cloud.pages("logs", "filter_log_events", "events", logGroupName=group_of(name), startTime=start)


def _identity(event: Mapping[str, Any]) -> str:
    return f"{event['logStreamName']} {event['timestamp']} {event['message']}"


def _line(event: Mapping[str, Any]) -> LogLine:
    return LogLine(event["message"].rstrip("\n"), event["logStreamName"], datetime.fromtimestamp(event["timestamp"] / 1000, UTC))
