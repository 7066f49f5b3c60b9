"""A model's image in the docker engine of this machine, in no registry: the shared image that the engine has, the model's packages on top."""

from __future__ import annotations

from deployer.core.accelerators import Accelerator
from deployer.core.state import Image, PackagedModel
from deployer.events import Report
from deployer.oci import model_tag
from deployer_images.builds import builds_for
from deployer_images.layers.built_inside import chosen_packages
from deployer_images.layers.on_engine import put_on_engine
from deployer_images.layers.planning import layered, wanted_of

PLACE = Accelerator("a container on this machine", gpu=False)
"""What such an image runs on: docker is not asked for GPUs."""


def planned_here(shared: Image, model: PackagedModel, name: str, *, trimmed: bool = True) -> Image:
    """What `make_here` would make; nothing is fetched but what indexes say.

    Raises:
        NoWheel, ModelInvalid: its packages can't be had that way, and which. TargetUnavailable: no index answers.
    """
    return layered(shared, model, f"{name}:{model_tag(model.facts, trimmed=trimmed)}", shared.tag or name, accelerator=PLACE, trimmed=trimmed)


def make_here(shared: Image, model: PackagedModel, name: str, report: Report, *, trimmed: bool = True) -> Image:
    """Make it, under the tag where targets look for it first. The layer is the one that a registry would get.

    Raises:
        What `planned_here` raises. TargetUnavailable, ExtraMissing: no engine answers. MachineFault: the disk is full.
    """
    wanted, python = wanted_of(model)
    wanted = builds_for(wanted, python, shared.platform, PLACE).wanted
    packages = chosen_packages(shared, wanted, python, report, trimmed=trimmed, accelerator=PLACE)
    return put_on_engine(shared, packages, wanted, report, name=name, tags=(model_tag(model.facts, trimmed=trimmed),))
