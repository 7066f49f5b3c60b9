"""The one seam to a cluster: the official client's connections, our retries and errors, and the claim read before each change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from deployer.core.interruption import pause
from deployer.core.ledger import verify_holder
from deployer.core.seam import Seam
from deployer.core.state import DeploymentName
from deployer.version import __version__
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.address import ClusterAddress
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.discovery import Discovery
from deployer_targets.kubernetes.faults import Absent, ApiError, KubernetesFaults, Overtaken, taken_by_another
from deployer_targets.kubernetes.kinds import KINDS
from deployer_targets.kubernetes.kubeconfig import connected

Result = TypeVar("Result")
Object = Mapping[str, Any]

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_PAGE = 500
_TRIES = 20
"""So often a change is tried again where somebody was faster."""
_LONGEST_WAIT = 30.0


class Cluster:
    """One cluster, reached when first asked; shared by all threads of a run."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._client: Any = None
        self._address: ClusterAddress | None = None
        self.discovery = Discovery(lambda path: self.call("ask what is served", "GET", path))
        self.seam = Seam(KubernetesFaults(f"the cluster of kubernetes:/{path}" if path else "the cluster"), renew=lambda _: self._forget())

    @property
    def namespace(self) -> str:
        self.client()
        assert self._address is not None
        return self._address.namespace

    @property
    def context(self) -> str:
        self.client()
        assert self._address is not None
        return self._address.context

    def path_to(self, namespace: str) -> str:
        """The path of the URI that names a namespace of it, by the context where that is named."""
        return f"/{namespace}" if not self._path or self._path.startswith("/") else f"{self.context}/{namespace}"

    def client(self) -> Any:
        """The official client, set up as kubectl is.

        Raises:
            ConfigInvalid: no kubeconfig, or no such context. CredentialsInvalid: its plugin gives none. ExtraMissing.
        """
        with self._lock:
            if self._client is None:
                self._address, self._client = connected(self._path)
            return self._client

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        seconds: float = 70.0,
    ) -> Any:
        """One request, once; the answer as urllib3 gives it, not read yet where `stream`.

        Raises:
            ApiError: it isn't a success. What urllib3 raises.
        """
        client = self.client()
        sent = {"User-Agent": f"deployer/{__version__}", "Accept": JSON, **(headers or {})}
        for setting in client.configuration.auth_settings().values():  # asks a plugin anew where its token has run out
            sent[setting["key"]] = setting["value"]
        url = f"{client.configuration.host}/{path.lstrip('/')}" + (f"?{urlencode(query)}" if query else "")
        answer = client.rest_client.pool_manager.request(
            method, url, body=body, headers=sent, preload_content=not stream, retries=False, redirect=False, timeout=seconds
        )
        if answer.status >= 300:
            content = answer.read(decode_content=True) if stream else answer.data
            raise ApiError(answer.status, content, answer.headers.get("Retry-After", ""))
        return answer

    def call(self, operation: str, method: str, path: str, *, guard: Callable[[], None] | None = None, **how: Any) -> Any:
        """One request of the API, asked again while its fault passes; the JSON that it answers with."""

        def action() -> Any:
            try:
                return json.loads(self.send(method, path, **how).data)
            except ApiError as error:
                pause(min(error.retry_after, _LONGEST_WAIT))  # where the server says how long
                raise

        return self.seam.call(action, operation, guard=guard)

    def _forget(self) -> None:
        """The next call reads credentials anew."""
        with self._lock:
            self._client = None


