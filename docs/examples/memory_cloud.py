"""A cloud in memory, as a provider's own library would give it: what the target beside it deploys to.

It keeps things at addresses, and services that lead to one version, or to two with a share each: a service rolls from one version to the next while
the one before answers, is compared and set in one moment, and what it leads to can't be removed. Time is a count that goes on with every call.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

POLL_SECONDS = 5.0
PACKAGES = {"mlflow": "3.17.2", "scikit-learn": "1.9.1", "pandas": "3.1.1", "numpy": "2.4.6"}
WHY = "ModuleNotFoundError: No module named 'lightgbm'"


class CloudError(Exception):
    """A no, with a code: NotFound, Changed, Busy, InUse, Throttled."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a container's log."""

    text: str
    source: str = ""
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """What answers under a name: with `version`, or nothing yet. It is rolling to `incoming` until `due`.

    Attributes:
        trial: another version, which answers `percent` of the requests.
        share: what `incoming` is to have beside `version`, in percent; None: all, alone.
        autoscaled: somebody else keeps the count.
        down: its containers have ended since.
    """

    name: str
    version: str | None = None
    trial: str | None = None
    percent: int = 0
    incoming: str | None = None
    share: int | None = None
    count: int = 1
    due: int | None = None
    reason: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    autoscaled: bool = False
    down: bool = False

    @property
    def answers(self) -> tuple[tuple[str, int], ...]:
        """Which versions do, and of how many percent of the requests: `version` first."""
        trial = ((self.trial, self.percent),) if self.trial else ()
        return ((self.version, 100 - self.percent), *trial) if self.version else ()

    @property
    def leads_to(self) -> frozenset[str]:
        return frozenset(each for each in (self.version, self.trial, self.incoming) if each)


