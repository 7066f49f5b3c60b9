"""The data assets that collected requests and answers are registered as, under the names that Azure ML's own SDK gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import Resource
from deployer_targets.azureml import names
from deployer_targets.azureml.assets import asset_path
from deployer_targets.azureml.blobs import DATASTORE
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig

_FOLDER = f"azureml://datastores/{DATASTORE}/paths/modelDataCollector"
_VERSION = "1"


def resources(at: str, called: str, config: AzureMlConfig) -> tuple[Resource, ...]:
    """One for each collection of a deployment that names no data asset of its own."""
    wanted = config.data_collector.collections if config.data_collector else {}
    return tuple(Resource(names.DATA_ASSET, f"{at}-{called}-{name}:{_VERSION}") for name, each in wanted.items() if each.data is None)


def collection_of(at: str, called: str, asset: Resource) -> str:
    """The collection that one of these is of."""
    return asset.name.removeprefix(f"{at}-{called}-").rpartition(":")[0]


def properties_of(at: str, called: str, asset: Resource) -> dict[str, Any]:
    """What it is registered with: the folder that Azure fills once something is asked of the deployment."""
    return {"dataType": "uri_folder", "dataUri": f"{_FOLDER}/{at}/{called}/{collection_of(at, called, asset)}"}


def with_ids(body: Mapping[str, Any], ids: Mapping[str, object]) -> dict[str, Any]:
    """The body of a deployment, with the ids of data assets, by collection."""
    if not ids:
        return dict(body)
    properties = body["properties"]
    collector = properties["dataCollector"]
    told = {name: {**each, **({"dataId": ids[name]} if name in ids else {})} for name, each in collector["collections"].items()}
    return {**body, "properties": {**properties, "dataCollector": {**collector, "collections": told}}}


def registering(at: str, called: str, these: Iterable[Resource]) -> tuple[Step[AzureMlCloud], ...]:
    """The steps to those of a generation that there are."""
    return tuple(RegisterCollected(at, called, each) for each in these if each.kind == names.DATA_ASSET)


@dataclass(frozen=True, slots=True)
class RegisterCollected(Step[AzureMlCloud]):
    """One of them; one that was archived is taken out again."""

    at: str
    called: str
    makes: Resource
    effect = Effect.CREATE

    def describe(self) -> str:
        return f"data asset {self.makes.name}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        path = asset_path(self.makes)
        found = cloud.find(path)
        if found is not None and not found["properties"].get("isArchived"):
            return False
        cloud.change("PUT", path, {"properties": {**properties_of(self.at, self.called, self.makes), "isArchived": False}})
        return True
