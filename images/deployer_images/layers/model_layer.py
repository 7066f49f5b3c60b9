"""A model in a layer of its own on an image that has all else: what a node pulls where no model is mounted. One is made a model and image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployer.core.state import Digest, Image, PackagedModel, digest_of, short
from deployer.errors import ConfigInvalid
from deployer.oci import Reference, Repository, labels
from deployer_images.layers.archive import Layer
from deployer_images.layers.bases import in_repository
from deployer_images.layers.model_images import model_part
from deployer_images.layers.parts import Part, assembled, move_parts

_USER = "10001:10001"
"""A number: what checks that a container isn't root's can't know a name."""


@dataclass(frozen=True, slots=True)
class ModelLayer:
    """What goes where.

    Attributes:
        origin: the repository that has the image below.
        kept: an image that may hold the model already, so that its files aren't needed.
    """

    image: Image
    model: PackagedModel
    repository: Repository
    origin: Repository
    kept: str = ""

    @property
    def tag(self) -> str:
        return f"model-{short(digest_of([self.image.digest, self.model.digest]))}"

    def find(self) -> str | None:
        """The image's reference by digest, if it is there."""
        digest = self.repository.exists(self.tag)
        return self.repository.reference(digest) if digest else None

    def reference(self) -> str:
        """The image's reference by digest.

        Raises:
            ConfigInvalid: it isn't there.
        """
        found = self.find()
        if found is None:
            raise ConfigInvalid("the image with the model is not in the registry any more", advice="run the same command again")
        return found

    def push(self, sent: Callable[[int, int], None]) -> bool:
        """Put it together and send what the registry lacks; false where it was there. `sent`: bytes of the layers, done and in total.

        Raises:
            ConfigInvalid: the model isn't on this machine, and no image has it. What the registry says.
        """
        if self.find():
            return False
        base = in_repository(self.origin, self.image.digest, self.image.platform)
        said = {"Env": [], "ExposedPorts": {}, "Labels": {labels.MODEL: self.model.digest}, "User": _USER}
        made = assembled(base, [self._part()], said)
        done: dict[Digest, int] = {}

        def upload(part: Part) -> None:
            layer, file = part.layer, part.file()

            def progress(so_far: int) -> None:
                done[layer.digest] = so_far
                sent(sum(done.values()), sum(each.layer.size for each in made.parts if each.layer.digest in done))

            self.repository.upload_blob(layer.digest, layer.size, lambda: file.open("rb"), progress, absent=True)

        move_parts(made.parts, self.repository, upload)
        self.repository.upload(made.image.config)
        self.repository.put_manifest(made.image.manifest, self.tag)
        return True

    def _part(self) -> Part:
        if self.kept and (layer := self._layer_of(Reference.parse(self.kept))):
            return Part("model", layer, lambda: model_part(self.model).file(), self.repository)
        return model_part(self.model)

    def _layer_of(self, kept: Reference) -> Layer | None:
        """The layer of this model in another image of the repository."""
        manifest = self.repository.find_manifest(kept.which) if self.repository.holds(kept) else None
        if manifest is None:
            return None
        config = self.repository.config(manifest)
        if config.labels.get(labels.MODEL) != self.model.digest:
            return None
        top = manifest.layers[-1]
        return Layer(top.digest, Digest(config.document["rootfs"]["diff_ids"][-1]), top.size, 0)
