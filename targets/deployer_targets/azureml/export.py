"""A deployment as files: for `az ml` to apply, as Bicep, or with a scoring script for Azure's own image.

Endpoint, deployment and environment are a create's, under the deployment's own name and without the tags by which `deploy list` knows what is its
own. No workspace is in them, so that the same files do for several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from deployer.core.container import AT_START
from deployer.core.state import ModelFacts, short
from deployer.core.target import DeploymentRequest, DeploymentSpec, Exported, generation_by
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import bicep, bodies, names, scoring_script
from deployer_targets.azureml.config import DEFAULT_INSTANCE_TYPE, AzureMlConfig
from deployer_targets.azureml.data_collector_options import DataCollector
from deployer_targets.azureml.names import ExportedNames

PLAIN, BICEP = "plain", "bicep"
MODEL_FOLDER = "model"
"""Beside the files: where the model's are put before it is registered."""

_REGISTER = "az ml model create -f model.yml"
_SCHEMAS = "https://azuremlschemas.azureedge.net/latest/"
_KINDS: Mapping[str, str] = {"managed": "managed", "aks": "kubernetes"}
"""Azure's word for a compute."""


def exported(spec: DeploymentSpec[AzureMlConfig], form: str) -> Exported:
    """The files of a deployment of a scoring image of ours. Pure."""
    config = spec.config
    generation = names.deployment_of(generation_by(spec.model.digest, spec.image, config, spec.record.packages))
    named = ExportedNames.of(spec.name, spec.endpoint, generation)
    version = bodies.environment_version(spec.image.reference)
    model = _model(named, short(spec.model.digest))
    if form == BICEP:
        text = bicep.document(named, short(spec.model.digest), spec.image.reference, _without_secrets(config))
        apply = "az deployment group create --template-file main.bicep --parameters workspaceName=WORKSPACE"
        secret = " environmentVariables=@variables.json" if len(_told(config)) < len(config.env) else ""
        commands = (_REGISTER, f"{apply}{secret} traffic='{{}}'", f"{apply}{secret} traffic='{{\"{named.deployment}\": 100}}'")
        if named.shared:
            commands = (_REGISTER, f"{apply}{secret}", _traffic(named))
        return Exported({"model.yml": _text(model), "main.bicep": text}, _needs(spec.model.facts, config, named), commands)
    environment = {
        **_head("environment", named.asset, version),
        "image": spec.image.reference,
        "inference_config": {
            f"{route}_route": {"port": bodies.PORT, "path": path}
            for route, path in (("liveness", bodies.LIVE), ("readiness", bodies.READY), ("scoring", bodies.SCORING))
        },
    }
    return _files(spec.model.facts, named, config, _documents(named, model, environment, config), {})


def refuse_group(config: AzureMlConfig) -> None:
    """
    Raises:
        ConfigInvalid: it is a container group, which isn't Azure ML's.
    """
    if config.compute == "aci":
        raise ConfigInvalid(
            "a container group has no files of Azure ML's: export is for compute managed and aks",
            advice="deploy models build-docker makes an image of the model for a container group of your own",
        )


def with_script(request: DeploymentRequest[AzureMlConfig]) -> Exported:
    """The files of a deployment of Azure's own image, with a scoring script and the model's packages as conda takes them.

    Raises:
        ConfigInvalid: options that don't go with the compute.
    """
    refuse_group(request.config)
    if wrong := request.config.misplaced():
        raise ConfigInvalid(wrong, advice="deploy help -t azureml says what each option takes")
    config, facts = request.config, request.model.facts
    conda = scoring_script.conda(facts)
    image = config.image_url or scoring_script.BASE_IMAGE
    version = scoring_script.environment_version(image, conda)
    named = ExportedNames.of(request.name, request.endpoint, scoring_script.deployment_name(facts, version, config))
    environment = {**_head("environment", named.asset, version), "image": image, "conda_file": scoring_script.CONDA_FILE}
    code = {"code_configuration": {"code": scoring_script.FOLDER, "scoring_script": scoring_script.FILE}}
    made = {scoring_script.CONDA_FILE: _text(conda), f"{scoring_script.FOLDER}/{scoring_script.FILE}": scoring_script.text()}
    found = _files(facts, named, config, _documents(named, _model(named, short(facts.digest)), environment, config, **code), made)
    return replace(found, needs=(*scoring_script.needs(facts), *found.needs))


def _documents(
    named: ExportedNames, model: Mapping[str, Any], environment: Mapping[str, Any], config: AzureMlConfig, **more: Any
) -> Mapping[str, Mapping[str, Any]]:
    """In the order in which they are applied; `more` is the deployment's."""
    endpoint = {} if named.shared else {"endpoint.yml": _endpoint(named.endpoint, config)}
    deployment = {**_deployment(named, model, environment, config), **more}
    return {"model.yml": model, "environment.yml": environment, **endpoint, "deployment.yml": deployment}


