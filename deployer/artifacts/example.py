"""A request that a model takes, for who deploys: from the example saved with it, or else made up from its signature."""

from __future__ import annotations

from pathlib import Path

from deployer_scoring.model.mlmodel import read_mlmodel
from deployer_scoring.model.serving_example import Example, serving_example

__all__ = ["Example", "input_example"]


def input_example(directory: Path, rows: int = 3) -> Example | None:
    """A request for this model of at most so many rows; None where it has neither an example nor a signature.

    Raises:
        MLModelError: not a valid model.
    """
    return serving_example(read_mlmodel(directory), rows)
