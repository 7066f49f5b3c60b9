"""From a kubeconfig, or a pod's service account, to the official client; by kubectl's rules where the library has others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.errors import ConfigInvalid, CredentialsInvalid, ExtraMissing
from deployer_targets.kubernetes.address import ClusterAddress, address_of

_USUAL = "~/.kube/config"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_ADVICE = "KUBECONFIG names one; kubectl config view shows what it has; docs/kubernetes.md begins with how to get a cluster"
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the files of a kubeconfig come to. Of several entries of one name, and of several current contexts, the first file's counts."""

    contexts: Mapping[str, Entry]
    clusters: Mapping[str, Entry]
    current: str


def connected(path: str) -> tuple[ClusterAddress, Any]:
    """The address in full that a URI's path names, and a client for it.

    Raises:
        ConfigInvalid: no kubeconfig, or no such context. CredentialsInvalid: its plugin gives none. ExtraMissing.
    """
    try:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as missing:
        raise ExtraMissing.named("kubernetes", "the kubernetes target") from missing
    files = os.environ.get("KUBECONFIG") or _USUAL  # the library reads it once, as it is imported
    configuration = client.Configuration()
    found = _read(files)
    if found is None:
        return _in_a_pod(path, configuration)
    address = address_of(path, found.contexts)
    context = address.context or found.current
    if not context:
        raise ConfigInvalid("the kubeconfig has no current context", advice="kubectl config use-context CONTEXT, or -t kubernetes:/CONTEXT")
    chosen = found.contexts.get(context)
    if chosen is None or chosen.get("cluster") not in found.clusters:
        lacks = "has no context" if chosen is None else "has no cluster of the context"
        raise ConfigInvalid(f"the kubeconfig {lacks} {context}", advice=_ADVICE)
    try:
        config.load_kube_config(files, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise CredentialsInvalid(f"the context {context} gives no credentials", why=str(error), advice="log in to the cluster again") from error
    if found.clusters[chosen["cluster"]].get("proxy-url"):
        configuration.no_proxy = None  # NO_PROXY is about a proxy of the environment's
    return ClusterAddress(context, address.namespace or chosen.get("namespace") or "default"), client.ApiClient(configuration)


def _read(files: str) -> Kubeconfig | None:
    """What these files, as KUBECONFIG lists them, have together; None where none of them is there.

    Raises:
        ConfigInvalid: one of them can't be read.
    """
    import yaml

    paths = [Path(each).expanduser() for each in files.split(os.pathsep) if each]
    read: list[Entry] = []
    for path in filter(Path.exists, paths):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigInvalid(f"the kubeconfig {path} can't be read", why=str(error), advice=_ADVICE) from error
        if not isinstance(document, dict):
            raise ConfigInvalid(f"the kubeconfig {path} is empty, or no mapping", advice=_ADVICE)
        read.append(document)
    if not read:
        return None
    current = next((str(each["current-context"]) for each in read if each.get("current-context")), "")
    return Kubeconfig(_named(read, "contexts", "context"), _named(read, "clusters", "cluster"), current)


def _named(read: list[Entry], kind: str, key: str) -> Mapping[str, Entry]:
    found: dict[str, Entry] = {}
    for document in read:
        for entry in document.get(kind) or ():
            found.setdefault(entry["name"], entry.get(key) or {})
    return found


def _in_a_pod(path: str, configuration: Any) -> tuple[ClusterAddress, Any]:
    """With the service account of the pod that this runs in, where there is no kubeconfig."""
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException

    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigInvalid("there is no kubeconfig", why=str(error), advice=_ADVICE) from error
    namespace = address_of(path, ()).namespace or (_ACCOUNT.read_text().strip() if _ACCOUNT.exists() else "default")
    return ClusterAddress("in-cluster", namespace), client.ApiClient(configuration)
