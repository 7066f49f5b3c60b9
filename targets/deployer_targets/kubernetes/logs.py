"""What the pods of a deployment have written: of all of them, by time, of the container before where one was started again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from deployer.core.state import DeploymentName
from deployer.core.target import LogLine
from deployer.errors import DeploymentNotFound, TargetUnavailable
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.faults import ApiError
from deployer_targets.kubernetes.manifests import CONTAINER

_LOOK_SECONDS = 2.0
_AGAIN_SECONDS = 1.0


def lines(name: DeploymentName, cloud: Kube, *, follow: bool, tail: int) -> Iterator[LogLine]:
    """The last `tail` lines (0: all), then, if `follow`, those that come."""
    there = list(cloud.list("Pod", names.labels(name)))
    if not there and cloud.find("Service", name) is None:
        raise DeploymentNotFound(f"there is no deployment {name} in namespace {cloud.namespace}", advice="deploy list shows what is there")
    found = sorted((line for pod in there for line in _of_pod(pod, tail, cloud)), key=lambda line: (line.time is None, line.time, line.source))
    yield from found[-tail:] if tail else found
    if follow:
        yield from _followed(name, {pod["metadata"]["name"]: _last(pod, found) for pod in there}, cloud)


def last_lines(pod: str, cloud: Kube, count: int) -> tuple[str, ...]:
    """What a pod's container wrote last; nothing where there is none, or who asks may not read it."""
    return tuple(line.text for line in _read(pod, cloud, {}, count))


def _of_pod(pod: Object, tail: int, cloud: Kube) -> Iterator[LogLine]:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == CONTAINER and status.get("restartCount"):
            yield from _read(pod["metadata"]["name"], cloud, {"previous": "true"}, tail)
    yield from _read(pod["metadata"]["name"], cloud, {}, tail)


def _read(pod: str, cloud: Kube, query: dict[str, str], tail: int) -> Iterator[LogLine]:
    """Nothing where the container hasn't begun, or what it wrote is gone."""
    limits = {"tailLines": str(tail)} if tail else {}

    def read() -> bytes:
        try:
            return bytes(_asked(pod, cloud, {**query, **limits}, stream=False).data)
        except ApiError:
            return b""

    yield from (_line(text, pod) for text in cloud.connection.seam.call(read, f"read the log of {pod}").decode(errors="replace").splitlines())


def _followed(name: DeploymentName, seen: dict[str, str], cloud: Kube) -> Iterator[LogLine]:
    """One thread for each pod's stream, begun again where it breaks; pods that come and go are found by looking again."""
    arrived: queue.Queue[LogLine] = queue.Queue()
    over = threading.Event()
    there = set[str]()
    followed = set[str]()

    def follow(pod: str, last: str) -> None:
        while pod in there and not over.is_set():
            with suppress(Exception):  # however a pod's stream ends, those of the others go on
                answer = _asked(pod, cloud, {"follow": "true", **({"sinceTime": f"{last}Z"} if last else {})}, stream=True)
                for text in _texts(answer):
                    if over.is_set():
                        return
                    moment = _moment(text.partition(" ")[0])
                    if moment[: len(last)] > last:
                        last = moment
                        arrived.put(_line(text, pod))
            over.wait(_AGAIN_SECONDS)

    try:
        while True:
            with suppress(TargetUnavailable):  # which may be back a moment later, as the streams
                found = list(cloud.list("Pod", names.labels(name)))
                there = {pod["metadata"]["name"] for pod in found if (pod.get("status") or {}).get("phase") != "Pending"}
            for each in there - followed:
                followed.add(each)
                threading.Thread(target=follow, args=(each, seen.get(each, "")), name=f"logs of {each}", daemon=True).start()
            with suppress(queue.Empty):
                yield arrived.get(timeout=_LOOK_SECONDS)
                while True:
                    yield arrived.get_nowait()
    finally:
        over.set()


def _asked(pod: str, cloud: Kube, query: dict[str, str], *, stream: bool) -> Any:
    asked = {"container": CONTAINER, "timestamps": "true", **query}
    seconds = 3600.0 if stream else 70.0
    return cloud.connection.send("GET", f"{cloud.path('Pod', pod)}/log", query=asked, headers={"Accept": "*/*"}, stream=stream, seconds=seconds)


def _texts(answer: Any) -> Iterator[str]:
    rest = b""
    for piece in answer.stream(None, decode_content=True):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (each.decode(errors="replace") for each in whole)


def _line(text: str, pod: str) -> LogLine:
    stamp, _, said = text.partition(" ")
    try:
        return LogLine(said, pod, datetime.fromisoformat(stamp))
    except ValueError:
        return LogLine(text, pod)


def _last(pod: Object, found: list[LogLine]) -> str:
    times = [line.time for line in found if line.source == pod["metadata"]["name"] and line.time]
    return max(times).isoformat(timespec="microseconds").partition("+")[0] if times else ""


def _moment(stamp: str) -> str:
    """A time as the cluster writes it, so that others can be compared with it: zeros at its end are left out there."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
