"""OpenMP's threads and fork: GNU's pool of threads doesn't survive a fork, and a child that asks for it hangs.

A process that loads a model and then forks keeps to one thread, in which case no pool is made (XGBoost and LightGBM make one while they
load a model, scikit-learn when it predicts); each forked process then allows itself more.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLE = "OMP_NUM_THREADS"
_LIBRARY = re.compile(rb"/(?:libgomp|libomp|libiomp)[^/]*$")
_remembered: dict[str, list[str]] = {}


def single_threaded(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep OpenMP to one thread in this process; to be called before numpy or a model's library is imported."""
    environ[_VARIABLE] = "1"


def allow_threads(number: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Allow OpenMP so many threads in parallel regions that the calling thread starts, and in libraries that are yet to be loaded.

    OpenMP keeps the number per thread: call it in each one that predicts, after the fork.
    """
    environ[_VARIABLE] = str(number)
    for path in _remembered["libraries"] if _remembered else _openmp_libraries():
        ctypes.CDLL(path).omp_set_num_threads(number)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)


def remember_libraries() -> None:
    """Find out which libraries `allow_threads` is about, once for all processes that are forked from here: it takes milliseconds."""
    _remembered["libraries"] = _openmp_libraries()


def _openmp_libraries() -> list[str]:
    """The files of the OpenMP libraries in this process; none where the system doesn't say (only Linux does)."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return []
    paths = {line[line.index(b"/") :].decode(errors="surrogateescape") for line in lines if _LIBRARY.search(line)}
    return sorted(paths)
