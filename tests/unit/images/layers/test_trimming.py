"""What is left out of a layer, by rule."""

from pathlib import PurePosixPath

import pytest

from deployer_images.layers.trimming import left_out


def gone(files: dict[str, str]) -> set[str]:
    found = left_out([PurePosixPath(path) for path in files], lambda path: files[str(path)].encode())
    return {str(path) for path in found}


def test_what_no_import_needs_goes() -> None:
    files = dict.fromkeys(
        (
            "numpy/__init__.py",
            "numpy/testing/__init__.py",
            "numpy/lib/tests/test_io.py",
            "numpy/lib/tests/data/big.npy",
            "numpy/_core/include/numpy/arrayobject.h",
            "numpy/_core/lib/libnpymath.a",
            "numpy/__pycache__/__init__.cpython-311.pyc",
            "torch/include/ATen/ATen.h",
            "nvidia/cuda_runtime/include/cuda.h",
            "tests/__init__.py",
            "jinja2/tests.py",
            "skimage/__init__.pyi",
        ),
        "",
    )
    assert gone(files) == {
        "numpy/lib/tests/test_io.py",
        "numpy/lib/tests/data/big.npy",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/_core/lib/libnpymath.a",
        "numpy/__pycache__/__init__.cpython-311.pyc",
    }


@pytest.mark.parametrize(
    "line",
    [
        "from pkg.sub.tests import helper",
        "from pkg.sub.tests.helper import x",
        "from pkg.sub import a, tests",
        "from pkg.sub import (\n    a,\n    tests,\n)",
        "import os, pkg.sub.tests.helper as h",
        "    from .tests import helper",
        "from . import tests",
        "from ..sub.tests import helper",
    ],
)
def test_tests_that_something_else_imports_stay(line: str) -> None:
    files = {"pkg/sub/code.py": f"x = 1\n{line}\n", "pkg/sub/tests/helper.py": "", "pkg/sub/tests/data/x": "", "pkg/other/tests/t.py": ""}
    assert gone(files) == {"pkg/other/tests/t.py"}


@pytest.mark.parametrize("line", ["# from pkg.sub.tests import helper", "tests = 1", "from pkg import attests", "x = 'from tests import y'"])
def test_other_words_keep_nothing(line: str) -> None:
    assert gone({"pkg/sub/code.py": line, "pkg/sub/tests/helper.py": ""}) == {"pkg/sub/tests/helper.py"}


def test_tests_that_import_one_another_go_together() -> None:
    files = {"pkg/conftest.py": "from pkg.tests import x", "pkg/tests/a.py": "from pkg.other.tests import y", "pkg/other/tests/b.py": ""}
    assert gone(files) == {"pkg/tests/a.py", "pkg/other/tests/b.py"}
