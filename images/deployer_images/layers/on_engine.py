"""Layers of packages on top of an image in a docker engine's own store."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from deployer.core.state import Image
from deployer.events import Report
from deployer.oci import labels
from deployer_images import cache, cuda, engine
from deployer_images.dockerbuild import DockerBuild
from deployer_images.layers.images import labels_on
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.published import build_both
from deployer_images.wanted import Wanted

# ADD unpacks what it adds: a layer, with the owners, modes and times that the archive has.
_DOCKERFILE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"


def put_on_engine(
    shared: Image, packages: PackageSet, wanted: Wanted, report: Report, *, name: str, tags: tuple[str, ...], said: Mapping[str, str] | None = None
) -> Image:
    """An image of the engine's with these packages on top; the layers are those that a registry would get.

    Args:
        shared: the image below, which the engine has.
        said: labels beside those that follow from what it is made of.

    Raises:
        TargetUnavailable, ExtraMissing: no engine answers. MachineFault: the disk is full. What `build_both` raises.
    """
    built = build_both(packages, wanted, report)
    with closing(engine.connect()) as client, tempfile.TemporaryFile(dir=cache.folder("builds")) as context:
        below = dict(client.images.get(shared.digest).labels)
        _write_context([each.file for each in built], cuda.variables(packages.lines), context)
        context.seek(0)
        labelled = {labels.BASE_NAME: shared.tag, **below, **labels_on(below, packages, compiled=len(built) > 1), **(said or {})}
        builder = DockerBuild(client, name, tags, report)
        return builder.build(context, {"BASE_IMAGE": shared.digest}, labelled, shared.platform)


def _write_context(layers: Sequence[Path], variables: Sequence[str], stream: IO[bytes]) -> None:
    names = [f"{number}.tar.gz" for number in range(len(layers))]
    text = _DOCKERFILE + "".join((*(f"ADD {name} /\n" for name in names), *(f"ENV {each}\n" for each in variables)))
    dockerfile = text.encode()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile))
        for name, layer in zip(names, layers, strict=True):
            member = tarfile.TarInfo(name)
            member.size = layer.stat().st_size
            with layer.open("rb") as content:
                tar.addfile(member, content)
