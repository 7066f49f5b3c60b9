"""Packages that conda.yaml lists as conda's own, as Python's indexes have them: neither an image nor an environment of ours is made by conda."""

from __future__ import annotations

import re
from typing import Optional

# Of a whole environment (`conda env export`) what is no package of Python's: what an interpreter is made of, and libraries that wheels bring
# with them. Several have a namesake on PyPI that is something else.
_WITH_PYTHON = re.compile(
    r"python|python_abi|pip|setuptools|wheel|_.*|ca-certificates|openssl|zlib|sqlite|readline|tk|xz|bzip2|ncurses|expat|tzdata|ld_impl_linux-.*"
    r"|lib(gcc|gcc-ng|stdcxx|stdcxx-ng|ffi|uuid|zlib|sqlite|nsl|xcrypt|expat|lzma)"
)
_IN_WHEELS = re.compile(
    r"mkl|mkl[-_](service|fft|random|include|devel)|nomkl|blas|lapack|openblas|intel-openmp|llvm-openmp|tbb|cudatoolkit|cudnn|nccl|pytorch-(cuda|mutex)"
    r"|cuda-(?!python|bindings|core).*|lib(gomp|gfortran|gfortran\d|gfortran-ng|blas|cblas|lapack|openblas|llvm\d*|iconv|xgboost|lightgbm|torch|protobuf"
    r"|arrow|arrow-.*|parquet|thrift|png|tiff|webp|webp-base|deflate|jpeg-turbo|xcb|curl|ssh2|nghttp2|ev|event|edit|utf8proc|grpc|cu.*|nv.*|magma.*)"
    r"|icu|krb5|c-ares|keyutils|zstd|lz4-c|snappy|gflags|glog|re2|orc|freetype|jpeg|lcms2|lerc|openjpeg|giflib|arrow-cpp|parquet-cpp|aws-(c|crt-cpp|sdk).*"
)
_PROGRAMS = re.compile(
    r"openjdk|r-.+|nodejs|ffmpeg|perl|julia|tesseract|poppler|imagemagick|libsndfile|libspatialindex|(gcc|gxx|gfortran)(_linux-64)?"
)
_NAMES = {
    **dict.fromkeys(("pytorch", "pytorch-cpu", "pytorch-gpu"), "torch"),
    **dict.fromkeys(("tensorflow-gpu", "tensorflow-base", "tensorflow-mkl", "tensorflow-eigen"), "tensorflow"),
    **dict.fromkeys(("py-xgboost", "py-xgboost-cpu", "py-xgboost-gpu"), "xgboost"),
    **dict.fromkeys(("opencv", "py-opencv", "libopencv"), "opencv-python-headless"),
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "seaborn-base": "seaborn",
}
_DEPENDENCY = re.compile(r"^(?:[\w./-]+::)?([A-Za-z0-9_.-]+)\s*(?:\[(.*)\]|(.*))$")
_IN_BRACKETS = re.compile(r"version\s*=\s*(['\"]?)(.*?)\1(?:,\s*\w+\s*=|$)")


def requirement_of(dependency: str) -> Optional[str]:
    """A package of conda's as a requirement, "torch==1.6.*"; None for what comes with Python or with the wheels of others, and for programs."""
    match = _DEPENDENCY.match(dependency.strip())
    name = match.group(1).lower() if match else ""
    if match is None or any(known.fullmatch(name) for known in (_WITH_PYTHON, _IN_WHEELS, _PROGRAMS)):
        return None
    bracketed = _IN_BRACKETS.search(match.group(2) or "")
    return _NAMES.get(name, name) + _version(bracketed.group(2) if bracketed else match.group(3) or "")


def program_in(dependency: str) -> str:
    """The name of what conda would install that is no package of Python's and in no wheel, a Java say; empty for all else."""
    match = _DEPENDENCY.match(dependency.strip())
    return match.group(1).lower() if match and _PROGRAMS.fullmatch(match.group(1).lower()) else ""


def _version(conda: str) -> str:
    """As PEP 508 has it. `=1.2` means 1.2 and its patches to conda; `==1.2`, `1.2=build` and a version without a sign mean just that."""
    version, _, build = conda.strip().partition(" ") if re.match(r"^[=\d][^<>~!,|]*$", conda.strip()) else (conda.strip(), "", "")
    if build and re.match(r"^[\d.]+$", build):  # a space behind the sign
        version, build = version + build, ""
    if exact := re.match(r"^={0,2}\s*([^=\s*<>~!,|]+)(=\S+)?$", version):
        alone = not version.startswith("=") or version.startswith("==") or exact.group(2) or build or exact.group(1).count(".") > 1
        return f"=={exact.group(1)}" if alone else f"=={exact.group(1)}.*"
    if wildcard := re.match(r"^={0,2}\s*([^=\s*]+?)\.?\*(=\S+)?$", version):
        return f"=={wildcard.group(1)}.*"
    return re.sub(r"\s+", "", version)