@dataclass(frozen=True, slots=True)
class Kube:
    """A cluster as a run sees it.

    Attributes:
        held: the name that the run has claimed, as `run`.
        adopts: names whose Service counts as ours.
        learnt: what was told in this run and is asked again soon; of what it wrote, as `known` has it.
        selector: which labels deployments are listed by; `everywhere`: in all namespaces.
    """

    connection: Cluster
    config: KubernetesConfig
    held: DeploymentName | None = None
    run: str = ""
    adopts: frozenset[str] = frozenset()
    learnt: dict[Any, Any] = field(default_factory=dict, compare=False)
    selector: str = ""
    everywhere: bool = False

    @property
    def namespace(self) -> str:
        return self.connection.namespace

    def adopting(self, name: DeploymentName) -> Kube:
        return replace(self, adopts=self.adopts | {name})

    def holding(self, name: DeploymentName, run: str) -> Kube:
        return replace(self, held=name, run=run, learnt=dict(self.learnt))

    def path(self, kind: str, name: str = "") -> str:
        """Where things of a kind are, or one of them."""
        place = self.connection.discovery.place(kind)
        inside = "" if self.everywhere or not KINDS[kind].in_namespace else f"/namespaces/{self.namespace}"
        return f"{place}{inside}/{KINDS[kind].plural}" + (f"/{quote(name)}" if name else "")

    def get(self, kind: str, name: str) -> Object:
        """One thing.

        Raises:
            Absent
        """
        found: Object = self.connection.call(f"get {kind} {name}", "GET", self.path(kind, name))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        with suppress(Absent):
            return self.get(kind, name)
        return None

    def list(self, kind: str, labels: dict[str, str], *, fields: str = "", metadata: bool = False) -> Iterator[Object]:
        """All of a kind with these labels and fields; `metadata`: that alone of each."""
        query = {"labelSelector": names.query(labels)} | ({"fieldSelector": fields} if fields else {})
        return iter(self._pages(kind, query, METADATA_LIST if metadata else JSON, lambda page: page["items"] or ()))  # Go says null of an empty list

    def table(self, kind: str, labels: str, columns: Sequence[str], *, marks: bool = False) -> Iterator[Object]:
        """All of a kind that a labelSelector picks, of what kubectl shows of them these columns; `marks`: with labels, annotations, namespace."""

        def rows(page: Object) -> Iterator[Object]:
            there = [each["name"] for each in page["columnDefinitions"]]
            for row in page["rows"] or ():
                found = {name: cell for name, cell in zip(there, row["cells"], strict=True) if name in columns}
                if marks:
                    found["metadata"] = {key: row["object"]["metadata"].get(key) for key in ("labels", "annotations", "namespace")}
                yield found

        query = {"labelSelector": labels, "includeObject": "Metadata" if marks else "None"}
        return iter(self._pages(kind, query, TABLE, rows))

    def _pages(self, kind: str, every: dict[str, str], accepted: str, read: Callable[[Object], Iterable[Object]]) -> Sequence[Object]:
        query, found = {**every, "limit": str(_PAGE)}, list[Object]()
        while True:
            try:
                page = self.connection.call(f"list {kind}s", "GET", self.path(kind), query=query, headers={"Accept": accepted})
            except Absent:
                if "continue" not in query:
                    raise
                query, found = every, []  # 410: what the pages are of is forgotten by now; all at once has no pages
                continue
            found += read(page)
            if not (more := page["metadata"].get("continue")):
                return found
            query = {**query, "continue": more}

    def make(self, kind: str, manifest: Object) -> Object:
        """Make what isn't there.

        Raises:
            Overtaken: it is.
        """
        made = self._send(f"make {kind} {manifest['metadata']['name']}", "POST", self.path(kind), manifest, JSON, fieldManager=names.MANAGER)
        return self.written(kind, made)

    def apply(self, kind: str, manifest: Object, *, manager: str = names.MANAGER, force: bool = False) -> Object:
        """Apply what we want of it, and no more, in the version that the cluster has; a resourceVersion in it is a precondition.

        Raises:
            Overtaken: it isn't as it was, or somebody else has set a field otherwise.
        """
        name = manifest["metadata"]["name"]
        query = {"fieldManager": manager} | ({"force": "true"} if force else {})
        manifest = {**manifest, "apiVersion": self.connection.discovery.version(kind)}
        return self.written(kind, self._send(f"apply {kind} {name}", "PATCH", self.path(kind, name), manifest, APPLY, **query))

    def patch(self, kind: str, name: str, operations: Sequence[Any], *, manager: str = names.MANAGER) -> Object:
        """A JSON patch; its tests are preconditions."""
        return self.written(kind, self._send(f"patch {kind} {name}", "PATCH", self.path(kind, name), operations, JSON_PATCH, fieldManager=manager))

    def annotate(self, kind: str, name: str, annotations: Mapping[str, str], *, metadata: bool = False) -> Object:
        """Set annotations, whatever is there; `metadata`: no more of it is answered."""
        change = json.dumps({"metadata": {"annotations": annotations}}).encode()
        headers, query = {"Content-Type": MERGE_PATCH, "Accept": METADATA if metadata else JSON}, {"fieldManager": names.MANAGER}
        path = self.path(kind, name)
        answer = self.connection.call(f"mark {kind} {name}", "PATCH", path, query=query, body=change, headers=headers, guard=self.check)
        return self.written(kind, answer)

    def delete(self, kind: str, found: Object) -> None:
        """Delete what was looked at, as long as it is as it was.

        Raises:
            Overtaken: it isn't. Absent.
        """
        metadata = found["metadata"]
        fence = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "preconditions": fence}
        self.learnt.pop((kind, metadata["name"]), None)
        self._send(f"delete {kind} {metadata['name']}", "DELETE", self.path(kind, metadata["name"]), options, JSON)

    def remove(self, kind: str, name: str, seen: Object | None) -> None:
        """Delete a thing as it was `seen` by this run, which had the name after that; where it isn't so any more, as it is.

        Raises:
            Absent: it isn't there. Conflict: the name is another run's.
        """
        if seen is not None:
            with suppress(Overtaken):
                return self.delete(kind, seen)
        return self.fenced(kind, name, partial(self.delete, kind))

    def known(self, kind: str, name: str) -> Object | None:
        """A thing as this run, which has the claim, wrote it last. A newer run marks all that it finds, so that this isn't its version any more."""
        found: Object | None = self.learnt.get((kind, name))
        return found

    def written(self, kind: str, answer: Object) -> Object:
        """What a thing has become by this run, to be known from now on."""
        self.learnt[kind, answer["metadata"]["name"]] = answer
        return answer

    def fenced(self, kind: str, name: str, change: Callable[[Object], Result]) -> Result:
        """Look at one thing, then whether this run has the name still, then change it as it was seen; again where somebody was faster.

        So a run that stands still anywhere in between changes nothing that a newer one has changed since.

        Raises:
            Absent: it isn't there. Conflict: the name is another run's, or the thing is changed all the time.
        """

        def attempt(_: Object | None) -> Result:
            found = self.get(kind, name)
            self.check()
            return change(found)

        return self.contested(kind, name, attempt)

    def settle(self, kind: str, name: str, wanted: Callable[[Object | None], Object | None], *, force: bool = False) -> bool:
        """Look at one thing, and whether this run has the name still; then apply what is `wanted` of it as it was seen; again where it has changed.

        Args:
            wanted: of the thing, None where it isn't there, the manifest; None where it is as it is to be.
            force: whether fields that others have set are taken.

        Raises:
            Conflict: the name is another run's, or the thing is changed all the time. What `wanted` raises.
        """

        def attempt(_: Object | None) -> bool:
            found = self.find(kind, name)
            manifest = wanted(found)
            if manifest is None:
                return False
            if found is not None:
                manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": found["metadata"]["resourceVersion"]}}
            self.check()
            self.apply(kind, manifest, force=force)
            return True

        return self.contested(kind, name, attempt)

    def contested(self, kind: str, name: str, attempt: Callable[[Object | None], Result]) -> Result:
        """Change one thing under a precondition of it; again where somebody was faster.

        Args:
            attempt: given the thing as this run wrote it last; None where it didn't, or where that is overtaken: then it looks for itself.

        Raises:
            Conflict: the thing is changed all the time. What `attempt` raises.
        """
        known = self.known(kind, name)
        for _ in range(_TRIES):
            with suppress(Overtaken):
                return attempt(known)
            known = None
        raise taken_by_another(f"{kind} {name}")

    def check(self) -> None:
        """Look whether this run has the name that it claimed.

        Raises:
            Conflict: it hasn't.
        """
        if self.held is not None:
            ledger = self.find("ConfigMap", names.ledger(self.held)) or {}
            verify_holder(self.held, self.run, (ledger.get("data") or {}).get(names.CLAIM))

    def _send(self, operation: str, method: str, path: str, body: Any, form: str, /, **query: str) -> Object:
        content, headers = json.dumps(body).encode(), {"Content-Type": form}
        answer: Object = self.connection.call(operation, method, path, query=query, body=content, headers=headers, guard=self.check)
        return answer
