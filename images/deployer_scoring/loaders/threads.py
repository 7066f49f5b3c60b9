"""OpenMP's threads and fork: GNU's pool of threads doesn't survive a fork, and a child that asks for it hangs.

A process that loads a model and then forks keeps to one thread, in which case no pool is made (XGBoost and LightGBM make one while they
load a model, scikit-learn when it predicts); each forked process then allows itself more.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

_VARIABLE = "OMP_NUM_THREADS"
_LIBRARIES = ("libgomp", "libomp", "libiomp")


def single_threaded(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep OpenMP to one thread in this process; to be called before numpy or a model's library is imported."""
    environ[_VARIABLE] = "1"


def allow_threads(number: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Allow OpenMP so many threads in parallel regions that the calling thread starts, and in libraries that are yet to be loaded.

    OpenMP keeps the number per thread: call it in each one that predicts, after the fork.
    """
    environ[_VARIABLE] = str(number)
    for path in _openmp_libraries():
        ctypes.CDLL(path).omp_set_num_threads(number)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)


def _openmp_libraries() -> Iterator[str]:
    """The files of the OpenMP libraries in this process; none where the system doesn't say (only Linux does)."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = {fields[5] for line in lines if len(fields := line.split(None, 5)) == 6}
    return (path for path in sorted(paths) if Path(path).name.startswith(_LIBRARIES))
