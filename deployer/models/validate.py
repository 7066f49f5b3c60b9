"""Whether a directory is a model that can be served, and what is known of it: errors name the file and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deployer.errors import ModelInvalid
from deployer.models.content import content_digest, files
from deployer.requirements import distribution_of, pinned_version, without_credentials
from deployer.state import ModelFacts
from deployer_scoring.errors import MLModelError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import FILE, MLModel, read_mlmodel


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
        model = read_mlmodel(directory)
        needs = required.requirements(directory)
        python = model.pyfunc.python_version or required.python_version(directory) or ""
        _look_for_requirements(directory, model)
    except MLModelError as error:
        raise invalid(uri, directory, error) from error
    listed = files(directory)
    return ModelFacts(
        uri=uri,
        digest=content_digest(listed),
        size=sum(file.size for file in listed),
        framework=framework(model, needs),
        python_version=python,
        requirements=tuple(without_credentials(line) for line in needs),
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
    stated = [value for key, value in flavor.items() if key.endswith("_version") and key not in {"python_version", "pickle_version"} and value]
    version = str(next(iter(stated), "")) or pinned_version(requirements, distribution_of(name))
    return f"{name} {version}".strip()


def invalid(uri: str, directory: Path, error: MLModelError) -> ModelInvalid:
    """Our error for one of the model format's."""
    advice = error.advice[:1].lower() + error.advice[1:].rstrip(".")
    if not (directory / FILE).exists():
        return ModelInvalid(f"{uri} is not a model: it has no {FILE} file", advice=_nearby(directory) or advice)
    place = f"{error.file}, {error.key}" if error.key else error.file
    return ModelInvalid(f"{uri} can't be served: {place}: {error.message}", advice=advice)


def _nearby(directory: Path) -> str:
    """A hint where the model is one level further down."""
    try:
        below = sorted(path.parent.name for path in directory.glob(f"*/{FILE}"))
    except OSError:
        return ""
    return f"there is one in {', '.join(below[:3])}: name that directory" if below else ""


def _look_for_requirements(directory: Path, model: MLModel) -> None:
    """Refuse an environment that leads to a requirements file which isn't there, where no other file lists what the model needs."""
    name = model.pyfunc.environments.get("virtualenv")
    if name is None or (directory / required.REQUIREMENTS).exists() or (directory / required.CONDA).exists():
        return
    document = yaml.safe_load((directory / name).read_text(encoding="utf-8"))
    listed = document.get("dependencies") if isinstance(document, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if (match := re.match(r"^\s*(?:-r|--requirement)[\s=]+(\S+)", str(each))) and not (directory / match[1]).exists():
            raise MLModelError(
                name, "dependencies", f"the file {match[1]} is not in the model's directory", "Save the model again, or write the file."
            )
