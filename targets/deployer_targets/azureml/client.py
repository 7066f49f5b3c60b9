"""The one place where Azure is called: azure-core's pipeline to Resource Manager, to the workspace's store and to scoring URIs.

azure-ai-ml isn't used (docs/adr/0016-azure-by-its-rest-api.md): it takes seconds to import, reads the workspace before each change and ignores how
often one wants to poll.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from deployer.core.retry import DEADLINE_SECONDS
from deployer.core.seam import Seam
from deployer.core.state import DeploymentName
from deployer.errors import ExtraMissing, TargetUnavailable
from deployer.version import __version__
from deployer_targets.azureml.address import AzureWorkspace
from deployer_targets.azureml.clouds import CloudAddresses, addresses, credential
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.faults import Absent, ApiError, AzureFaults
from deployer_targets.azureml.names import Shelf

API = "2024-04-01"
"""The version of Azure ML's published API."""
SECRETS_API = "2024-10-01-preview"
"""The one in which a datastore's secret can be asked to expire."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 10, 190
"""A managed endpoint answers within 180 s, or never."""


@dataclass(frozen=True, slots=True)
class AzureAnswer:
    """An answer that is a success."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON; an empty one where there is no body."""
        found = json.loads(self.body) if self.body else {}
        return found if isinstance(found, dict) else {"value": found}


@dataclass(frozen=True, slots=True)
class AzurePieces:
    """An answer that is a success, whose body comes as the server makes it."""

    response: Any

    def pieces(self, where: str) -> Iterator[bytes]:
        """The body, as it comes; `where` names the server in errors.

        Raises:
            TargetUnavailable: it broke off.
        """
        from azure.core.exceptions import AzureError

        try:
            yield from self.response.iter_bytes()
        except AzureError as error:
            raise TargetUnavailable(f"{where} broke off in the middle of its answer", why=str(error)) from error
        finally:
            self.response.close()


