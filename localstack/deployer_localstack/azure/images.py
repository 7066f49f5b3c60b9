"""The workspace's container registry, and the image behind a reference: one of the registry, or a public one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from deployer_localstack.azure.account import LOCATION, REGISTRY_PASSWORD, REGISTRY_USER
from deployer_localstack.azure.answers import AzureError, JsonAnswer, send_json
from deployer_localstack.azure.entra import Entra
from deployer_localstack.containers.runtimes import Runtimes
from deployer_localstack.http.server import Environ, Server, StartResponse
from deployer_localstack.options import StartOptions
from deployer_localstack.registry.front import Passwords, RegistryFront
from deployer_localstack.registry.index import ImageIndex, RepositoryAddress, image_name, labels_in
from deployer_localstack.registry.upstream import Upstream

_ACCOUNT = "azure"
_FOR_EVER = float("inf")
_TOKEN_USER = "00000000-0000-0000-0000-000000000000"
"""Documented: "Authenticate with an Azure container registry", az acr login with --expose-token."""
_TOKEN_SECONDS = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image as an engine can have it, with the labels of its configuration where that is known."""

    reference: str
    repository: RepositoryAddress
    labels: Mapping[str, str]
    digest: str = ""


class ContainerRegistry:
    """Azure Container Registry with its admin user: a repository is there once something is pushed to it."""

    def __init__(self, options: StartOptions, upstream: Upstream, entra: Entra) -> None:
        self._upstream, self._index = upstream, ImageIndex()
        passwords = Passwords(REGISTRY_USER, _TOKEN_USER)
        passwords.issue(_ACCOUNT, LOCATION, _FOR_EVER, REGISTRY_PASSWORD)
        front = RegistryFront(upstream, passwords, _Repositories(), self._index, "azurecr.localhost")
        self.front = Server(0, _TokenExchange(front, passwords, entra))
        self.host = f"127.0.0.1:{self.front.port}"
        self.runtimes = Runtimes(options, passwords)
        """Which log in at this registry."""

    def resolve(self, reference: str) -> FoundImage:
        """The image behind a reference.

        Raises:
            AzureError: it names this registry, which hasn't got it.
        """
        named = image_name(reference)
        if named is None or named.host != self.host:
            return FoundImage(reference, RepositoryAddress(_ACCOUNT, LOCATION, ""), {})
        repository = RepositoryAddress(_ACCOUNT, LOCATION, named.name)
        found = self._index.find(repository, tag=named.tag, digest=named.digest)
        if found is None:
            raise AzureError("BadArgument", f"Unable to download user container image: {reference} is not in the registry.")
        config = found.document.get("config") or {}
        status, content = self._upstream.ask("GET", f"{self._index.stored_name(repository)}/blobs/{config.get('digest', '')}")
        return FoundImage(f"{self.host}/{repository.name}@{found.digest}", repository, labels_in(content) if status == 200 else {}, found.digest)

    def layers(self, image: FoundImage) -> Iterator[bytes]:
        """The layers of an image of this registry, as they are stored, lowest first."""
        found = self._index.find(image.repository, digest=image.digest)
        for layer in found.document.get("layers", ()) if found else ():
            status, content = self._upstream.ask("GET", f"{self._index.stored_name(image.repository)}/blobs/{layer['digest']}")
            if status == 200:
                yield content

    def clear(self) -> None:
        self._index.clear()


class _TokenExchange:
    """The front, which gives passwords for tokens of Microsoft Entra ID besides (Azure/acr, docs/AAD-OAuth.md)."""

    def __init__(self, front: RegistryFront, passwords: Passwords, entra: Entra) -> None:
        self._front, self._passwords, self._entra = front, passwords, entra

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/oauth2/exchange"):
            return self._front(environ, start_response)
        form = dict(parse_qsl(environ["wsgi.input"].read().decode(errors="replace")))
        if form.get("grant_type") != "access_token" or not self._entra.is_for_management(f"Bearer {form.get('access_token', '')}"):
            errors = [{"code": "UNAUTHORIZED", "message": "authentication required, visit https://aka.ms/acr/authorization for more information."}]
            return send_json(start_response, JsonAnswer({"errors": errors}, 401))
        password, _ = self._passwords.issue(_ACCOUNT, LOCATION, _TOKEN_SECONDS)
        return send_json(start_response, JsonAnswer({"refresh_token": password}))


class _Repositories:
    def exists(self, repository: RepositoryAddress) -> bool:
        return True

    def is_immutable(self, repository: RepositoryAddress) -> bool:
        return False

    def mounts_blobs(self, account: str, region: str) -> bool:
        return True
