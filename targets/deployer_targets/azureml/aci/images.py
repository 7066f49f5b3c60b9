"""The image that a container group pulls: the scoring image, and the model in a layer on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.core.state import Digest, Image, PackagedModel, Record
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import images
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig

if TYPE_CHECKING:
    from deployer_images.layers.own_image import OwnImage

MOST_BYTES = 50 * 10**9
"""Of disk that a group has."""


@dataclass(frozen=True, slots=True)
class GroupImage:
    """An image, and the model that is put on it."""

    image: Image
    model: PackagedModel

    @classmethod
    def of(cls, record: Record) -> GroupImage:
        """That of a generation that was made before."""
        digest = Digest(record.image.rpartition("@")[2])
        return cls(Image(record.image, digest), PackagedModel(record.model, None))

    def reference(self, cloud: AzureMlCloud) -> str:
        """By digest.

        Raises:
            ConfigInvalid: it isn't in the registry.
        """
        return self._opened(cloud).reference()

    def push(self, cloud: AzureMlCloud, sent: Callable[[int, int], None]) -> bool:
        """Send what the registry lacks of it; false where it is there."""
        return self._opened(cloud).push(sent)

    def _opened(self, cloud: AzureMlCloud) -> OwnImage:
        from deployer.oci import Reference
        from deployer_images.layers.own_image import OwnImage

        ours, below = images.repository(cloud), Reference.parse(self.image.reference)
        return OwnImage(self.image, self.model, ours, ours if ours.holds(below) else images.opened(cloud, below))


def refuse_too_large(image: Image, model: PackagedModel, cloud: AzureMlCloud) -> None:
    """Return if image and model fit on a group's disk: as far as is known before they are unpacked.

    Raises:
        ConfigInvalid: they don't.
    """
    from deployer.oci import Reference

    if image.planned is not None:
        return
    below = Reference.parse(image.reference)
    manifest = images.opened(cloud, below).find_manifest(below.which)
    files = sum(each.stat().st_size for each in model.path.rglob("*") if each.is_file()) if model.path else 0
    total = files + (sum(layer.size for layer in manifest.layers) if manifest else 0)
    if total > MOST_BYTES:
        raise ConfigInvalid(
            f"image and model have {total / 1e9:.0f} GB, and a container group {MOST_BYTES // 10**9} GB of disk",
            advice="compute managed or aks has more",
        )


def login(image: str, config: AzureMlConfig, cloud: AzureMlCloud) -> dict[str, Any] | None:
    """By what a group pulls an image: an identity, or what docker login keeps; None for a public image.

    Raises:
        ConfigInvalid: it is in a registry of Azure's, and nothing says how.
    """
    from deployer.oci import Reference, configured

    server = Reference.parse(image).registry
    if config.pull_identity:
        return {"server": server, "identity": config.pull_identity}
    if found := configured(server):
        return {"server": server, "username": found.username, "password": found.password}
    if server.endswith(f".{cloud.connection.cloud.registries}") or server == cloud.learnt.get("registry"):
        raise ConfigInvalid(
            f"nothing says by what the container group pulls from {server}",
            advice="-C pull_identity=ID names a user-assigned identity that has AcrPull there; or docker login keeps a user and password for it",
        )
    return None
