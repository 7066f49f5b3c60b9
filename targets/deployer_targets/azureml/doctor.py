"""All that a deploy to a workspace would need, looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from deployer.core.ledger import ROOT
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import DeployerError, TargetUnavailable
from deployer_targets.azureml import actions, blobs, cluster, images, names, network, online, quotas, roles
from deployer_targets.azureml.aci import groups
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.traffic import location_of

_MOST_ENDPOINTS, _MOST_DEPLOYMENTS = 100, 500
_AUTHORIZATION_API = "2022-04-01"


def findings(cloud: AzureMlCloud) -> Iterator[Diagnosis]:
    """Each is asked for alone; what fails hides no other, but without a token nothing can be asked."""
    signed_in = _looked("sign-in", lambda: _token(cloud))
    yield signed_in
    if signed_in.verdict is Verdict.WRONG:
        return
    workspace = _looked("workspace", lambda: _workspace(cloud))
    yield workspace
    if workspace.verdict is Verdict.WRONG:
        return
    yield _looked("network", lambda: network.finding(cloud))
    yield _looked("permissions", lambda: _permissions(cloud))
    listed = cache(lambda: list(cloud.pages("onlineEndpoints")))
    yield _looked("endpoints", lambda: _endpoints(cloud, listed()))
    if cloud.config.compute == "managed":
        yield _looked("quota", lambda: quotas.finding(cloud))
    if cloud.config.compute == "aks":
        yield _looked("compute", lambda: cluster.finding(cloud))
    if cloud.config.compute == "aci":
        yield _looked("container groups", lambda: _groups(cloud))
    yield _looked("store", lambda: _store(cloud))
    yield _looked("container registry", lambda: _registry(cloud))
    yield _looked("registry roles", lambda: roles.registry_finding(cloud))
    of_endpoints = cloud.config.compute != "aci"
    yield _looked("identities", lambda: roles.identities_finding(cloud, filter(_is_ours, listed()) if of_endpoints else ()))
    if of_endpoints:
        yield _looked("scoring URI", lambda: network.scoring(cloud, filter(_is_ours, listed())))


def _looked(subject: str, look: Callable[[], str | Diagnosis]) -> Diagnosis:
    try:
        found = look()
    except DeployerError as error:
        return Diagnosis(subject, Verdict.WRONG, ": ".join(filter(None, (error.message, error.why))), error.advice)
    return found if isinstance(found, Diagnosis) else Diagnosis(subject, Verdict.OK, found)


def _token(cloud: AzureMlCloud) -> str:
    cloud.connection.token(cloud.connection.cloud.scope)
    return f"a token for {cloud.connection.cloud.resource_manager}"


def _workspace(cloud: AzureMlCloud) -> str:
    network.workspace(cloud)
    return f"{cloud.workspace}, in {location_of(cloud)}"


def _permissions(cloud: AzureMlCloud) -> Diagnosis | str:
    wanted = actions.needed(cloud.config.compute)
    held = cloud.pages("providers/Microsoft.Authorization/permissions", api=_AUTHORIZATION_API)
    if lacks := actions.lacking(wanted, held):
        told = "; ".join(f"{each} ({wanted[each]})" for each in lacks)
        advice = "docs/azureml.md has a role with all of them: az role definition create, az role assignment create"
        return Diagnosis("permissions", Verdict.WRONG, f"you lack {told}", advice)
    return f"all {len(wanted)} actions that the verbs need at the workspace"


def _is_ours(endpoint: Mapping[str, Any]) -> bool:
    return bool({names.TAG_DEPLOYMENT, names.TAG_ENDPOINT} & (endpoint.get("tags") or {}).keys())


def _endpoints(cloud: AzureMlCloud, found: Sequence[Mapping[str, Any]]) -> Diagnosis | str:
    ours = sum(map(_is_ours, found))
    with ThreadPoolExecutor(8, thread_name_prefix="doctor") as pool:
        inside = sum(pool.map(lambda each: len(list(online.deployments(str(each["name"]), cloud))), found))
    told = (
        f"{len(found)} of {_MOST_ENDPOINTS} that a region usually allows are in this workspace, {ours} of them ours; "
        f"{inside} of {_MOST_DEPLOYMENTS} deployments"
    )
    if len(found) >= _MOST_ENDPOINTS or inside >= _MOST_DEPLOYMENTS:
        return Diagnosis("endpoints", Verdict.WRONG, told, "delete some, or ask for more: the quota page of Azure ML studio")
    return told


def _groups(cloud: AzureMlCloud) -> Diagnosis | str:
    used = groups.usages(location_of(cloud), cloud)
    told = ", ".join(f"{now:g} of {most:g} {name}" for name, (now, most) in used.items())
    if full := [name for name, (now, most) in used.items() if now >= most]:
        return Diagnosis("container groups", Verdict.WRONG, told, f"delete some, or ask for more {full[0]}: Azure's quota page")
    return told


def _store(cloud: AzureMlCloud) -> Diagnosis | str:
    store = blobs.store_of(cloud)
    try:
        blobs.names(cloud, f"{ROOT}doctor/")
    except TargetUnavailable as error:
        return network.unreached("store", error, store.url, "privatelink.blob.core.windows.net")
    return f"{store.url} answers, by {'a signature of the workspace' if store.signature else 'your own token'}"


def _registry(cloud: AzureMlCloud) -> Diagnosis | str:
    try:
        return f"{images.registry_answers(cloud)} answers"
    except TargetUnavailable as error:
        return network.unreached("container registry", error, images.repository(cloud).registry, "privatelink.azurecr.io")
