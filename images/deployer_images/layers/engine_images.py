"""A model's image in the docker engine of this machine, in no registry: the shared image that the engine has, the model's packages on top."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from deployer.core.state import Image, PackagedModel
from deployer.events import Report
from deployer.oci import labels, model_tag
from deployer_images import cache, engine
from deployer_images.dockerbuild import DockerBuild
from deployer_images.layers.images import labels_on
from deployer_images.layers.planning import chosen_packages, layered, wanted_of
from deployer_images.layers.published import build_both

# ADD unpacks what it adds: a layer, with the owners, modes and times that the archive has.
_DOCKERFILE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"


def planned_here(shared: Image, model: PackagedModel, name: str) -> Image:
    """What `make_here` would make; nothing is fetched but what indexes say.

    Raises:
        NoWheel, ModelInvalid: its packages can't be had that way, and which. TargetUnavailable: no index answers.
    """
    return layered(shared, model, f"{name}:{model_tag(model.facts)}", shared.tag or name)


def make_here(shared: Image, model: PackagedModel, name: str, report: Report) -> Image:
    """Make it, under the tag where targets look for it first. The layer is the one that a registry would get.

    Raises:
        What `planned_here` raises. TargetUnavailable, ExtraMissing: no engine answers. MachineFault: the disk is full.
    """
    wanted, python = wanted_of(model)
    packages = chosen_packages(shared, wanted, python, report)
    built = build_both(packages, wanted, report)
    with closing(engine.connect()) as client, tempfile.TemporaryFile(dir=cache.folder("builds")) as context:
        below = dict(client.images.get(shared.digest).labels)
        _write_context([each.file for each in built], context)
        context.seek(0)
        said = {labels.BASE_NAME: shared.tag, **below, **labels_on(below, packages, compiled=len(built) > 1)}
        builder = DockerBuild(client, name, (model_tag(model.facts),), report)
        return builder.build(context, {"BASE_IMAGE": shared.digest}, said, shared.platform)


def _write_context(layers: Sequence[Path], stream: IO[bytes]) -> None:
    names = [f"{number}.tar.gz" for number in range(len(layers))]
    dockerfile = (_DOCKERFILE + "".join(f"ADD {name} /\n" for name in names)).encode()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile))
        for name, layer in zip(names, layers, strict=True):
            member = tarfile.TarInfo(name)
            member.size = layer.stat().st_size
            with layer.open("rb") as content:
                tar.addfile(member, content)
