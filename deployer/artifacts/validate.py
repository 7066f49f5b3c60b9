"""Whether a directory is a model that can be served, and what is known of it: errors name the file and the key."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from deployer.artifacts.content import ModelFile, content_digest, files
from deployer.artifacts.kinds import Fault, fault_of
from deployer.artifacts.opened import faults
from deployer.core.requirements import digested, distribution_of, pinned_version, stated_links
from deployer.core.state import ModelFacts
from deployer.errors import ModelInvalid
from deployer_scoring.errors import MLModelError
from deployer_scoring.masking import without_secrets
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import FILE, MLModel, read_mlmodel

_SHOWN = 3


def validate(directory: Path, uri: str = "") -> ModelFacts:
    """Read a model directory and say what it holds, its digest included.

    Args:
        uri: what the user called it; the directory where it's left out.

    Raises:
        ModelInvalid: not a model, or one that can't be served: the file, the key, what is wrong with it and what to do.
        MachineFault: a file can't be read.
    """
    uri = uri or str(directory)
    try:
        _refuse_pointer(uri, directory)
        model = read_mlmodel(directory)
        listed = files(directory)
        _refuse_faults(uri, model, listed)
        needs, build = required.needs(directory), required.build_dependencies(directory)
        python = model.pyfunc.python_version or required.python_version(directory) or ""
    except MLModelError as error:
        raise invalid(uri, directory, error) from error
    requirements = tuple(digested(without_secrets(line), directory) for line in needs.requirements)
    return ModelFacts(
        uri=uri,
        digest=content_digest(listed),
        size=sum(file.size for file in listed),
        framework=framework(model, requirements),
        python_version=python,
        requirements=requirements,
        beside=(
            *(f"--constraint {digested(without_secrets(line), directory)}" for line in needs.constraints),
            *(f"--find-links {folder}" for folder in stated_links(needs.links, directory)),
            *(f"--build {without_secrets(line)}" for line in build),
        ),
        signature=model.signature.to_dict() if model.signature else None,
        run_id=model.run_id or "",
        loader_module=model.pyfunc.loader_module,
    )


def framework(model: MLModel, requirements: tuple[str, ...]) -> str:
    """Name and version of what the model was made with, "sklearn 1.9.1"; the name alone where no version is known.

    The version stands in the framework's flavor ("sklearn_version", "xgb_version"), or else in the requirement that pins it.
    """
    name = model.framework
    if name == "mlflow":
        return f"pyfunc {model.mlflow_version}" if model.mlflow_version else "pyfunc"
    flavor: Mapping[str, Any] = model.flavors.get(name, {})
    stated = [
        value
        for key, value in flavor.items()
        if key.endswith("_version") and key not in {"python_version", "pickle_version"} and isinstance(value, (str, int, float))
    ]
    version = str(next(filter(None, stated), "")) or pinned_version(requirements, distribution_of(name))
    return f"{name} {version}".strip()


def invalid(uri: str, directory: Path, error: MLModelError) -> ModelInvalid:
    """Our error for one of the model format's."""
    advice = error.advice[:1].lower() + error.advice[1:].rstrip(".")
    if not (directory / FILE).exists():
        return ModelInvalid(f"{uri} is not a model: it has no {FILE} file", advice=_nearby(directory) or advice)
    place = f"{error.file}, {error.key}" if error.key else error.file
    return ModelInvalid(f"{uri} can't be served: {place}: {error.message}", advice=advice)


def _refuse_pointer(uri: str, directory: Path) -> None:
    file = directory / FILE
    if file.is_file() and (fault := fault_of(ModelFile(FILE, file, file.stat().st_size))) is not None:
        raise _refusal(uri, [fault])


def _refuse_faults(uri: str, model: MLModel, listed: tuple[ModelFile, ...]) -> None:
    if found := [fault for fault, fatal in faults(model, listed) if fatal]:
        raise _refusal(uri, found)


def _refusal(uri: str, found: list[Fault]) -> ModelInvalid:
    first, *others = found
    more = [f"{each.file} {each.what}" for each in others[:_SHOWN]]
    why = "; ".join([*more, f"and {len(others) - _SHOWN} more files"] if len(others) > _SHOWN else more)
    return ModelInvalid(f"{uri} can't be served: {first.file} {first.what}", why=why, advice=first.advice)


def _nearby(directory: Path) -> str:
    """A hint where the model is one level further down."""
    try:
        below = sorted(path.parent.name for path in islice(directory.glob(f"*/{FILE}"), 100))
    except OSError:
        return ""
    return f"there is one in {', '.join(below[:3])}: name that directory" if below else ""
