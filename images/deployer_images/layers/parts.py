"""An image that is put together on this machine: its config, and its layers with the places that their bytes are in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.core.state import Digest
from deployer.events import Report
from deployer.oci import Descriptor, Repository
from deployer_images.layers.archive import Layer
from deployer_images.layers.bases import BaseImage, BaseLayer
from deployer_images.layers.composing import Composed, compose
from deployer_images.layers.published import send

_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One layer.

    Attributes:
        what: "runtime"; for people, and for the image's history.
        file: gives its file, which may have to be fetched first.
        origin: a repository that has it; its registry may have it taken over.
    """

    what: str
    layer: Layer
    file: Callable[[], Path]
    origin: Repository | None = None


@dataclass(frozen=True, slots=True)
class Assembled:
    """A whole image, not sent anywhere yet."""

    image: Composed
    parts: tuple[Part, ...]


def assembled(base: BaseImage, own: Sequence[Part], settings: Mapping[str, Any]) -> Assembled:
    """A base with our parts on top, and these settings in its config."""
    below = [Descriptor(each.compression.media_type, each.digest, each.size) for each in base.layers]
    image = compose(base.config, below, [(part.layer, part.what) for part in own], settings)
    return Assembled(image, (*_of_base(base), *own))


def send_parts(parts: Iterable[Part], repository: Repository, report: Report) -> None:
    """Have all layers where the image will be, each sent as a step of its own."""
    move_parts(parts, repository, lambda part: send(part.layer, part.file(), repository, report, part.what, absent=True))


def move_parts(parts: Iterable[Part], repository: Repository, upload: Callable[[Part], object]) -> None:
    """Have all layers where the image will be: taken over where they are there or in the same registry, else by `upload`."""

    def moved(part: Part) -> None:
        origin = part.origin if part.origin is not None and part.origin.registry == repository.registry else None
        if (origin and origin.name == repository.name) or repository.has_blob(part.layer.digest):
            return
        if origin and repository.mount(part.layer.digest, origin.name):
            return
        upload(part)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(moved, part) for part in parts]:
            done.result()


def put(made: Assembled, repository: Repository, tag: str, sent: Callable[[int, int], None]) -> None:
    """Have the whole image there under a tag. `sent`: bytes of the layers that the registry lacked, done and in total."""
    done: dict[Digest, int] = {}

    def upload(part: Part) -> None:
        layer, file = part.layer, part.file()

        def progress(so_far: int) -> None:
            done[layer.digest] = so_far
            sent(sum(done.values()), sum(each.layer.size for each in made.parts if each.layer.digest in done))

        repository.upload_blob(layer.digest, layer.size, lambda: file.open("rb"), progress, absent=True)

    move_parts(made.parts, repository, upload)
    repository.upload(made.image.config)
    repository.put_manifest(made.image.manifest, tag)


def _of_base(base: BaseImage) -> tuple[Part, ...]:
    def part(each: BaseLayer) -> Part:
        layer = Layer(each.digest, each.diff_id, each.size, 0, each.compression)
        return Part(f"base layer {each.digest.removeprefix('sha256:')[:10]}", layer, each.file, base.origin)

    return tuple(map(part, base.layers))
