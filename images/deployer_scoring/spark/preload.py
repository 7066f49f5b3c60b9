"""Imported by the Python daemon of an executor when it starts, before it forks the workers: they share the pages of what they all import.

Without it each worker imports numpy, pandas and pyarrow after the fork: some 80 MB and a second of a core for each. `shipping` sends this
file as the `sitecustomize` module of a path that only the daemons of our UDFs have; one that was there before is run as well.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path


def _elsewhere(entries: Iterable[str]) -> list[str]:
    """Entries of a search path but the one that this module was found by."""
    place = Path(__file__).parent.absolute()
    return [entry for entry in entries if Path(entry).absolute() != place]


# Neither what the workers start nor the next lines are to find this module again.
os.environ["PYTHONPATH"] = os.pathsep.join(_elsewhere(os.environ.get("PYTHONPATH", "").split(os.pathsep)))
sys.path[:] = _elsewhere(sys.path)

try:
    del sys.modules["sitecustomize"]
    importlib.import_module("sitecustomize")
except ImportError:
    pass

try:
    importlib.import_module("pyspark.worker")
    importlib.import_module("deployer_scoring.spark.workers").rehearse()
except Exception as error:  # the worker that has to do without says so itself
    sys.stderr.write(f"deployer: Spark's Python workers will not share what they import: {type(error).__name__}: {error}\n")
gc.collect()
gc.freeze()
