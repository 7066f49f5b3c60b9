"""What a deployment's pods run: an image that has all else, and on it a user that is a number, and the model in a layer, or the list of its files.

The image below names no user: it is SageMaker's, too, which expects containers to be root's (its documentation says so of its own inference
code). Any number works, so a platform may give another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deployer.core.container import USER
from deployer.core.state import Digest, Image, PackagedModel, digest_of, short
from deployer.errors import ConfigInvalid
from deployer.oci import Compression, Manifest, Reference, Repository, labels
from deployer_images.layers.archive import Layer
from deployer_images.layers.bases import in_repository
from deployer_images.layers.model_images import files_part, model_part
from deployer_images.layers.parts import Part, assembled, put


@dataclass(frozen=True, slots=True)
class OwnImage:
    """What goes where.

    Attributes:
        model: what is put on it; None where the pods have it from a volume as it is.
        listed: the list of the model's files is put on it instead of them: the pods go by that.
        origin: the repository that has the image below.
        kept: an image in service; it, or the pods' own on it, may hold the model already, so that its files aren't needed.
    """

    image: Image
    model: PackagedModel | None
    repository: Repository
    origin: Repository
    kept: str = ""
    listed: bool = False

    @property
    def tag(self) -> str:
        if self.model is None:
            return f"pods-{short(self.image.digest)}"
        return _tag(self.image.digest, self.model, self.repository.compression, listed=self.listed)

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
            raise ConfigInvalid("the pods' image is not in the registry any more", advice="run the same command again")
        return found

    def push(self, sent: Callable[[int, int], None]) -> bool:
        """Put it together and send what the registry lacks; false where it was there. `sent`: bytes of the layers, done and in total.

        Raises:
            ConfigInvalid: the model isn't on this machine, and no image has it. What the registry says.
        """
        if self.find():
            return False
        base = in_repository(self.origin, self.image.digest, self.image.platform)
        model = {labels.MODEL: self.model.digest} if self.model else {}
        said = {"Env": [], "ExposedPorts": {}, "Labels": {labels.OWN: "files" if self.listed else "true", **model}, "User": f"{USER}:{USER}"}
        made = assembled(base, [self._part(self.model)] if self.model else [], said)
        put(made, self.repository, self.tag, sent)
        return True

    def _part(self, model: PackagedModel) -> Part:
        if self.kept and (layer := self._layer_of(model, Reference.parse(self.kept))):
            return Part("model", layer, lambda: self._made(model, layer.compression).file(), self.repository)
        return self._made(model, self.repository.compression)

    def _made(self, model: PackagedModel, compression: Compression) -> Part:
        return files_part(model) if self.listed else model_part(model, compression)

    def _layer_of(self, model: PackagedModel, kept: Reference) -> Layer | None:
        """The layer of this model, or of the list of its files, in another image of the repository."""
        for manifest in self._holders(model, kept):
            config = self.repository.config(manifest)
            if config.labels.get(labels.MODEL) == model.digest and (config.labels.get(labels.OWN) == "files") is self.listed:
                top = manifest.layers[-1]
                unpacked = Digest(config.document["rootfs"]["diff_ids"][-1])
                return Layer(top.digest, unpacked, top.size, 0, Compression.of(top.media_type) or Compression.GZIP)
        return None

    def _holders(self, model: PackagedModel, kept: Reference) -> Iterator[Manifest]:
        """Images of the repository that may hold it: the one in service, and the pods' own on that."""
        names = [kept.which] if self.repository.holds(kept) else []
        if kept.digest:
            own_first = sorted(Compression, key=lambda each: each is not self.repository.compression)
            names += [_tag(Digest(kept.digest), model, each, listed=self.listed) for each in own_first]
        return filter(None, map(self.repository.find_manifest, names))


def _tag(below: Digest, model: PackagedModel, compression: Compression, *, listed: bool = False) -> str:
    form = [] if compression is Compression.GZIP else [compression]
    return f"{'files' if listed else 'model'}-{short(digest_of([below, model.digest, *form]))}"
