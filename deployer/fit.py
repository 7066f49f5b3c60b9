"""Does the image fit the model? Its label lists what is installed; the model pins what it needs."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.state import Image, ModelFacts


@dataclass(frozen=True, slots=True)
class Row:
    """One package: what the model asks for, what the image has, and whether that will do."""

    package: str
    wanted: str
    found: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict, package by package. `advice` is the command that builds the image that fits."""

    rows: tuple[Row, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    summary: str = ""
    advice: str = ""

    @property
    def fits(self) -> bool:
        return not self.reasons


def fit(model: ModelFacts, image: Image, mode: str) -> Fit:
    """Hold the model's requirements against the image's packages.

    Args:
        mode: "compatible": same minor of Python, same major of numpy and pandas, same minor of the model's own framework, the rest by name;
            "exact": every pin as it stands; "image": no check; "at-start": uv installs in the container, nothing to check but Python's minor.
    """
    raise NotImplementedError