class WorkspaceConnection:
    """Access to one workspace, made when first used and shared by all threads of a run."""

    def __init__(
        self,
        workspace: AzureWorkspace,
        *,
        cloud: str | None = None,
        credential_kind: str = "default",
        deadline_seconds: float = DEADLINE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.workspace, self.sleep = workspace, sleep
        self.learnt: dict[Hashable, Any] = {}
        """What this run was told and may go by while it lasts: the store, scoring URIs with their keys, operations under way."""
        self._named_cloud, self._kind = cloud, credential_kind
        self._lock = threading.RLock()
        self._pipelines: dict[str, Any] = {}
        self.seam = Seam(AzureFaults(str(workspace)), renew=lambda _: self._renew(), deadline_seconds=deadline_seconds)

    @functools.cached_property
    def cloud(self) -> CloudAddresses:
        return addresses(self._named_cloud, lambda url: json.loads(self.send("GET", url, scope="", operation="the cloud's description").body))

    @functools.cached_property
    def credential(self) -> Any:
        return credential(self._kind, self.cloud)

    def send(
        self,
        method: str,
        url: str,
        *,
        scope: str,
        operation: str,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        guard: Callable[[], None] | None = None,
        retry: bool = True,
    ) -> AzureAnswer:
        """One request. Transient faults are asked again; a token that Azure takes no more is renewed once.

        Args:
            scope: what a token is needed for; "" for none.
            operation: names it in errors.
            body: JSON; `content`, other bytes.

        Raises:
            Absent, Overtaken, PermissionDenied, CredentialsInvalid, QuotaExceeded, Refused: a definite no.
            TargetUnavailable: Azure can't be reached or throttles past the deadline; whether the call had an effect isn't known.
        """
        return self.seam.call(lambda: self.once(method, url, scope, body=body, content=content, headers=headers), operation, guard=guard, retry=retry)

    def once(
        self, method: str, url: str, scope: str, *, body: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AzureAnswer:
        """The same without a second try; raises what azure-core raises, and ApiError."""
        answer = self._answer(scope, method, url, headers, json=body, content=content)
        return AzureAnswer(answer.status_code, answer.headers, answer.read())

    def opened(self, method: str, url: str, scope: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None) -> AzurePieces:
        """The same with the body still to come."""
        return AzurePieces(self._answer(scope, method, url, headers, stream=True, content=content))

    def _answer(self, scope: str, method: str, url: str, headers: Mapping[str, str] | None, *, stream: bool = False, **body: Any) -> Any:
        from azure.core.rest import HttpRequest

        request = HttpRequest(method, url, headers={"Accept": "application/json", **(headers or {})}, **body)
        sent = self._pipeline(scope).run(request, stream=stream, connection_timeout=_CONNECT_SECONDS, read_timeout=_ANSWER_SECONDS)
        answer = sent.http_response
        if answer.status_code >= 300:
            raise ApiError(answer.status_code, answer.read(), answer.headers)
        return answer

    def token(self, scope: str) -> str:
        """A token for who isn't asked through this pipeline: the container registry."""
        return str(self.seam.call(lambda: self.credential.get_token(scope), "a token of Microsoft Entra ID").token)

    def exchange(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        """What a container registry gives for a token of ours."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", url, scope="", operation="log in at the registry", content=urlencode(form).encode(), headers=headers).document

    def _pipeline(self, scope: str) -> Any:
        with self._lock:
            if scope not in self._pipelines:
                self._pipelines[scope] = self._make(scope)
            return self._pipelines[scope]

    def _make(self, scope: str) -> Any:
        from azure.core.pipeline import Pipeline
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy

        policies: list[Any] = [UserAgentPolicy(base_user_agent=f"deployer/{__version__}")]
        if scope:
            policies.append(BearerTokenCredentialPolicy(self.credential, scope))
        return Pipeline(self._transport, policies)

    @functools.cached_property
    def _transport(self) -> Any:
        from azure.core.pipeline.transport import RequestsTransport

        return RequestsTransport()

    def _renew(self) -> None:
        """Forget tokens: the next call gets others."""
        with self._lock:
            self._pipelines.clear()
            self.__dict__.pop("credential", None)


@dataclass(frozen=True, slots=True)
class AzureMlCloud:
    """A workspace as one run sees it. Reads go through `ask`; what changes a deployment goes through `change`, which looks first who holds the name.

    Attributes:
        config: the options of this run.
        held: the name that this run has claimed; `verify` raises Conflict once it hasn't any more.
        adopts: names whose endpoint counts as ours though it lacks our tag.
        endpoint: the one that it is seen through: names are those of deployments inside it. None where a deployment is an endpoint of its own.
    """

    connection: WorkspaceConnection
    config: AzureMlConfig
    held: DeploymentName | None = None
    verify: Callable[[], None] = field(default=lambda: None, compare=False)
    adopts: frozenset[str] = frozenset()
    endpoint: str | None = None

    @property
    def workspace(self) -> AzureWorkspace:
        return self.connection.workspace

    @property
    def learnt(self) -> dict[Hashable, Any]:
        return self.connection.learnt

    def holding(self, name: DeploymentName, verify: Callable[[], None]) -> AzureMlCloud:
        return replace(self, held=name, verify=verify)

    def adopting(self, name: str) -> AzureMlCloud:
        return replace(self, adopts=self.adopts | {name})

    def endpoint_of(self, name: str) -> str:
        """The endpoint that the deployment of a name is, or is behind."""
        return self.endpoint or name

    def shelf(self, name: DeploymentName) -> Shelf:
        """Where the blobs of a deployment are."""
        return Shelf(name, self.endpoint)

    def check(self) -> None:
        """Look whether this run still holds the name.

        Raises:
            Conflict: it doesn't.
        """
        if self.held is not None:
            self.verify()

    def ask(self, method: str, path: str, body: Any = None, *, api: str = API, **query: str) -> AzureAnswer:
        """A call to the workspace that looks; `path` is below the workspace's."""
        return self._arm(method, path, body, {"api-version": api, **query}, guard=self.check if self.held else None)

    def change(self, method: str, path: str, body: Any = None, **query: str) -> AzureAnswer:
        """Any other: the claim is read just before.

        Raises:
            Conflict: a newer run has claimed the name; nothing was sent.
        """
        self.check()
        return self._arm(method, path, body, {"api-version": API, **query}, guard=self.check)

    def find(self, path: str, **query: str) -> dict[str, Any] | None:
        """What is at a path; None where nothing is."""
        try:
            return self.ask("GET", path, **query).document
        except Absent:
            return None

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The elements of all pages of a list."""
        yield from self.elements(self.ask("GET", path, **query))

    def elements(self, page: AzureAnswer) -> Iterator[dict[str, Any]]:
        """Those of a page, and of the pages after it."""
        yield from page.document.get("value") or ()
        while following := page.document.get("nextLink"):
            page = self.at("GET", str(following))
            yield from page.document.get("value") or ()

    def at(self, method: str, url: str) -> AzureAnswer:
        """A call to an address that Azure gave: another page, an operation under way."""
        return self.connection.send(method, url, scope=self.connection.cloud.scope, operation=f"{method} {url.partition('?')[0].rpartition('/')[2]}")

    def _arm(self, method: str, path: str, body: Any, query: Mapping[str, str], *, guard: Callable[[], None] | None) -> AzureAnswer:
        place = f"{self.connection.cloud.resource_manager}{self.workspace.id}" + (f"/{path}" if path else "")
        url = f"{place}?{urlencode(query, safe='$')}"
        operation = f"{method} {path or self.workspace.name}"
        return self.connection.send(method, url, scope=self.connection.cloud.scope, operation=operation, body=body, guard=guard)


def connect(workspace: AzureWorkspace, config: AzureMlConfig) -> AzureMlCloud:
    """A workspace; asks nothing yet.

    Raises:
        ExtraMissing: azure-core or azure-identity isn't installed.
    """
    for module in ("azure.core", "azure.identity", "requests"):
        if not _installed(module):
            raise ExtraMissing.named("azureml", "the target azureml")
    return AzureMlCloud(WorkspaceConnection(workspace, cloud=config.cloud, credential_kind=config.credential), config)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
