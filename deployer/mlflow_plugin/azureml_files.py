"""The files that azureml-mlflow's client takes, as the target's options: YAML or JSON, in the words of Azure ML's own schemas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deployer.errors import ConfigInvalid

_log = logging.getLogger("deployer")

DEPLOYMENT_FILE, ENDPOINT_FILE = "deploy-config-file", "endpoint-config-file"

_SAID_OTHERWISE = {"environment_variables": "env"}
_IDENTITIES = {"systemassigned": "system_assigned", "userassigned": "user_assigned"}
_PASSED_OVER = frozenset({"$schema", "name"})
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    DEPLOYMENT_FILE: frozenset({"description", "location", "async"}),
    ENDPOINT_FILE: frozenset({"properties", "location", "async"}),
}
"""What has no option. Nobody is kept from waiting: what `async` asks for is waited for as well."""
_REFUSED: Mapping[str, str] = {
    "model": "the call names it: model_uri",
    "endpoint_name": "the call names it: endpoint",
    "environment": "the scoring image is made for the model: image_url names another",
    "code_configuration": "the scoring server needs no script of its own",
    "computeType": "services on ACI and AKS by Azure ML's first SDK are gone from Azure; leave it out for a managed endpoint",
}


def deployment_options(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A deployment's options: those of its file, where one is named, under those that the call names itself.

    Raises:
        ConfigInvalid: the file can't be read, or says what isn't said there.
    """
    return _options(config, DEPLOYMENT_FILE, _of_deployment)


def endpoint_options(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same of an endpoint."""
    return _options(config, ENDPOINT_FILE, _of_endpoint)


def _options(config: Mapping[str, Any] | None, key: str, read: Callable[[dict[str, Any], Path], dict[str, Any]]) -> dict[str, Any]:
    given = dict(config or {})
    file = given.pop(key, None)
    if file is None:
        return given
    path = Path(file)
    return {**_with_effect(read(_read(path), path), _WITHOUT_EFFECT[key], path), **given}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path} can't be read", why=str(error), advice="name a file of YAML or JSON") from error
    if not isinstance(found, dict):
        raise ConfigInvalid(f"{path} has no options", advice="write it as a mapping: instance_type: Standard_DS3_v2")
    return {str(name): value for name, value in found.items()}


def _of_deployment(found: dict[str, Any], path: Path) -> dict[str, Any]:
    for name, instead in _REFUSED.items():
        if name in found:
            raise ConfigInvalid(f"{path} says {name}, which isn't said there", advice=instead)
    kind = str(found.pop("type", found.pop("endpointComputeType", "managed"))).lower()
    if kind != "managed":
        raise ConfigInvalid(f"{path} has type {kind}", advice="compute says what a deployment runs on; leave type out")
    settings = found.get("request_settings")
    if isinstance(settings, dict) and settings.pop("max_queue_wait_ms", None) is not None:
        _log.warning("request_settings.max_queue_wait_ms of %s is left out: Azure has retired it, and queues by max_concurrent_requests", path)
    return {_SAID_OTHERWISE.get(name, name): value for name, value in found.items()}


def _of_endpoint(found: dict[str, Any], path: Path) -> dict[str, Any]:
    if not (identity := found.pop("identity", None)):
        return found
    said = dict(identity) if isinstance(identity, dict) else {"type": identity}
    kind = _IDENTITIES.get(str(said.get("type")).replace("_", "").lower())
    if kind is None:
        raise ConfigInvalid(f"{path} has identity {said.get('type')}", advice=f"identity.type is {' or '.join(_IDENTITIES.values())}")
    said["type"] = kind
    return found if said == {"type": "system_assigned"} else {**found, "identity": said}


def _with_effect(found: dict[str, Any], without: frozenset[str], path: Path) -> dict[str, Any]:
    """Those that have an effect; the others are told."""
    if left := sorted(name for name in without if found.get(name)):
        _log.warning("%s of %s has no effect", ", ".join(left), path)
    return {name: value for name, value in found.items() if name not in without | _PASSED_OVER}