def _files(
    facts: ModelFacts, named: ExportedNames, config: AzureMlConfig, documents: Mapping[str, Mapping[str, Any]], others: Mapping[str, str]
) -> Exported:
    given = "".join(f" --set environment_variables.{key}=..." for key in config.env if key not in AT_START)
    commands = (
        _REGISTER,
        "az ml environment create -f environment.yml",
        *(() if named.shared else ("az ml online-endpoint create -f endpoint.yml",)),
        f"az ml online-deployment create -f deployment.yml{given}",
        _traffic(named),
    )
    return Exported({path: _text(each) for path, each in documents.items()} | dict(others), _needs(facts, config, named), commands)


def _traffic(named: ExportedNames) -> str:
    """Of a shared endpoint, whose traffic others have, some of it."""
    return f"az ml online-endpoint update -n {named.endpoint} --traffic {named.deployment}={'SHARE' if named.shared else 100}"


def _head(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"$schema": f"{_SCHEMAS}{kind}.schema.json", "name": name, "version": version}


def _model(named: ExportedNames, version: str) -> dict[str, Any]:
    return {**_head("model", named.asset, version), "type": "custom_model", "path": MODEL_FOLDER}


def _endpoint(name: str, config: AzureMlConfig) -> dict[str, Any]:
    managed = config.compute == "managed"
    place = {"public_network_access": config.public_network_access} if managed else {"compute": f"azureml:{config.compute_target}"}
    tags = {"tags": dict(config.tags)} if config.tags else {}
    return {
        "$schema": f"{_SCHEMAS}{_KINDS[config.compute]}OnlineEndpoint.schema.json",
        "name": name,
        "auth_mode": config.auth_mode,
        "identity": config.identity.model_dump(mode="json", exclude_defaults=True) or {"type": "system_assigned"},
        **place,
        **tags,
        **({"description": config.description} if config.description else {}),
    }


def _deployment(named: ExportedNames, model: Mapping[str, Any], environment: Mapping[str, Any], config: AzureMlConfig) -> dict[str, Any]:
    size = {"instance_type": config.instance_type or DEFAULT_INSTANCE_TYPE} if config.compute == "managed" else _cluster(config)
    egress = {"egress_public_network_access": config.egress_public_network_access} if config.egress_public_network_access else {}
    scale = {"type": "default"} if config.scale_settings.type == "default" else config.scale_settings.model_dump()
    said = _told(config)
    return {
        "$schema": f"{_SCHEMAS}{_KINDS[config.compute]}OnlineDeployment.schema.json",
        "name": named.deployment,
        "endpoint_name": named.endpoint,
        "type": _KINDS[config.compute],
        "model": f"azureml:{model['name']}:{model['version']}",
        "environment": f"azureml:{environment['name']}:{environment['version']}",
        **size,
        "instance_count": bodies.scaling(config).count,
        "scale_settings": scale,
        "request_settings": config.request_settings.model_dump(),
        "liveness_probe": config.liveness_probe.model_dump(),
        "readiness_probe": config.readiness_probe.model_dump(),
        "app_insights_enabled": config.app_insights_enabled,
        **egress,
        **({"tags": dict(config.tags)} if named.shared and config.tags else {}),
        **({"properties": dict(config.properties)} if config.properties else {}),
        **({"model_mount_path": config.model_mount_path} if config.model_mount_path else {}),
        **({"data_collector": _collector(config.data_collector)} if config.data_collector else {}),
        **({"environment_variables": said} if said else {}),
    }


def _collector(wanted: DataCollector) -> dict[str, Any]:
    """As the files have it, where whether a collection collects is a word."""
    told = wanted.model_dump(mode="json", exclude_none=True)
    return {**told, "collections": {name: {**each, "enabled": str(each["enabled"]).lower()} for name, each in told["collections"].items()}}


def _cluster(config: AzureMlConfig) -> dict[str, Any]:
    """What a deployment runs on, on a cluster."""
    kind = {"instance_type": config.instance_type} if config.instance_type else {}
    if config.resources is None:
        return kind
    resources = config.resources.model_dump(mode="json", exclude_none=True)
    limits = resources.get("limits") or {}
    if "gpu" in limits:
        limits["nvidia.com/gpu"] = str(limits.pop("gpu"))
    return {**kind, "resources": resources}


def _told(config: AzureMlConfig) -> dict[str, str]:
    """Those variables that are ours; the user's own may be secret, and a repository is no place for them."""
    return {key: value for key, value in config.env.items() if key in AT_START}


def _without_secrets(config: AzureMlConfig) -> AzureMlConfig:
    return config.model_copy(update={"env": _told(config)})


def _needs(facts: ModelFacts, config: AzureMlConfig, named: ExportedNames) -> tuple[str, ...]:
    """What the files can't have: the model's own, and variables, for a repository is no place for secrets."""
    there = (f"the endpoint {named.endpoint} has to be there, with the traffic as it is to be",) if named.shared else ()
    own = [key for key in config.env if key not in AT_START]
    secret = (f"the values of {', '.join(own)} are in no file: they are given to the commands",) if own else ()
    return (f"the files of {facts.uri} have to be in {MODEL_FOLDER}/ beside them", *there, *secret)


def _text(document: Any) -> str:
    """As YAML, in the order in which it was put together."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
