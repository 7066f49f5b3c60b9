"""Whether compiled packages go with the numpy beside them: an extension module that was built for numpy 1 can't be imported with numpy 2.

A package that says so itself (`numpy<2` among its requirements) is never resolved beside numpy 2. Many from before numpy 2 say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from deployer.checks.finding import Finding, error, warning
from deployer.checks.surroundings import Surroundings
from deployer.core.requirements import minor_of

NUMPY_2 = "2024-06-16"
"""When numpy 2.0.0 came out. Wheels from before were built for numpy 1, but for those of the table below."""
_OLDEST_PYTHON = (3, 9)  # of numpy 2
_ADVICE = "add numpy<2 to the model's requirements"
_OF_NUMPY_1 = re.compile(r"numpy\.core\..*|numpy\.(dtype|ndarray)")
_OF_NUMPY_2 = re.compile(r"numpy\._core\..*")

_FAILURES = re.compile(
    r"numpy\.(dtype|ufunc|ndarray) size changed|compiled using NumPy 1\.x|numpy\.core\.(multiarray|umath) failed to import|_ARRAY_API not found"
    r"|compiled against (ABI|API) version 0x1\w+ but this version of numpy is 0x2"
)


class _Built(NamedTuple):
    """The first version whose wheels are built for numpy 2 (they run with 1, too), and from which on its requirements keep numpy 2 away."""

    first: str
    bounded: str


def _built(first: str, bounded: str = "") -> _Built:
    return _Built(first, bounded or first)


# Found by looking into the wheels on PyPI for Linux and Python 3.11, last of the one kind and first of the other: what is built for numpy 2
# names numpy._core. Distributions whose requirements have always had a bound (scipy, numba, thinc) need no line.
_BUILT: Mapping[str, _Built] = {
    "blis": _built("1.0.0"),
    "bottleneck": _built("1.4.0"),
    "catboost": _built("1.2.8", "1.2.4"),
    "cvxpy": _built("1.5.2"),
    "fastparquet": _built("2024.5.0"),
    "gensim": _built("4.3.3"),
    "h5py": _built("3.11.0"),
    "hdbscan": _built("0.8.37"),
    "matplotlib": _built("3.8.4", "3.8.0"),
    "ml-dtypes": _built("0.4.0"),
    "numexpr": _built("2.10.0"),
    "opencv-contrib-python": _built("4.10.0.84"),
    "opencv-contrib-python-headless": _built("4.10.0.84"),
    "opencv-python": _built("4.10.0.84"),
    "opencv-python-headless": _built("4.10.0.84"),
    "pandas": _built("2.2.2", "2.1.0"),
    "pmdarima": _built("2.1.1"),
    "pyarrow": _built("16.0.0", "15.0.1"),
    "pywavelets": _built("1.6.0", "1.5.0"),
    "scikit-image": _built("0.23.1"),
    "scikit-learn": _built("1.4.2", "1.3.1"),
    "shap": _built("0.46.0"),
    "shapely": _built("2.0.4", "2.0.3"),
    "statsmodels": _built("0.14.2", "0.14.1"),
    "tables": _built("3.10.0"),
}


def check_binaries(there: Surroundings, names: frozenset[str], file: str) -> Iterator[Finding]:
    """Packages built for numpy 1 where numpy 2 is, or may be.

    Args:
        names: what the model's pickles import, "numpy.core.multiarray.scalar".
        file: the one that lists the requirements.
    """
    numpy = there.packages.get("numpy")
    if there.excludes("numpy", ">=2") or (there.complete and numpy is None) or _python(there.python) < _OLDEST_PYTHON:
        return
    written = "; the model's pickle was written with numpy 1" if _written_with_numpy_1(names) else ""
    for name, versions in sorted(there.packages.items()):
        built = _BUILT.get(name)
        if built and there.excludes(name, f">={built.first}"):
            version = there.pinned(name) or versions
            if there.complete:
                what = f"{name} {version} is built for numpy 1 and can't be imported beside numpy 2; {there.name}: numpy{numpy}{written}"
                yield error("numpy-2-binary", file, what, _ADVICE)
            elif there.excludes(name, f">={built.bounded}"):
                what = f"{name} {version} is built for numpy 1, and nothing keeps numpy below 2: an environment made now may have it{written}"
                yield warning("numpy-2-binary", file, what, _ADVICE)
        elif built is None and (date := there.compiled_before.get(name)):
            what = f"{name}{versions} is from {date}, before numpy 2 ({NUMPY_2}), and may not be importable beside it; {there.name}: numpy{numpy}"
            yield warning("numpy-2-binary", file, what, _ADVICE)


def advice_on_import(message: str) -> str:
    """What to do about a model that could not be loaded for this; empty where numpy is not to blame."""
    if not _FAILURES.search(message):
        return ""
    return f"a package is built for numpy 1, and the environment has numpy 2: {_ADVICE}; deploy models check --index names it"


def _written_with_numpy_1(names: frozenset[str]) -> bool:
    return any(map(_OF_NUMPY_1.fullmatch, names)) and not any(map(_OF_NUMPY_2.fullmatch, names))


def _python(version: str) -> tuple[int, ...]:
    return tuple(map(int, minor_of(version).split("."))) if version else _OLDEST_PYTHON
