"""The workspace's container registry, from which alone (and from public ones) its endpoints pull, and the image that a model is put on."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from deployer.core.state import Image
from deployer.core.target import DeploymentRequest
from deployer.errors import ConfigInvalid
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig

if TYPE_CHECKING:
    from deployer.oci import Credentials, Reference, Repository

CONTAINER_NAME = "deployer-scoring"
REGISTRY_VARIABLE = "AZURE_CONTAINER_REGISTRY_ENDPOINT"
_TOKEN_USER = "00000000-0000-0000-0000-000000000000"
"""The user's name with which a registry of Azure's takes a token for a password."""


def repository(cloud: AzureMlCloud, name: str = CONTAINER_NAME) -> Repository:
    """Where scoring images are: the one that is named, else that of this name in the workspace's registry.

    Raises:
        ConfigInvalid: the workspace has no registry yet.
    """
    from deployer.oci import Reference

    if named := cloud.config.image_repository:
        return opened(cloud, Reference.parse(named))
    return opened(cloud, Reference.parse(f"{registry_host(cloud)}/{name}"))


def registry_host(cloud: AzureMlCloud) -> str:
    """The host of the workspace's registry.

    Raises:
        ConfigInvalid: it has none yet.
    """
    if "registry" not in cloud.learnt:
        cloud.learnt["registry"] = os.environ.get(REGISTRY_VARIABLE, "").removeprefix("https://").rstrip("/") or _of_workspace(cloud)
    return str(cloud.learnt["registry"])


def _of_workspace(cloud: AzureMlCloud) -> str:
    told = cloud.ask("GET", "").document
    cloud.learnt["location"] = str(told["location"])
    registry = str((told.get("properties") or {}).get("containerRegistry") or "")
    if not registry:
        raise ConfigInvalid(
            f"{cloud.workspace} has no container registry yet: Azure makes one when it first builds an image",
            advice=f"-C image_repository=REGISTRY/NAME, {REGISTRY_VARIABLE}, or az ml workspace update --container-registry gives it one",
        )
    return f"{registry.rpartition('/')[2].lower()}.{cloud.connection.cloud.registries}"


def opened(cloud: AzureMlCloud, reference: Reference) -> Repository:
    """A repository, with the login that docker has for it, or else the caller's own where it is one of Azure's."""
    from deployer.oci import Repository

    key = ("repository", reference.registry, reference.repository)
    if key not in cloud.learnt:
        cloud.learnt[key] = Repository(reference.registry, reference.repository, partial(_login, cloud, reference.registry))
    found: Repository = cloud.learnt[key]
    return found


def _login(cloud: AzureMlCloud, host: str) -> Credentials | None:
    from deployer.oci import Credentials, configured

    if found := configured(host):
        return found
    suffix = cloud.connection.cloud.registries
    if not host.endswith(f".{suffix}") and host != cloud.learnt.get("registry"):
        return None
    token = cloud.connection.token(cloud.connection.cloud.scope)
    scheme = "http" if host.startswith(("127.0.0.1:", "localhost:")) else "https"
    form = {"grant_type": "access_token", "service": host, "access_token": token}
    answer = cloud.connection.exchange(f"{scheme}://{host}/oauth2/exchange", form)
    return Credentials(_TOKEN_USER, str(answer["refresh_token"]))


def image_for(request: DeploymentRequest[AzureMlConfig], cloud: AzureMlCloud) -> Image:
    """The image of a model: the one that is named, fits or is still to be made.

    Raises:
        ConfigInvalid: there is none.
    """
    from deployer_images import choosing

    return choosing.image_for(
        repository(cloud).on("linux/amd64"),
        request.model,
        recorded=request.image,
        named=request.config.image_url,
        packages=request.packages,
        elsewhere=partial(opened, cloud),
    )


def registry_answers(cloud: AzureMlCloud) -> str:
    """The registry's host, once it has answered.

    Raises:
        DeployerError: it doesn't, or not to this caller.
    """
    found = repository(cloud)
    found.exists("any")
    return found.registry
