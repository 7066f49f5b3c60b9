"""`deploy models generate-dockerfile`: the context of a build that another machine runs, by docker or podman, for one model."""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from deployer.artifacts import files
from deployer.core.accelerators import Accelerator
from deployer.core.requirements import minor_of
from deployer.core.state import PackagedModel
from deployer.errors import ConfigInvalid
from deployer.events import Report, stepping
from deployer.oci import labels
from deployer_images import cuda, scoring
from deployer_images.builds import builds_for, noticed
from deployer_images.context import context
from deployer_images.faults import written
from deployer_images.layers.package_set import runtime_packages
from deployer_images.layers.planning import wanted_of
from deployer_images.layers.wheels import NoWheel
from deployer_images.locks import Lock, locked
from deployer_images.wanted import Wanted

_MODEL = """
# The model itself: nothing is mounted.
COPY model/ /opt/ml/model/
"""


def generate(
    model: PackagedModel, directory: Path, *, base_image: str | None, platform: str, report: Report, accelerator: Accelerator | None = None
) -> None:
    """Write Dockerfile, packages, runtime and model into a directory, whole or not at all.

    Args:
        directory: made where it is absent.
        accelerator: what it will run on, where that is known: the packages are built for that.

    Raises:
        ConfigInvalid: something is there. NoWheel: a package has none, and nothing is built on this machine. ModelInvalid, TargetUnavailable: one
            can't be had. MachineFault: it can't be written.
    """
    asked, python = wanted_of(model)
    with stepping(report, "write_context", "Dockerfile", str(directory)) as outcome, written(directory):
        if directory.exists() and any(directory.iterdir()):
            raise ConfigInvalid(f"{directory} is not empty", advice="name another directory: -d DIR")
        wanted = noticed(builds_for(asked, python, platform, accelerator), report)
        _check_wheels(wanted, python, platform)
        lock = locked(wanted, python, platform=platform, build=False)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unfinished-") as name,
            context(lock, wanted) as archive,
            tarfile.open(fileobj=archive) as tar,
        ):
            tar.extractall(name, filter="data")
            unfinished = Path(name)
            _copy(model, unfinished / "model")
            file = unfinished / "Dockerfile"
            file.write_text(_text(file.read_text(), model, lock, base_image or f"python:{minor_of(python)}-slim"))
            directory.mkdir(exist_ok=True)
            for part in unfinished.iterdir():
                part.rename(directory / part.name)
        outcome.detail = f"{len(lock.packages)} packages of the model's, {len(lock.runtime)} of the runtime's"


def _check_wheels(wanted: Wanted, python: str, platform: str) -> None:
    try:
        runtime_packages(wanted, python, platform)
    except NoWheel as refusal:
        refusal.advice = "have an index give a wheel of it, or name a version that has one; deploy models build-docker builds it by a docker engine"
        raise


def _copy(model: PackagedModel, directory: Path) -> None:
    assert model.path is not None
    for each in files(model.path):
        target = directory / each.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(each.source, target)
        target.chmod(0o755 if each.executable else 0o644)


def _text(dockerfile: str, model: PackagedModel, lock: Lock, base_image: str) -> str:
    """The scoring image's Dockerfile with this base and Python, the labels that the image would have, and the model."""
    text = re.sub(r"(?m)^ARG BASE_IMAGE=.*$", f"ARG BASE_IMAGE={base_image}", dockerfile)
    text = re.sub(r"(?m)^ARG PYTHON=.*$", f"ARG PYTHON={lock.python}", text)
    said = {labels.RUNTIME: scoring.VERSION, labels.PYTHON: lock.python, labels.PACKAGES: labels.packages_label(lock.all), labels.MODEL: model.digest}
    said |= cuda.label(lock.all)
    return text.rstrip() + "\n" + "".join(f"LABEL {name}={_quoted(value)}\n" for name, value in said.items()) + _MODEL


def _quoted(value: str) -> str:
    """As a Dockerfile has it, in which `$` begins a variable even so."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'
