"""A small model directory, written by hand."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C: the main thread gets what Python makes of it, whatever another test has left of that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


MLMODEL = """\
flavors:
  python_function:
    code: code
    data: data
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    python_version: 3.11.7
  sklearn:
    pickled_model: model.pkl
    sklearn_version: 1.9.1
run_id: 0123456789abcdef
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A valid model of eight files, one of them executable."""
    directory = tmp_path / "churn"
    for path, text in {
        "MLmodel": MLMODEL,
        "requirements.txt": "mlflow==3.17.2\nscikit-learn==1.9.1\n",
        "conda.yaml": "dependencies: [python=3.11.7, pip: [mlflow]]\n",
        "python_env.yaml": "python: 3.11.7\ndependencies: ['-r requirements.txt']\n",
        "code/helper.py": "ANSWER = 42\n",
        "code/run.sh": "#!/bin/sh\n",
        "data/model.pkl": "N.",
        "data/ÿ/deep.bin": "more",
    }.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    (directory / "code" / "run.sh").chmod(0o755)
    return directory
