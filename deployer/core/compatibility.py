"""Does the image fit the model? Its label lists what is installed; the model pins what it needs.

MLflow pins every requirement with `==`, mlflow itself included, and a saved model rarely needs just these versions: what breaks it is
another minor of Python (code objects in pickles), another major of numpy or pandas (arrays and frames in pickles), another minor of its
own framework (estimators in pickles), or a package that is absent. `compatible` refuses these and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from deployer.core.accelerators import Accelerator, misfits
from deployer.core.requirements import MLFLOW, Need, distribution_of, environment, lock_digest, minor_of, need, version
from deployer.core.state import Image, ModelFacts, short
from deployer.errors import ConfigInvalid

__all__ = ["MODES", "Fit", "PackageRow", "fit", "left_out", "lock_digest", "makes", "trims"]

MODES = ("auto", "untrimmed", "compatible", "exact", "image", "at-start")

_SAME_MAJOR = frozenset({"numpy", "pandas"})


@dataclass(frozen=True, slots=True)
class PackageRow:
    """One package: what the model asks for, what the image has, and whether that will do."""

    package: str
    wanted: str
    found: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict, package by package. `advice` is the command that builds the image that fits."""

    rows: tuple[PackageRow, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    summary: str = ""
    advice: str = ""

    @property
    def fits(self) -> bool:
        return not self.reasons


def fit(model: ModelFacts, image: Image, mode: str, accelerator: Accelerator | None = None) -> Fit:
    """Hold the model's requirements against the image's packages.

    Names are compared in PEP 503's normal form, markers evaluated for the image's Python and platform. A range, unlike a pin, was meant
    by somebody: numpy, pandas and the framework have to lie in theirs. An image without a list of packages can't be checked: a warning.

    Args:
        mode: "compatible": same minor of Python, same major of numpy and pandas, same minor of the model's own framework, the rest by name
            (mlflow only where the loader module is one of mlflow's and the model can't do without; mlflow-skinny will do);
            "auto": the same; where no image fits, its packages are still to be made; "untrimmed": as "auto", and nothing is left
            out of them; "exact": every pin as it stands; "image": no check; "at-start": uv installs in the container, nothing to check but
            Python's minor.
        accelerator: what it will run on, where that is known: nothing that leaves a GPU unused fits there without a word.

    Raises:
        ConfigInvalid: another mode.
    """
    if mode not in MODES:
        raise ConfigInvalid(f"{mode} is not where a model's packages may come from", advice=f"use one of {', '.join(MODES)}")
    if mode == "image":
        return Fit(summary=f"{_called(image)} is taken as it is: its packages are not checked")
    python, reasons = _python(model, image)
    if mode == "at-start":
        return _verdict(model, image, python, reasons, [], summary="the model's packages are installed when the container starts")
    if image.packages is None:
        warning = image.unlisted or f"{_called(image)} does not list its packages, so nobody has checked that it has what the model needs"
        return _verdict(model, image, python, reasons, [warning], summary=warning)
    if image.trimmed and not trims(mode):
        reasons.append(f"{_called(image)} lacks what no import needs of its packages: tests, headers, static libraries")
    packages: dict[str, str] = {canonicalize_name(name): found for name, found in image.packages.items()}
    needs = list(_needs(model, image))
    judged = [_exact(each, packages) if mode == "exact" else _compatible(each, packages, model) for each in needs]
    apart, doubtful = misfits(packages, needs, accelerator) if accelerator else ([], [])
    rows = [row for row, _, _ in judged]
    return _verdict(
        model,
        image,
        [*python, *rows],
        [*reasons, *(reason for _, reason, _ in judged if reason), *apart],
        [*(image.planned.warnings if image.planned else ()), *doubtful, *(warning for _, _, warning in judged if warning)],
        summary=f"{_called(image)} has what the model needs ({len(rows)} {'package' if len(rows) == 1 else 'packages'})",
    )


def makes(mode: str) -> bool:
    """Whether a model's packages are made for it where no image has them."""
    return mode in ("auto", "untrimmed")


def trims(mode: str) -> bool:
    """Whether what no import needs may be left out of them."""
    return mode != "untrimmed"


def left_out(model: ModelFacts, mode: str) -> frozenset[str]:
    """What of a model's requirements isn't made for it: where they are made mlflow, where it can do without, which most of an environment is for."""
    return MLFLOW if makes(mode) and not model.needs_mlflow else frozenset()


Judged = tuple[PackageRow, str, str]
"""A row, the reason where it's a misfit, a warning where there is one."""


def _needs(model: ModelFacts, image: Image) -> Iterator[Need]:
    """The requirements that apply in the image, one a name, and the framework itself where the model forgot to list it."""
    python = image.python_version or model.python_version
    where = environment(python, image.platform) if minor_of(python) else None
    needs = [each for line in model.requirements if (each := need(line)) and (where is None or each.applies(where))]
    name, _, made_with = model.framework.partition(" ")
    own = distribution_of(name)
    if needs and made_with and name != "pyfunc" and model.loader_module.startswith("mlflow.") and own not in {each.name for each in needs}:
        needs.append(need(f"{own}=={made_with}" if version(made_with) else own))
    seen = set[tuple[str, str]]()
    for each in needs:
        if (each.name, str(each.specifier)) not in seen:
            seen.add((each.name, str(each.specifier)))
            yield each


def _compatible(need: Need, packages: Mapping[str, str], model: ModelFacts) -> Judged:
    found = _found(need, packages)
    row = PackageRow(need.name or need.line, _wanted(need), found, fits=True)
    if not need.name:
        return row, "", f"{need.line} does not say which package it is, so it was not checked"
    if not found:
        if need.name in MLFLOW and not (model.needs_mlflow and model.loader_module.startswith("mlflow.")):
            other = f"{need.name} is not in the image; the model's loader {model.loader_module} is not mlflow's, so it should load without"
            return row, "", other if model.needs_mlflow else ""
        return _misfit(row, f"{need.name} is not in the image")
    if need.name in _SAME_MAJOR:
        return _within(row, need, parts=1)
    if need.name == distribution_of(model.framework.partition(" ")[0]):
        return _within(row, need, parts=2)
    outside = not need.pinned and not _satisfied(need, found)
    return row, "", f"the model asks for {need.line}, the image has {found}" if outside else ""


def _within(row: PackageRow, need: Need, parts: int) -> Judged:
    """The same major (1 part) or minor (2 parts) as the pin, or a version in the range."""
    pinned, there = need.pinned, version(row.found)
    if pinned is None or there is None:
        return (row, "", "") if _satisfied(need, row.found) else _misfit(row, f"{need.name} is {row.found}, the model asks for {need.specifier}")
    if _release(pinned.release, parts) == _release(there.release, parts):
        return row, "", ""
    what = "major" if parts == 1 else "minor"
    return _misfit(row, f"{need.name} is {row.found}, the model needs the same {what} version as {pinned}")


def _exact(need: Need, packages: Mapping[str, str]) -> Judged:
    found = _found(need, packages, exact=True)
    row = PackageRow(need.name or need.line, _wanted(need), found, fits=True)
    if not need.name:
        return row, "", f"{need.line} does not say which package it is, so it was not checked"
    if not found:
        return _misfit(row, f"{need.name} is not in the image")
    if need.url:
        return row, "", f"{need.name} comes from an address: whether the image's {found} is that one can't be seen"
    return (row, "", "") if _satisfied(need, found) else _misfit(row, f"{need.name} is {found}, the model pins {need.specifier}")


def _python(model: ModelFacts, image: Image) -> tuple[list[PackageRow], list[str]]:
    wanted, found = minor_of(model.python_version), minor_of(image.python_version)
    if not wanted or not found:
        return [], []
    row = PackageRow("python", wanted, image.python_version, fits=wanted == found)
    return [row], [] if row.fits else [f"the model was saved by Python {wanted}, the image has {found}"]


def _verdict(model: ModelFacts, image: Image, rows: list[PackageRow], reasons: list[str], warnings: list[str], *, summary: str) -> Fit:
    if not reasons:
        return Fit(tuple(rows), (), tuple(warnings), summary)
    return Fit(
        tuple(rows),
        tuple(reasons),
        tuple(warnings),
        f"{_called(image)} does not have what the model needs",
        f"deploy build-and-push-container --for {model.uri} builds an image that does; "
        "--packages at-start installs it all when the container starts; --packages image deploys with this one all the same",
    )


def _misfit(row: PackageRow, reason: str) -> Judged:
    return PackageRow(row.package, row.wanted, row.found, fits=False), reason, ""


def _found(need: Need, packages: Mapping[str, str], *, exact: bool = False) -> str:
    if need.name in MLFLOW and not exact:
        return next((packages[name] for name in (need.name, "mlflow", "mlflow-skinny") if name in packages), "")
    return packages.get(need.name, "")


def _satisfied(need: Need, found: str) -> bool:
    there = version(found)
    return there is None or need.specifier.contains(there, prereleases=True)


def _wanted(need: Need) -> str:
    """What a reader looks for: the version of a pin, the range, or the address."""
    return str(need.pinned or need.specifier) or (need.line if need.url else "any")


def _release(release: tuple[int, ...], parts: int) -> tuple[int, ...]:
    return (*release, 0, 0)[:parts]


def _called(image: Image) -> str:
    """The image as users know it: repository and tag rather than the digest."""
    if image.planned:
        return str(image.planned)
    repository = image.reference.partition("@")[0].rpartition("/")[2]
    return f"the image {repository}:{image.tag}" if image.tag and ":" not in repository else f"the image {repository or short(image.digest)}"
