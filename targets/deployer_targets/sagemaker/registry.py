"""The account's image registry (ECR): its repository for the scoring image, logged in, and those of other accounts and regions."""

from __future__ import annotations

import base64
import functools
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.faults import AlreadyThere

if TYPE_CHECKING:
    from deployer.oci import Credentials, Reference, Repository

CONTAINER_NAME = "deployer-scoring"

_ECR = re.compile(r"\d{12}\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+")
_NAME = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")


class Registry:
    """The ECR of one region as a run sees it."""

    def __init__(self, connection: RegionClients) -> None:
        self._connection = connection
        self._unused: dict[str, Any] | None = None
        self._opened_already: dict[tuple[str, str], Repository] = {}

    @property
    def host(self) -> str:
        """The host that images of this account and region are named by."""
        return urlsplit(self._address).netloc

    def repository(self, name: str, *, create: bool) -> Repository:
        """A repository of this account, logged in; made where absent and `create`.

        Raises:
            ConfigInvalid: ECR doesn't take the name.
        """
        if not (2 <= len(name) <= 256 and _NAME.fullmatch(name)):
            raise ConfigInvalid(
                f"{name!r} can't name an ECR repository", advice="2 to 256 lower case letters and digits, with . _ - and / between them"
            )
        if create:
            with suppress(AlreadyThere):
                self._connection.call("ecr", "create_repository", repositoryName=name)
        return self._opened(self.host, name)

    def elsewhere(self, reference: Reference) -> Repository:
        """The repository of any reference: another account's or region's ECR with AWS's login, others with docker's."""
        from deployer.oci import Repository, configured

        match = _ECR.fullmatch(reference.registry)
        if match and match["region"] != self._connection.region:
            return Registry(self._connection.in_region(match["region"])).elsewhere(reference)
        if self.has(reference):
            return self._opened(reference.registry, reference.repository)
        return Repository(reference.registry, reference.repository, configured(reference.registry))

    def has(self, reference: Reference) -> bool:
        """Whether a reference is one of ECR, this account's or another's."""
        return _ECR.fullmatch(reference.registry) is not None or reference.registry == self.host

    def _opened(self, host: str, name: str) -> Repository:
        from deployer.oci import Repository
        from deployer_targets.sagemaker.ecr import EcrRepository

        if (host, name) not in self._opened_already:
            own = host == self.host  # of the registry that ECR names itself the scheme is known
            found = EcrRepository(self._address, name, self._login, self._connection) if own else Repository(host, name, self._login)
            self._opened_already[host, name] = found
        return self._opened_already[host, name]

    def _login(self) -> Credentials:
        """Asked again when the registry says no: passwords last for twelve hours."""
        from deployer.oci import Credentials

        token, self._unused = self._unused or self._ask(), None
        user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
        return Credentials(user, password)

    @functools.cached_property
    def _address(self) -> str:
        self._unused = self._ask()
        return str(self._unused["proxyEndpoint"])

    def _ask(self) -> dict[str, Any]:
        return dict(self._connection.call("ecr", "get_authorization_token")["authorizationData"][0])


def registry(cloud: Aws) -> Registry:
    """The registry of the cloud's region, the same one for a whole run: a login lasts for hours."""
    return cloud.connection.learnt.setdefault(Registry, Registry(cloud.connection))  # type: ignore[no-any-return]
