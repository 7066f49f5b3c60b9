"""`fetch`: have the model's files in its directory, each compared, and end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deployer_scoring.errors import ScoringError
from deployer_scoring.fetching.fetch import fetch_model
from deployer_scoring.fetching.files import read_files
from deployer_scoring.model.locate import SAGEMAKER


def main() -> int:
    """Run the command, told by DEPLOYER_MODEL_SOURCE where the model is.

    Returns:
        The exit code: 0 done, 1 the model can't be had, 2 wrong use.
    """
    source = os.environ.get("DEPLOYER_MODEL_SOURCE", "")
    if not source:
        sys.stderr.write("DEPLOYER_MODEL_SOURCE has to say where the model is\n")
        return 2
    try:
        fetch_model(source, read_files(), Path(os.environ.get("DEPLOYER_MODEL") or SAGEMAKER), _tell)
    except ScoringError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