@dataclass
class Cloud:
    """All that is there. The ways in are `call` and `wait`.

    Attributes:
        things: by name of the service that they are for, kind and key.
        broken: models whose container can't start; `failing`: those that answer with errors; `slow`: what others take, in seconds.
        faults: raised by the calls of that verb ("point"), or of that verb and kind ("put data").
        findings, defaults: what a doctor finds, and what is configured for the platform.
    """

    rollout: int = 3
    time: int = 0
    things: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    answered: dict[str, list[tuple[str, bool, float]]] = field(default_factory=dict)
    faults: dict[str, BaseException] = field(default_factory=dict)
    findings: list[Any] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    def call(self, verb: str, *given: Any) -> Any:
        """One call of the API.

        Raises:
            CloudError: refused.
        """
        with self._lock:
            for fault in {verb, f"{verb} {given[1]}" if len(given) > 1 else verb} & self.faults.keys():
                raise self.faults[fault]
            self._pass(1)
            return getattr(self, f"_{verb}")(*given)

    def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Let time pass."""
        with self._lock:
            if "wait" in self.faults:
                raise self.faults["wait"]
            self._pass(max(1, int(seconds)))

    def _pass(self, seconds: int) -> None:
        self.time += seconds
        for service in tuple(self.services.values()):
            if service.due is not None and service.due <= self.time:
                self.services[service.name] = self._arrived(service)

    def _arrived(self, service: Service) -> Service:
        coming = service.incoming
        if coming is None:
            return replace(service, due=None)
        version = self.things.get((service.name, "version", coming))
        if version is None or self.things.get((service.name, "data", version["data"])) in {None, *self.broken}:
            self.lines += [Line("loading model from /opt/ml/model", coming), Line(WHY, coming)]
            return replace(service, incoming=None, share=None, due=None, reason=f"the model could not be loaded: {WHY}")
        self.lines.append(Line("listening", coming))
        self.answered[service.name] = []
        beside = {"version": coming, "trial": None, "percent": 0} if service.share is None else {"trial": coming, "percent": service.share}
        return replace(service, incoming=None, share=None, due=None, reason="", **beside)

    # Things.

    def _list(self, name: str) -> dict[tuple[str, str], Any]:
        return {(kind, key): body for (of, kind, key), body in self.things.items() if of == name}

    def _get(self, name: str, kind: str, key: str) -> Any:
        return _found(self.things, (name, kind, key))

    def _put(self, name: str, kind: str, key: str, body: Any) -> None:
        self.things[name, kind, key] = body

    def _remove(self, name: str, kind: str, key: str) -> None:
        _found(self.things, (name, kind, key))
        versions = self.services[name].leads_to if name in self.services else ()
        stands_on = {("version", each) for each in versions} | {
            ("data", self.things[name, "version", each]["data"]) for each in versions if each != "theirs"
        }
        if (kind, key) in stands_on:
            raise CloudError("InUse", f"{name} runs on {kind} {key}")
        del self.things[name, kind, key]

    def _image(self, reference: str | None) -> dict[str, Any]:
        """What the registry says of an image; of the newest where none is named."""
        reference = reference or "registry/deployer-scoring@sha256:0a"
        digest = f"sha256:{hashlib.sha256(json.dumps(reference).encode()).hexdigest()}"
        return {"reference": reference, "digest": digest, "tag": "0.1.0-py311", "python_version": "3.11.7", "packages": PACKAGES}

    # Services.

    def _services(self) -> tuple[str, ...]:
        return tuple(sorted(self.services))

    def _service(self, name: str) -> Service:
        service: Service = _found(self.services, name)
        return service

    def _point(self, name: str, to: tuple[str, int | None], expecting: tuple[str, ...], count: int, labels: Mapping[str, str]) -> None:
        """Roll a service to a version, with a share or alone, if it leads to those that are expected; made where there is none."""
        service = self.services.get(name, Service(name))
        if service.due is not None:
            raise CloudError("Busy", f"{name} is being changed")
        leads = tuple(version for version, _ in service.answers)
        if leads != expecting:
            raise CloudError("Changed", f"{name} leads to {leads}, not to {expecting}")
        (version, share), due = to, self.time + self.rollout
        _found(self.things, (name, "version", version))
        self.services[name] = replace(service, incoming=version, share=share, count=count, due=due, reason="", labels=dict(labels))

    def _scale(self, name: str, count: int) -> None:
        self.services[name] = replace(self._service(name), count=count)

    def _unpoint(self, name: str) -> None:
        if self._service(name).due is not None:
            raise CloudError("Busy", f"{name} is being changed")
        del self.services[name]

    def _invoke(self, name: str, payload: Any) -> Any:
        """The rows of `dataframe_split` doubled; asked nothing, the model tells its digest; anything else comes back as it is."""
        service, answered = self._service(name), self.answered.setdefault(name, [])
        due = (len(answered) + 1) * service.percent // 100 > len(answered) * service.percent // 100
        serving = (service.trial if due else service.version) or ""
        version = self.things.get((name, "version", serving))
        if version is None:
            raise CloudError("NotFound", f"nothing serves as {name}")
        self.sent.append(payload)
        data = self.things[name, "data", version["data"]]
        answered.append((serving, data not in self.failing, self.slow.get(data, 0.001)))
        if data in self.failing:
            raise CloudError("ModelError", f"{serving} answers with an error")
        if payload.content_type != "application/json":
            return payload.body
        asked = json.loads(payload.body)
        rows = asked.get("dataframe_split", {}).get("data")
        return json.dumps({"predictions": [2 * row[0] for row in rows] if rows is not None else asked or data}).encode()

    def _meter(self, name: str, version: str) -> tuple[tuple[bool, float], ...]:
        """Of each request that a version had since it has its share: whether it went well, and how long it took."""
        return tuple((well, took) for serving, well, took in self.answered.get(name, ()) if serving == version)

    def _stream(self, name: str, payload: Any) -> tuple[bytes, ...]:
        """The same in pieces, as the model makes them."""
        self._invoke(name, payload)
        return b"one\n", b"two\n"

    def _log(self, name: str) -> tuple[Line, ...]:
        _found(self.services, name)
        return tuple(self.lines)

    def _follow(self, name: str) -> tuple[Line, ...]:
        """What came since; here nothing ever does."""
        return ()


CLOUDS: dict[str, Cloud] = {}


def cloud_at(path: str) -> Cloud:
    """The one at this address, for as long as the process lives."""
    return CLOUDS.setdefault(path, Cloud())


def _found(things: Mapping[Any, Any], key: Any) -> Any:
    if key not in things:
        raise CloudError("NotFound", f"there is no {key}")
    return things[key]
