"""Endpoints that several named deployments share: made, their traffic set, removed. The cloud is seen through the endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from deployer.core.plan import Progress
from deployer.core.state import DeploymentName
from deployer.errors import ConfigInvalid, DeploymentExists, DeploymentNotFound, NotOurs
from deployer.events import silent
from deployer_targets.azureml import blobs, bodies, cluster, identities, names, observe, online
from deployer_targets.azureml.behind import no_endpoint, refuse_single
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.endpoint_config import EndpointConfig
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.online import AzureEndpoint
from deployer_targets.azureml.removal import DeleteEndpoint, Remove
from deployer_targets.azureml.traffic import await_endpoint, location_of, set_endpoint


def create(name: str, config: EndpointConfig, cloud: AzureMlCloud) -> dict[str, Any]:
    """An endpoint without deployments, and so without traffic; where it is there already, nothing is done.

    Raises:
        DeploymentExists: with another auth_mode, which Azure can't change.
        NotOurs: somebody else made it.
        ConfigInvalid: it is a deployment of its own.
    """
    config.refuse_those_of_deployments()
    if config.traffic or config.mirror_traffic:
        raise ConfigInvalid(
            f"endpoint {name} has no deployments yet, to which traffic could go", advice="deploy update-endpoint, once they are there"
        )
    found = _ours(name, online.endpoint(name, cloud))
    if found is not None and found.state != "Failed":
        if "auth_mode" in config.model_fields_set and found.auth_mode != config.auth_mode:
            raise DeploymentExists(
                f"endpoint {name} exists already, with auth_mode {found.auth_mode}", advice="deploy delete-endpoint removes it first"
            )
        return described(name, cloud)
    held = _held(name, cloud)
    body = bodies.endpoint(location_of(held), config, {**config.tags, names.TAG_ENDPOINT: name}, cluster.compute_id(config, held))
    online.put(name, held, online.endpoint_path(name), body, config.timeout_seconds)
    await_endpoint(name, held, config.timeout_seconds, _progress(name))
    return described(name, cloud)


def update(name: str, config: EndpointConfig, cloud: AzureMlCloud) -> dict[str, Any]:
    """Those of its options that the config names; the rest stays. Where all is so already, nothing is done.

    Raises:
        DeploymentNotFound: there is no such endpoint.
        NotOurs: somebody else made it, and it isn't adopted.
        ConfigInvalid: traffic to what isn't there; what Azure can't change.
    """
    config.refuse_those_of_deployments()
    held = _held(name, cloud) if _present(name, cloud) else cloud
    found = online.settle(DeploymentName(name), held, config.timeout_seconds)
    if found is None:
        raise no_endpoint(name)
    wanted = _changed(name, found, config)
    tags = {**(config.tags if "tags" in config.model_fields_set else _own_tags(found)), names.TAG_ENDPOINT: name}
    if tags != dict(found.tags) or any((found.properties.get(key) or {}) != value for key, value in wanted.items()):
        set_endpoint(name, held, found, config.timeout_seconds, tags=tags, **wanted)
        await_endpoint(name, held, config.timeout_seconds, _progress(name))
    return described(name, cloud)


def delete(name: str, cloud: AzureMlCloud) -> bool:
    """The endpoint, all deployments behind it and what is ours of them. False where there was nothing.

    Raises:
        NotOurs: somebody else made it.
        ConfigInvalid: it is a deployment of its own.
    """
    found = _ours(name, online.endpoint(name, cloud))
    below = f"{names.ENDPOINTS}{name}/"
    if found is None and not blobs.names(cloud, below):
        return False
    held, seconds, progress = _held(name, cloud), cloud.config.timeout_seconds, _progress(name)
    DeleteEndpoint(DeploymentName(name), seconds).run(held, progress)
    for each in sorted({blob.removeprefix(below).partition("/")[0] for blob in blobs.names(held, below)}):
        Remove(DeploymentName(each), seconds, beyond=frozenset()).run(held, progress)
    blobs.remove(held, [names.Shelf(DeploymentName(name), name).claim])
    return True


def listed(cloud: AzureMlCloud) -> list[dict[str, Any]]:
    """All that several deployments may share and that are ours, by name."""
    found = (AzureEndpoint(each) for each in cloud.pages("onlineEndpoints"))
    return sorted((_document(each) for each in found if names.TAG_ENDPOINT in each.tags), key=lambda each: str(each["name"]))


def described(name: str, cloud: AzureMlCloud) -> dict[str, Any]:
    """One of them, whoever made it, with Azure's own properties.

    Raises:
        DeploymentNotFound: there is none.
    """
    found = online.endpoint(names.check_name(name), cloud)
    if found is None:
        raise no_endpoint(name)
    return _document(found)


def _document(endpoint: AzureEndpoint) -> dict[str, Any]:
    status, reason = observe.status_of(endpoint, None)
    told = endpoint.properties
    return {
        "name": str(endpoint.document["name"]),
        "status": "ready" if endpoint.state == "Succeeded" else str(status),
        **({"reason": reason} if endpoint.state == "Failed" else {}),
        "url": endpoint.scoring_uri,
        "auth_mode": endpoint.auth_mode,
        "traffic": dict(told.get("traffic") or {}),
        "mirror_traffic": dict(told.get("mirrorTraffic") or {}),
        "tags": _own_tags(endpoint),
        "properties": dict(told),
    }


def _own_tags(endpoint: AzureEndpoint) -> dict[str, str]:
    return {key: value for key, value in endpoint.tags.items() if key not in names.OUR_TAGS}


def _present(name: str, cloud: AzureMlCloud) -> bool:
    found = online.endpoint(name, cloud)
    if name not in cloud.adopts:
        _ours(name, found)
    refuse_single(name, found)
    return found is not None


def _ours(name: str, found: AzureEndpoint | None) -> AzureEndpoint | None:
    refuse_single(name, found)
    if found is not None and names.TAG_ENDPOINT not in found.tags:
        raise NotOurs(
            f"endpoint {name} is there, made by somebody else", advice="choose another name, or take it over: deploy update-endpoint --adopt"
        )
    return found


def _held(name: str, cloud: AzureMlCloud) -> AzureMlCloud:
    """The endpoint claimed, as each run claims it that changes a deployment behind it: the newest has it."""
    run, ledger = uuid.uuid4().hex, BlobLedger(cloud, DeploymentName(name))
    ledger.claim(run)
    return cloud.holding(DeploymentName(name), lambda: ledger.verify(run))


def _changed(name: str, found: AzureEndpoint, config: EndpointConfig) -> dict[str, Any]:
    """The properties that the config names, as Azure has them."""
    named = config.model_fields_set
    if "auth_mode" in named and found.auth_mode != config.auth_mode:
        raise ConfigInvalid(f"endpoint {name} has auth_mode {found.auth_mode}, which Azure can't change to {config.auth_mode}", advice="leave it out")
    traffic = dict(config.traffic) if "traffic" in named else dict(found.properties.get("traffic") or {})
    copied = dict(config.mirror_traffic) if "mirror_traffic" in named else dict(found.properties.get("mirrorTraffic") or {})
    for each in (*traffic, *copied):
        if each not in found.held:
            raise DeploymentNotFound(
                f"there is no deployment {each} behind endpoint {name}: there is {', '.join(sorted(found.held)) or 'none'}",
                advice=f"deploy create --endpoint {name} -n {each} makes it",
            )
    if both := next((each for each, share in copied.items() if share and traffic.get(each)), None):
        raise ConfigInvalid(
            f"{both} gets a copy of {copied[both]} percent of the traffic of endpoint {name}, and can't have traffic of its own beside it",
            advice="name both: traffic, and mirror_traffic without it",
        )
    if "identity" in named:
        identities.refuse_another(name, found, config.identity)
    wire = {"public_network_access": "publicNetworkAccess", "description": "description"}
    return {
        **({"traffic": _live(traffic)} if "traffic" in named else {}),
        **({"mirrorTraffic": _live(copied)} if "mirror_traffic" in named else {}),
        **{own: bodies.of_endpoint(config)[own] for option, own in wire.items() if option in named},
    }


def _live(shares: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in shares.items() if share}


def _progress(name: str) -> Progress:
    return Progress("endpoint", f"endpoint {name}", silent)
