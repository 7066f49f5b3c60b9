"""A model's files as an image of their own, with nothing to run: a platform mounts it into a container that has all else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployer.core.state import PackagedModel, digest_of, short
from deployer.errors import ConfigInvalid
from deployer.oci import Repository, labels
from deployer_images.layers.composing import compose
from deployer_images.layers.model_images import model_part
from deployer_images.layers.parts import Assembled, put


@dataclass(frozen=True, slots=True)
class VolumeImage:
    """The files at its root, in one layer.

    Attributes:
        platform: of the nodes that mount it: they pull no image of another.
    """

    model: PackagedModel
    repository: Repository
    platform: str

    @property
    def tag(self) -> str:
        return f"volume-{short(digest_of([self.model.digest, self.platform, self.repository.compression]))}"

    def reference(self) -> str:
        """The image's reference by digest.

        Raises:
            ConfigInvalid: it isn't there.
        """
        digest = self.repository.exists(self.tag)
        if digest is None:
            raise ConfigInvalid("the model's image is not in the registry any more", advice="run the same command again")
        return self.repository.reference(digest)

    def push(self, sent: Callable[[int, int], None]) -> bool:
        """Put it together and send what the registry lacks; false where it was there. `sent`: bytes, done and in total.

        Raises:
            ConfigInvalid: the model isn't on this machine. What the registry says.
        """
        if self.repository.exists(self.tag):
            return False
        part = model_part(self.model, self.repository.compression, place="")
        system, architecture, *variant = self.platform.split("/")
        where = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        said = {"Env": [], "ExposedPorts": {}, "Labels": {labels.MODEL: self.model.digest}}
        image = compose({**where, "rootfs": {"type": "layers", "diff_ids": []}}, [], [(part.layer, part.what)], said)
        put(Assembled(image, (part,)), self.repository, self.tag, sent)
        return True
