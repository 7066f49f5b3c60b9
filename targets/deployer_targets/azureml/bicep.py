"""A deployment as Bicep: the bodies that a create sends, with the workspace, the variables and the traffic as parameters. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.state import Resource
from deployer_targets.azureml import bodies, collected
from deployer_targets.azureml.client import API
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.names import ExportedNames

_PROVIDER = "Microsoft.MachineLearningServices/workspaces"
_TRAFFIC = """\
@description('Percent of the traffic by deployment; {} while the endpoint has none. What is left out here has none any more.')
param traffic object

"""
_PARAMETERS = f"""\
@description('The workspace, in this resource group.')
param workspaceName string

@description('The region of the workspace.')
param location string = resourceGroup().location

{_TRAFFIC}@description('Variables of the container.')
@secure()
param environmentVariables object = {{}}
"""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands for itself in Bicep, and isn't text."""

    text: str


def document(named: ExportedNames, model: str, image: str, config: AzureMlConfig) -> str:
    """The file. The model's version is there already: Bicep sends no files.

    Args:
        model: the model's version.
        config: its variables are in the file as they are.
    """
    location = Expression("location")
    compute = f"resourceId('{_PROVIDER}/computes', workspaceName, {written(config.compute_target)})" if config.compute == "aks" else ""
    endpoint = bodies.endpoint("", config, config.tags, compute)
    endpoint["location"] = location
    endpoint["properties"]["traffic"] = Expression("traffic")
    if compute:
        endpoint["properties"]["compute"] = Expression(compute)
    assets = {f"data{number}": each for number, each in enumerate(collected.resources(named.endpoint, named.deployment, config))}
    ids = {collected.collection_of(named.endpoint, named.deployment, each): Expression(f"{symbol}Version.id") for symbol, each in assets.items()}
    deployment = collected.with_ids(bodies.deployment("", "", "", config, {}), ids)
    own = written(dict(config.env)) if config.env else ""
    variables = f"union(environmentVariables, {own})" if own else "environmentVariables"
    deployment["location"] = location
    deployment["properties"] |= {
        "model": Expression("modelVersion.id"),
        "environmentId": Expression("environmentVersion.id"),
        "environmentVariables": Expression(variables),
    }
    if named.shared:
        deployment["tags"] = dict(config.tags)
    own_endpoint = {"parent": Expression("workspace"), "name": named.endpoint, **({} if named.shared else endpoint)}
    return "\n".join(
        (
            _PARAMETERS.replace(_TRAFFIC, "") if named.shared else _PARAMETERS,
            _existing("workspace", "", {"name": Expression("workspaceName")}),
            _existing("model", "/models", {"parent": Expression("workspace"), "name": named.asset}),
            _existing("modelVersion", "/models/versions", {"parent": Expression("model"), "name": model}),
            _resource("environment", "/environments", {"parent": Expression("workspace"), "name": named.asset, "properties": {}}),
            _resource(
                "environmentVersion",
                "/environments/versions",
                {"parent": Expression("environment"), "name": bodies.environment_version(image), "properties": bodies.environment(image)},
            ),
            *(_data(symbol, named, each) for symbol, each in assets.items()),
            (_existing if named.shared else _resource)("endpoint", "/onlineEndpoints", own_endpoint),
            _resource("deployment", "/onlineEndpoints/deployments", {"parent": Expression("endpoint"), "name": named.deployment, **deployment}),
            "output scoringUri string = endpoint.properties.scoringUri\n",
        )
    )


def written(value: Any, depth: int = 0) -> str:
    """A value as Bicep writes it. It has no numbers but whole ones."""
    match value:
        case Expression(text):
            return text
        case str():
            return f"'{_escaped(value)}'"
        case float():
            return f"json('{value!r}')"
        case Mapping():
            return _block("{}", [f"{_key(key)}: {written(each, depth + 1)}" for key, each in value.items()], depth)
        case list() | tuple():
            return _block("[]", [written(each, depth + 1) for each in value], depth)
        case _:
            return json.dumps(value)


def _block(brackets: str, lines: Iterable[str], depth: int) -> str:
    inner = "".join("  " * (depth + 1) + each + "\n" for each in lines)
    return f"{brackets[0]}\n{inner}{'  ' * depth}{brackets[1]}" if inner else brackets


def _data(symbol: str, named: ExportedNames, asset: Resource) -> str:
    """What a collection is registered as."""
    name, _, version = asset.name.rpartition(":")
    told = collected.properties_of(named.endpoint, named.deployment, asset)
    container = {"parent": Expression("workspace"), "name": name, "properties": {"dataType": told["dataType"]}}
    below = {"parent": Expression(symbol), "name": version, "properties": told}
    return _resource(symbol, "/data", container) + "\n" + _resource(f"{symbol}Version", "/data/versions", below)


def _existing(symbol: str, kind: str, body: Mapping[str, Any]) -> str:
    return f"resource {symbol} '{_PROVIDER}{kind}@{API}' existing = {written(body)}\n"


def _resource(symbol: str, kind: str, body: Mapping[str, Any]) -> str:
    return f"resource {symbol} '{_PROVIDER}{kind}@{API}' = {written(body)}\n"


def _key(text: str) -> str:
    return text if _IDENTIFIER.fullmatch(text) else f"'{_escaped(text)}'"


def _escaped(text: str) -> str:
    signs = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(signs.get(each, each) for each in text).replace("${", "\\${")
