"""The network of a workspace: what of it this machine reaches, and by which addresses."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ConfigInvalid, DeployerError
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.faults import ApiError
from deployer_targets.azureml.online import AzureEndpoint

_NO_NETWORK = "Disabled"
_ISOLATION = {
    "disabled": "no managed network",
    "allowinternetoutbound": "a managed network, whose containers reach the internet",
    "allowonlyapprovedoutbound": "a managed network, whose containers reach approved addresses alone",
}
_ZONES = "link the private DNS zone {} to this machine's network, or name its addresses in the DNS server that it uses"
_AT_MOST = 5
"""Scoring URIs that are tried."""
Lookup = Callable[[str], Collection[str]]


def workspace(cloud: AzureMlCloud) -> Mapping[str, Any]:
    """The properties of the workspace, asked for once in a run."""
    if "workspace" not in cloud.learnt:
        told = cloud.ask("GET", "").document
        cloud.learnt["location"], cloud.learnt["workspace"] = str(told["location"]), told.get("properties") or {}
    found: Mapping[str, Any] = cloud.learnt["workspace"]
    return found


def refuse_egress(config: AzureMlConfig, cloud: AzureMlCloud) -> None:
    """Return if the workspace lets a deployment say whether it reaches the internet; asks only where the option is set.

    Raises:
        ConfigInvalid: its managed network says so for all.
    """
    if config.egress_public_network_access and (mode := _isolation(workspace(cloud))) != _NO_NETWORK:
        raise ConfigInvalid(
            f"egress_public_network_access is for workspaces without a managed network, and {cloud.workspace} has one ({mode})",
            advice="leave it out: the network's outbound rules say what containers reach (az ml workspace outbound-rule)",
        )


def finding(cloud: AzureMlCloud, lookup: Lookup | None = None) -> Diagnosis | str:
    """Isolation, private endpoints, and whether this machine finds the workspace by a private address where it has no public one."""
    told = workspace(cloud)
    mode = _isolation(told)
    connections = Counter(_state(each) for each in told.get("privateEndpointConnections") or ())
    words = _ISOLATION.get(mode.lower(), f"a managed network: {mode}")
    if connections:
        words += "; private endpoints: " + ", ".join(f"{count} {state}" for state, count in sorted(connections.items()))
    try:
        refuse_egress(cloud.config, cloud)
    except ConfigInvalid as refused:
        return Diagnosis("network", Verdict.WRONG, refused.message, refused.advice)
    if _is_private(told):
        if not connections["Approved"]:
            advice = "az ml workspace update --public-network-access Enabled, or approve a private endpoint"
            return Diagnosis(
                "network", Verdict.WRONG, f"nobody reaches the workspace: no public access, no approved private endpoint; {words}", advice
            )
        return _privately(told, words, lookup or addresses)
    if waiting := connections["Pending"]:
        return Diagnosis("network", Verdict.WARNING, words, f"{waiting} of them waits to be approved: the workspace's page, Networking")
    return words


def scoring(cloud: AzureMlCloud, endpoints: Iterable[Mapping[str, Any]]) -> Diagnosis | str:
    """Whether scoring URIs answer here; each is asked without a key, which any answer is enough of."""
    tried = [found for found in map(AzureEndpoint, endpoints) if found.scoring_uri][:_AT_MOST]
    for found in tried:
        try:
            _answers(found.scoring_uri, cloud)
        except DeployerError as error:
            return unreached("scoring URI", error, found.scoring_uri, "privatelink.api.azureml.ms")
    return f"{len(tried)} tried, all answer" if tried else "no endpoint yet whose URI could be tried"


def unreached(subject: str, error: DeployerError, url: str, zone: str, lookup: Lookup | None = None) -> Diagnosis:
    """What doesn't answer, with the addresses by which it was looked for."""
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    detail = ": ".join(filter(None, (error.message, error.why)))
    return Diagnosis(subject, Verdict.WRONG, f"{detail}; {_where(host, (lookup or addresses)(host))}", f"{error.advice}; {_ZONES.format(zone)}")


def addresses(host: str) -> Collection[str]:
    """Those that this machine knows of a host; none where it knows no such host."""
    with suppress(OSError):
        return sorted({str(each[4][0]) for each in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)})
    return ()


def _privately(told: Mapping[str, Any], words: str, lookup: Lookup) -> Diagnosis | str:
    """A workspace without public access, as this machine sees it."""
    base, identity = urlsplit(str(told.get("discoveryUrl") or "")).hostname, told.get("workspaceId")
    if not (base and identity):
        return Diagnosis("network", Verdict.WARNING, f"no public access; {words}", "run this inside its network")
    host = f"{identity}.workspace.{base}"
    found = lookup(host)
    detail = f"no public access; {_where(host, found)}; {words}"
    if not found or not all(map(_private, found)):
        zone = f"privatelink.{base.partition('.')[2]}"
        return Diagnosis("network", Verdict.WRONG, detail, f"run this inside its network; there, {_ZONES.format(zone)}")
    return detail


def _where(host: str, found: Collection[str]) -> str:
    if not found:
        return f"this machine knows no address of {host}"
    return f"{host} is {', '.join(found)} here, " + ("a private address" if all(map(_private, found)) else "a public address")


def _private(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_private


def _answers(url: str, cloud: AzureMlCloud) -> None:
    """Return once anything has answered at a URL."""

    def ask() -> None:
        with suppress(ApiError):
            cloud.connection.once("GET", url, "")

    cloud.connection.seam.call(ask, "ask its scoring URI")


def _isolation(told: Mapping[str, Any]) -> str:
    return str((told.get("managedNetwork") or {}).get("isolationMode") or _NO_NETWORK)


def _is_private(told: Mapping[str, Any]) -> bool:
    return str(told.get("publicNetworkAccess") or "Enabled").lower() == "disabled"


def _state(connection: Mapping[str, Any]) -> str:
    told = (connection.get("properties") or {}).get("privateLinkServiceConnectionState") or {}
    return str(told.get("status") or "Unknown")
