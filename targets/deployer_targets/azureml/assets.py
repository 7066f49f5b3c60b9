"""What a deployment stands on: the model's files in the store, and a model and an environment that are registered. Azure removes neither of these."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import ensure
from deployer.core.state import DeploymentName, Digest, Resource, short
from deployer.errors import ModelInvalid, Refused
from deployer_targets.azureml import bodies, names, upload
from deployer_targets.azureml.blobs import DATASTORE
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.faults import Absent

_CREATED = 201
_READ_ONLY = ("provisioningState", "environmentType", "flavors")


@dataclass(frozen=True, slots=True)
class UploadModel(Step[AzureMlCloud]):
    """The model's files: not sent again where they are there by their digest."""

    name: DeploymentName
    model: Digest
    path: Path | None
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.DATA, short(self.model))

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if upload.is_there(cloud, self.name, self.model):
            return False
        if self.path is None:
            raise ModelInvalid(
                f"the files of model {self.model[:17]} are not in the workspace's store any more",
                advice="name the model, so that it is sent again: -m MODEL",
            )
        cloud.check()
        upload.send(cloud, self.name, self.model, self.path, progress.moved)
        return True


@dataclass(frozen=True, slots=True)
class RegisterAsset(Step[AzureMlCloud]):
    """A version of a model or an environment, named by the digest of its content. One that was archived is taken out again.

    Attributes:
        kind: names.MODEL or names.ENVIRONMENT.
        asset: what it is called.
        model: of a model: its digest, whose files are in the store.
        image: of an environment.
        known: whether a record names it, so that it may be there.
    """

    name: DeploymentName
    kind: str
    asset: str
    version: str
    model: Digest | None = None
    image: str = ""
    known: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(self.kind, f"{self.asset}:{self.version}")

    def describe(self) -> str:
        return f"{self.kind} {self.asset}:{self.version}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        """Azure lets a version be put again as it is, so what nobody has a record of is put without a look."""
        path = asset_path(self.makes)
        if (self.known or ("registered", path) in cloud.learnt) and self._agrees(cloud.find(path)):
            return False
        cloud.learnt["registered", path] = True
        return self._put(path, cloud)

    def _put(self, path: str, cloud: AzureMlCloud) -> bool:
        """Whether it wasn't there before, as far as the answer tells."""
        made = False

        def send() -> None:
            nonlocal made
            answer = cloud.change("PUT", path, {"properties": self._properties(cloud)})
            made = answer.status == _CREATED and self._agrees(answer.document)

        ensure(send, lambda: self._agrees(cloud.find(path)))
        return made

    def _properties(self, cloud: AzureMlCloud) -> dict[str, Any]:
        common = {"tags": {names.TAG_DEPLOYMENT: self.name}, "isArchived": False}
        if self.model is None:
            return {**bodies.environment(self.image), **common}
        folder = cloud.shelf(self.name).data(self.model).rstrip("/")
        return {"modelUri": f"{cloud.workspace.uri}/datastores/{DATASTORE}/paths/{folder}", "modelType": "custom_model", **common}

    def _agrees(self, found: Mapping[str, Any] | None) -> bool:
        if found is None or found["properties"].get("isArchived"):
            return False
        if self.image and found["properties"].get("image") != self.image:
            raise Refused(f"{self.describe()} is there, but it is another one", advice="somebody else made it: choose another name")
        return True


def asset_path(resource: Resource) -> str:
    """Where a version of an asset is, below its workspace."""
    called, _, version = resource.name.rpartition(":")
    return f"{_folder(resource.kind)}/{called}/versions/{version}"


def _folder(kind: str) -> str:
    return "data" if kind == names.DATA_ASSET else f"{kind}s"


def archive(kind: str, these: Collection[str], cloud: AzureMlCloud, *, others: bool = False) -> None:
    """Put versions away, "NAME:VERSION": Azure keeps them, out of its lists, for who looks back. One that was never registered is no matter.

    Args:
        others: all versions of these names, such as one that an overtaken run registered once its record was gone.
    """
    for name in sorted({each.rpartition(":")[0] for each in these}):
        for version in _versions(kind, name, cloud):
            asset = Resource(kind, f"{name}:{version['name']}")
            if others or asset.name in these:
                kept = {key: value for key, value in version["properties"].items() if key not in _READ_ONLY}
                cloud.change("PUT", asset_path(asset), {"properties": {**kept, "isArchived": True}})


def _versions(kind: str, name: str, cloud: AzureMlCloud) -> list[dict[str, Any]]:
    """Those of a model or an environment that aren't archived."""
    try:
        return list(cloud.pages(f"{_folder(kind)}/{name}/versions"))
    except Absent:
        return []
