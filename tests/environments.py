"""Environments of their own for tests that need the real MLflow, which must not share one with the product.

    mlflow_python()      the interpreter of an environment with MLflow 3.17.2 and scikit-learn
    oldest_python()      one with Python 3.8, numpy 1.19 and pandas 1.2: the oldest that the scoring runtime is tested on
    newest_python()      one with Python 3.13 and the newest of all that the runtime uses
    flavors_python()     one with MLflow 3.17.2 and the light flavors' libraries: sklearn, xgboost, lightgbm, catboost, statsmodels, onnx
    runtime_python()     the same libraries, but what the scoring runtime brings in place of MLflow
    older_mlflow_python() one with MLflow 2.22
    format_python()      one with what our distribution needs and no MLflow, to save and load models in
    spark_python()       one with PySpark and MLflow
    inference_clients_python() one with the clients of KServe, Triton and gRPC
    azure_python()       one with Azure ML's SDK and its siblings
    environment(...)     any other, by its requirements

Each is made once by uv in the user's cache directory under a digest of its requirements, and kept: the first
call on a machine takes some 30 s with a warm package cache, later ones a millisecond. Several test processes may ask at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from uv import find_uv_bin

from deployer_images.uv import interpreter
from deployer_scoring import OLDEST_PYTHON

# orjson, and uvicorn with its extras: MLflow's own server at its best, and with msgspec what our runtime is fastest with beside it.
MLFLOW = ("mlflow==3.17.2", "scikit-learn", "msgspec", "orjson", "uvicorn[standard]")
"""What `mlflow_python` has."""


def cache_directory() -> Path:
    """Where tests keep what is costly to make: below XDG_CACHE_HOME, or else ~/.cache."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployer-tests"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


_USED = ("pyyaml", "orjson", "uvloop", "protobuf", "cloudpickle", "pydantic", "pytest", "hypothesis", "prometheus-client")
# openapi-spec-validator 0.7.2 says that it runs on Python 3.8, and doesn't.
OLDEST = ("numpy==1.19.5", "pandas==1.2.5", "msgspec==0.18.0", "openapi-spec-validator==0.7.1", *_USED)
"""What `oldest_python` has."""
NEWEST = ("numpy", "pandas", "msgspec", "openapi-spec-validator", *_USED)
"""What `newest_python` has."""


@cache
def mlflow_python() -> Path:
    """The interpreter of an environment with the real MLflow and scikit-learn; its `bin` folder has the `mlflow` command."""
    return environment(MLFLOW)


# xgboost-cpu is xgboost without CUDA's libraries, 300 MB less.
_FLAVORS = ("scikit-learn", "skops", "xgboost-cpu", "lightgbm", "catboost", "statsmodels", "onnx", "onnxruntime")
FLAVORS = ("mlflow==3.17.2", "orjson", "uvicorn[standard]", *_FLAVORS)
"""What `flavors_python` has."""
RUNTIME = ("cloudpickle", "numpy", "pandas", "pyyaml", "msgspec", "orjson", "uvicorn[standard]", *_FLAVORS)
"""What `runtime_python` has."""


@cache
def flavors_python() -> Path:
    """The interpreter of an environment with the real MLflow and the libraries of flavors whose wheels are small."""
    return environment(FLAVORS)


@cache
def runtime_python() -> Path:
    """The interpreter of an environment with the same libraries and no mlflow."""
    return environment(RUNTIME)


OLDER_MLFLOW = ("mlflow==2.22.2", "scikit-learn", "xgboost-cpu")
"""What `older_mlflow_python` has."""


@cache
def older_mlflow_python() -> Path:
    """The interpreter of an environment with MLflow 2.22, scikit-learn and xgboost."""
    return environment(OLDER_MLFLOW)


@cache
def format_python() -> Path:
    """The interpreter of an environment with what our distribution and its scoring extra need, scikit-learn and xgboost, and no mlflow."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    return environment((*project["dependencies"], *project["optional-dependencies"]["scoring"], "scikit-learn", "xgboost-cpu"))


SPARK = ("mlflow==3.17.2", "pyspark>=4.0.1,<4.1", "pyarrow", "orjson", "uv")
"""What `spark_python` has."""


@cache
def spark_python() -> Path:
    """The interpreter of an environment with PySpark and the real MLflow (1.1 GB); Spark runs on the machine's Java."""
    return environment(SPARK)


CLIENTS = ("kserve==0.21.0", "tritonclient[http,grpc]==2.73.0", "grpcio-health-checking", "grpcio-reflection")
"""What `inference_clients_python` has."""


@cache
def inference_clients_python() -> Path:
    """The interpreter of an environment with KServe's and Triton's clients, and gRPC's own of health and reflection."""
    return environment(CLIENTS)


AZURE = ("azure-ai-ml==1.35.2", "azure-identity==1.27.0", "azure-storage-blob==12.31.1", "azure-mgmt-containerinstance==10.1.0")
"""What `azure_python` has."""


@cache
def azure_python() -> Path:
    """The interpreter of an environment with the SDKs that are the judges of the local Azure."""
    return environment(AZURE)


@cache
def oldest_python() -> Path:
    """The interpreter of an environment with Python 3.8, numpy 1.19 and pandas 1.2; uv fetches the Python where it isn't here."""
    return environment(OLDEST, python=str(interpreter(OLDEST_PYTHON)))


@cache
def newest_python() -> Path:
    """The interpreter of an environment with Python 3.13 and the newest of all that the runtime uses."""
    return environment(NEWEST, python=str(interpreter("3.13")))


def environment(requirements: Sequence[str], python: str = f"{sys.version_info.major}.{sys.version_info.minor}") -> Path:
    """The interpreter of an environment that has these requirements, made on first use.

    Args:
        requirements: As pip writes them; their order means nothing.
        python: Version or path of the interpreter, as `uv venv --python` takes it.

    Raises:
        subprocess.CalledProcessError: uv could not make it; what it said is on stderr.
    """
    # What is installed editable brings its entry points, which are written down when it is installed.
    written = [(Path(each.partition("=")[2]) / "pyproject.toml").read_text() for each in requirements if each.startswith("--editable=")]
    key = hashlib.sha256("\n".join([python, *sorted(requirements), *written]).encode()).hexdigest()[:16]
    directory = cache_directory() / f"environment-{key}"
    interpreter, done = directory / "bin" / "python", directory / "complete"
    if done.exists() and interpreter.exists():
        return interpreter
    with locked(directory.with_suffix(".lock")):
        if not (done.exists() and interpreter.exists()):
            shutil.rmtree(directory, ignore_errors=True)
            uv("venv", "--quiet", "--no-project", "--python", python, str(directory))
            # Not compiled: what is imported is, once; compiling all of MLflow takes a processor for 20 s.
            uv("pip", "install", "--quiet", "--python", str(interpreter), *requirements)
            done.write_text("\n".join(requirements))
    return interpreter


def uv(*arguments: str) -> None:
    """Run uv; what it says goes to stderr."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONPATH"}}
    subprocess.run([find_uv_bin(), *arguments], check=True, env=clean)


def made_once(directory: Path, make: Callable[[Path], object]) -> Path:
    """A directory below `cache_directory` that is made on first use and kept: whole, or not there.

    Args:
        directory: named after a digest of all that it is made of.
        make: fills the empty directory that it is given.
    """
    with locked(directory.with_suffix(".lock")):
        if not directory.exists():
            half_made = directory.with_suffix(".tmp")
            shutil.rmtree(half_made, ignore_errors=True)
            half_made.mkdir()
            make(half_made)
            half_made.rename(directory)
    return directory


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock between processes, for as long as the block runs."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
