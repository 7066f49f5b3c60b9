"""A model of Azure for one deployment: Resource Manager's endpoints, deployments and assets beside a blob store, by their requests, deterministic.

Time is a count of seconds; each call takes one, and a wait is a jump. Azure compares nothing as an endpoint is changed; blobs are compared.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.simulation.service import Answer, ServiceError

ARM, STORE = "https://management.simulated", "https://account.blob.core.windows.net/blobs"
LOCATION = "eastus"
_ASSET = re.compile(r"(?P<kind>models|environments)/(?P<name>[^/]+)/versions(?:/(?P<version>[^/]+))?")
_ENDPOINT = re.compile(r"onlineEndpoints/(?P<endpoint>[^/]+)(?:/deployments(?:/(?P<deployment>[^/]+))?)?(?P<action>/listKeys|/getLogs)?")
_LASTS = 3


@dataclass(slots=True)
class Made:
    """An endpoint or a deployment: as it was put, its state, and until when Azure is busy with it."""

    document: dict[str, Any]
    state: str
    due: int
    inside: dict[str, Made] = field(default_factory=dict)

    def told(self, name: str) -> dict[str, Any]:
        properties = {**self.document["properties"], "provisioningState": self.state, "scoringUri": f"https://{name}.simulated/invocations"}
        return {**self.document, "name": name, "properties": properties}

    @property
    def busy(self) -> bool:
        return self.state in ("Creating", "Updating", "Deleting")

    @property
    def traffic(self) -> dict[str, int]:
        return {name: share for name, share in (self.document["properties"].get("traffic") or {}).items() if share}


@dataclass(slots=True)
class SimulatedAzure:
    """All state; `broken` are parts of the addresses of models that can't be loaded. `may_delete` is for whoever runs clients."""

    broken: frozenset[str] = frozenset()
    time: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: dict[str, Made] = field(default_factory=dict)
    operations: dict[str, tuple[int, str]] = field(default_factory=dict)
    may_delete: set[str] = field(default_factory=set)

    def fork(self) -> SimulatedAzure:
        """A copy whose changes are its own."""
        return copy.deepcopy(self)

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at least."""
        self.time += int(seconds) or 1
        for name, endpoint in list(self.endpoints.items()):
            for called, each in list(endpoint.inside.items()):
                if each.busy and each.due <= self.time:
                    self._arrive(endpoint.inside, called, "Succeeded" if self._loads(each) else "Failed")
            if endpoint.busy and endpoint.due <= self.time:
                self._arrive(self.endpoints, name, "Succeeded")

    def rested(self) -> SimulatedAzure:
        """The same, once Azure is done with what it does."""
        other = self.fork()
        other.wait(1000)
        return other

    def call(self, _: str, api: str, wanted: Answer) -> Answer:
        """One request: `api` is its method and what of, "PUT deployments".

        Raises:
            ServiceError: refused; its code is the HTTP status.
        """
        self.wait(1)
        url = urlsplit(wanted["url"])
        method, query, body = api.partition(" ")[0], dict(parse_qsl(url.query)), wanted["body"]
        if wanted["url"].startswith(STORE):
            return self._store(method, unquote(url.path).removeprefix("/blobs").lstrip("/"), query, body, wanted["headers"])
        path = url.path.rpartition("/workspaces/w")[2].strip("/")
        if url.netloc.endswith(".simulated") and not wanted["url"].startswith(ARM):
            return answer({})
        for pattern, serve in ((_ASSET, self._asset), (_ENDPOINT, self._endpoint)):
            if match := pattern.fullmatch(path):
                return serve(method, match, body)
        return self._other(path, query)

    def missing(self) -> str:
        """What the deployments that have traffic lead to, and isn't there; empty where all is."""
        for name, endpoint in self.endpoints.items():
            for called in endpoint.traffic:
                if called not in endpoint.inside:
                    return f"deployment {called} of {name}"
                if gap := self._gap(endpoint.inside[called]):
                    return gap
        return ""

    # Resource Manager.

    def _arrive(self, among: dict[str, Made], name: str, state: str) -> None:
        if among[name].state == "Deleting":
            del among[name]
        else:
            among[name].state = state

    def _gap(self, deployment: Made) -> str:
        for key in ("model", "environmentId"):
            place = deployment.document["properties"][key].rpartition("/workspaces/w/")[2]
            asset = self.assets.get(place)
            if asset is None or asset.get("isArchived"):
                return f"{place}, {'archived' if asset else 'never registered'}"
            if key == "model" and (lost := self._lost(asset["modelUri"].partition("/paths/")[2])):
                return f"the file {lost}"
        return ""

    def _lost(self, folder: str) -> str:
        """The first file of a model that isn't there: all of these have the one."""
        return "" if f"{folder}/weights" in self.blobs else f"{folder}/weights"

    def _loads(self, deployment: Made) -> bool:
        return not self._gap(deployment) and not any(mark in deployment.document["properties"]["model"] for mark in self.broken)

    def _other(self, path: str, query: Mapping[str, str]) -> Answer:
        if path in self.operations:
            return answer({"status": self._status(path)})
        if path == "":
            return answer({"location": LOCATION})
        if path == "datastores/workspaceblobstore":
            none = {"credentialsType": "None"}
            return answer({"properties": {"accountName": "account", "containerName": "blobs", "credentials": none}})
        if path.endswith(("onlineEndpoints", "usages", "vmSizes", "computes")):
            return answer({"value": [made.told(name) for name, made in self.endpoints.items()] if path == "onlineEndpoints" else []})
        raise ServiceError("404", f"{path} {query}")

    def _status(self, operation: str) -> str:
        due, place = self.operations[operation]
        endpoint, _, called = place.partition("/")
        among = self.endpoints[endpoint].inside if called and endpoint in self.endpoints else self.endpoints
        found = among.get(called or endpoint)
        return "InProgress" if due > self.time else "Failed" if found and found.state == "Failed" else "Succeeded"

    def _begun(self, place: str, told: Mapping[str, Any], status: int) -> Answer:
        name = f"operations/{len(self.operations)}"
        self.operations[name] = (self.time + _LASTS, place)
        return answer(told, status, **{"Azure-AsyncOperation": f"{ARM}/workspaces/w/{name}"})

    def _asset(self, method: str, match: re.Match[str], body: Any) -> Answer:
        place, below = match[0], f"{match['kind']}/{match['name']}/versions"
        if match["version"] is None:
            found = {each.removeprefix(f"{below}/"): told for each, told in self.assets.items() if each.startswith(f"{below}/")}
            return answer({"value": [{"name": name, "properties": told} for name, told in found.items() if not told.get("isArchived")]})
        if method == "PUT":
            there = place in self.assets
            self.assets[place] = {**self.assets.get(place, {}), **body["properties"]}
            return answer({"properties": self.assets[place]}, 200 if there else 201)
        if place not in self.assets:
            raise ServiceError("404", f"no {place}")
        return answer({"properties": self.assets[place]})

    def _endpoint(self, method: str, match: re.Match[str], body: Any) -> Answer:
        name, called = match["endpoint"], match["deployment"]
        endpoint = self.endpoints.get(name)
        if endpoint is None and not (method in ("PUT", "DELETE") and called is None):
            raise ServiceError("404", f"no endpoint {name}")
        if match["action"]:
            return answer({"primaryKey": "key", "content": "the log"})
        if called is None and not match[0].endswith("/deployments"):
            return self._one(method, name, body)
        assert endpoint is not None
        if called is None:
            return answer({"value": [each.told(inside) for inside, each in endpoint.inside.items()]})
        return self._inside(method, name, called, body)

    def _one(self, method: str, name: str, body: Any) -> Answer:
        endpoint = self.endpoints.get(name)
        if method == "GET":
            assert endpoint is not None
            return answer(endpoint.told(name))
        if endpoint is None and method == "DELETE":
            return answer({}, 204)
        busy = [each for each in (endpoint, *endpoint.inside.values()) if each.busy] if endpoint else []
        if busy and (method == "DELETE" or endpoint in busy):
            raise ServiceError("409", "another operation is in progress")
        if method == "DELETE":
            assert endpoint is not None
            endpoint.state, endpoint.due = "Deleting", self.time + _LASTS
            return self._begun(name, {}, 202)
        made = Made(body, "Updating" if endpoint else "Creating", self.time + _LASTS, endpoint.inside if endpoint else {})
        if any(called not in made.inside or made.inside[called].state == "Failed" for called in made.traffic):
            raise ServiceError("400", "traffic to a deployment that isn't there")
        self.endpoints[name] = made
        return self._begun(name, made.told(name), 200 if endpoint else 201)

    def _inside(self, method: str, name: str, called: str, body: Any) -> Answer:
        endpoint = self.endpoints[name]
        there = endpoint.inside.get(called)
        if method != "PUT" and there is None:
            if method == "DELETE":
                return answer({}, 204)
            raise ServiceError("404", f"no deployment {called}")
        if method == "GET":
            assert there is not None
            return answer(there.told(called))
        if (there and there.busy) or endpoint.state == "Deleting":
            raise ServiceError("409", "another operation is in progress")
        if method == "DELETE":
            assert there is not None
            if called in endpoint.traffic:
                raise ServiceError("400", "it has traffic")
            there.state, there.due = "Deleting", self.time + _LASTS
            return self._begun(f"{name}/{called}", {}, 202)
        endpoint.inside[called] = Made(body, "Updating" if there else "Creating", self.time + _LASTS)
        return self._begun(f"{name}/{called}", endpoint.inside[called].told(called), 200 if there else 201)

    # The store.

    def _store(self, method: str, blob: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str]) -> Answer:
        if query.get("comp") == "list":
            entry = "<Blob><Name>{}</Name><Properties><Etag>{}</Etag></Properties></Blob>".format
            found = (entry(escape(name), etag(held)) for name, held in sorted(self.blobs.items()) if name.startswith(query["prefix"]))
            return answer("".join(found).encode())
        there = self.blobs.get(blob)
        if method == "PUT":
            compared = headers.get("If-Match"), headers.get("If-None-Match")
            if (compared[0] and (there is None or etag(there) != compared[0])) or (compared[1] and there is not None):
                raise ServiceError("412", "the condition is not met")
            self.blobs[blob] = body
            return answer(b"", 201, ETag=etag(body))
        if there is None:
            raise ServiceError("404", f"no blob {blob}")
        if method == "DELETE":
            del self.blobs[blob]
            return answer(b"", 202)
        return answer(there, ETag=etag(there))


def answer(told: Mapping[str, Any] | bytes, status: int = 200, **headers: str) -> Answer:
    """One that is a success."""
    return {"status": status, "headers": headers, "body": told if isinstance(told, bytes) else json.dumps(told).encode()}


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
