"""`make test-flavors`: the flavors whose libraries weigh gigabytes, each in an environment of its own, not part of CI.

Every model is saved and asked by the real MLflow, asked by our loaders in another process, and served by the runtime and asked over HTTP.
One after another, since each takes memory; prints a line for each and a table at the end. An environment is removed after its flavor
unless KEEP_ENVIRONMENTS is set.

    python -m tests.flavors.heavy [NAME...]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.e2e.scoring_process import serving
from tests.environments import cache_directory, environment
from tests.flavors.models import answers, save

# The last MLflow that has a flavor, where the newest has it no more.
_MLFLOW = {"fastai": "mlflow==2.22.4"}
LIBRARIES: dict[str, tuple[str, ...]] = {
    "prophet": ("prophet",),
    "spacy": ("spacy",),
    "h2o": ("h2o",),
    "spark": ("pyspark",),
    "tensorflow": ("tensorflow-cpu",),
    "pytorch": ("torch",),
    "fastai": ("fastai",),
    "transformers": ("transformers", "torch"),
}


@dataclass(frozen=True)
class Result:
    """What came of one flavor."""

    flavor: str
    library: str
    outcome: str
    served: str = ""
    forks: str = ""
    seconds: float = 0.0
    gigabytes: float = 0.0


def main(names: list[str]) -> int:
    results = []
    for name in names or LIBRARIES:
        results.append(result := tried(name))
        print(f"{name}: {result.outcome}; served: {result.served}; {result.seconds:.0f} s", flush=True)
    print("\n| flavor | library | answers | served over HTTP | in a forked process | environment, GB | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for each in results:
        cells = [each.flavor, each.library, each.outcome, each.served, each.forks, f"{each.gigabytes:.1f}", f"{each.seconds:.0f}"]
        print(f"| {' | '.join(cells)} |")
    return 0 if all(each.outcome == "equal" and each.served == "equal" for each in results) else 1


def tried(name: str) -> Result:
    """Save, ask and serve one flavor; whatever fails becomes the outcome."""
    begun = time.monotonic()
    try:
        python = environment([_MLFLOW.get(name, "mlflow==3.17.2"), "orjson", "uvicorn[standard]", *LIBRARIES[name]])
    except subprocess.CalledProcessError as error:
        return Result(name, ", ".join(LIBRARIES[name]), f"does not install: {error}")
    library, size = _installed(python, ("mlflow", *LIBRARIES[name])), _gigabytes(python.parents[1])
    models = cache_directory() / "heavy"
    shutil.rmtree(models / name, ignore_errors=True)
    models.mkdir(exist_ok=True)
    outcome, served, forks = "", "", ""
    try:
        save(python, models, [name], script="saving_heavy.py")
        wanted = answers("mlflow", python, models, [name])[name]
        found = answers("ours", python, models, [name])[name]
        outcome = "equal" if found["answer"] == wanted else "differ"
        forks = answers("forked", python, models, [name])[name]
        served = _served(python, models / name, json.loads(answers("body", python, models, [name])[name]), wanted)
    except Exception as error:  # the table says what went wrong, and the other flavors go on
        said = " ".join(str(error).split())[-300:]
        outcome, served = (outcome, f"failed: {said}") if outcome else (f"failed: {said}", "")
    finally:
        shutil.rmtree(models / name, ignore_errors=True)
        if not os.environ.get("KEEP_ENVIRONMENTS"):
            shutil.rmtree(python.parents[1], ignore_errors=True)
    return Result(name, library, outcome, served, forks, time.monotonic() - begun, size)


def _served(python: Path, model: Path, body: object, wanted: object) -> str:
    with serving(model, python=python) as server:
        response = server.ask(body)
    if response.status_code != 200:
        return f"{response.status_code}: {response.text[:200]}"
    found, expected = _numbers(response.json()["predictions"]), _numbers(wanted)
    same = len(found) == len(expected) and all(abs(one - other) <= 1e-6 * max(1, abs(other)) for one, other in zip(found, expected, strict=True))
    return "equal" if same else "differ"


def _numbers(value: object) -> list[float]:
    """All numbers in an answer, sorted: frames are records to a server and columns to MLflow's predict."""
    if isinstance(value, dict):
        return sorted(number for each in value.values() for number in _numbers(each))
    if isinstance(value, list):
        return sorted(number for each in value for number in _numbers(each))
    return [float(value)] if isinstance(value, (int, float)) else []


def _installed(python: Path, libraries: tuple[str, ...]) -> str:
    script = "import sys; from importlib.metadata import version; print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
    return subprocess.run([str(python), "-c", script, *libraries], check=True, capture_output=True, text=True).stdout.strip()


def _gigabytes(directory: Path) -> float:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file() and not file.is_symlink()) / 1e9


if __name__ == "__main__":
    print(f"MLflow saves, deployer-ml {version('deployer-ml')} loads")
    sys.exit(main(sys.argv[1:]))
