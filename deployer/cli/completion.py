"""What a shell completes that must be asked for: deployments' names and models. Kept on disk for a short while; never slow, never a word of error.

A completion reads what is kept. Where that is old, a process of its own asks anew, for the next time; what is on this machine is asked at once.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

FRESH_SECONDS = 30.0
ASKED_SECONDS = 20.0
"""For how long nobody else asks the same."""
MOST = 500
_VARIABLES = ("AWS_", "DEPLOYER_", "MLFLOW_", "DATABRICKS_")


def deployments(target: str) -> list[str]:
    """The names on a target, as they were a moment ago."""
    with suppress(Exception):
        if target.partition(":")[0].removeprefix("deployer-") == "local":
            return _here()
        return _kept("deployments", target)
    return []


def _here() -> list[str]:
    """Those on this machine have a directory each, which is looked at faster than the target is imported."""
    home, names = (importlib.import_module(f"deployer_targets.local.{module}") for module in ("home", "names"))
    found: list[str] = home.names(names.Place.of())
    return found


def registered() -> list[str]:
    """The models of MLflow's registry as URIs, each with its versions, as they were a moment ago."""
    with suppress(Exception):
        return _kept("models", "")
    return []


def directories(incomplete: str) -> list[str]:
    """Directories that hold a model, and those on the way to one."""
    with suppress(OSError):
        parent, _, start = incomplete.rpartition("/")
        place = Path(f"{parent}/" if parent or incomplete.startswith("/") else ".").expanduser()
        found = [each.name for each in place.iterdir() if each.name.startswith(start) and each.is_dir() and (start or not each.name.startswith("."))]
        prefix = f"{parent}/" if "/" in incomplete else ""
        return [f"{prefix}{name}" + ("" if (place / name / "MLmodel").is_file() else "/") for name in sorted(found)[:MOST]]
    return []


def _kept(kind: str, of: str) -> list[str]:
    file = _file(kind, of)
    values: list[str] = []
    with suppress(OSError, ValueError):
        values = json.loads(file.read_text())
        if time.time() - file.stat().st_mtime < FRESH_SECONDS:
            return values
    asked = file.with_suffix(".asked")
    if not asked.exists() or time.time() - asked.stat().st_mtime > ASKED_SECONDS:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        asked.touch(mode=0o600)
        nothing = subprocess.DEVNULL
        subprocess.Popen([sys.executable, "-m", __name__, kind, of], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    return values


def _file(kind: str, of: str) -> Path:
    """One for each place that the same question may be asked of: what it is depends on accounts, addresses and, for MLflow, on the directory."""
    said = sorted((name, value) for name, value in os.environ.items() if name.startswith(_VARIABLES) and "COMPLETE" not in name)
    key = hashlib.sha256(json.dumps([kind, of, said, os.getcwd() if kind == "models" else ""]).encode()).hexdigest()[:20]  # noqa: PTH109 - no objects here
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployer" / "completion" / f"{key}.json"


def _deployments(target: str) -> list[str]:
    from deployer.core import targets
    from deployer.core.target import TargetUri

    uri = TargetUri.parse(target)
    found = targets.load(uri)
    return sorted(str(each.name) for each in found.list(found.connect(uri, found.config.parse({}, target=uri.scheme))))[:MOST]


def _models(_: str) -> list[str]:
    """Aliases, then versions, the newest first. No store is made where none is."""
    from deployer.artifacts.registry import look_for_databases

    mlflow = importlib.import_module("mlflow")
    look_for_databases(mlflow)
    place = urlsplit(mlflow.get_registry_uri())
    if place.scheme in ("", "file") and not Path(unquote(place.path)).exists():
        return []
    client = mlflow.MlflowClient()
    aliases = [f"models:/{model.name}@{alias}" for model in client.search_registered_models(max_results=100) for alias in model.aliases or {}]
    versions = [(each.name, int(each.version)) for each in client.search_model_versions(max_results=MOST)]
    versions.sort(key=lambda each: (each[0], -each[1]))
    return [*aliases, *(f"models:/{name}/{version}" for name, version in versions)][:MOST]


_ASK: dict[str, Callable[[str], list[str]]] = {"deployments": _deployments, "models": _models}


def keep(kind: str, of: str) -> None:
    """Ask, and keep the answer for who completes next; what can't be asked is nothing."""
    values: list[str] = []
    with suppress(Exception):
        values = _ASK[kind](of)
    file = _file(kind, of)
    written = file.with_suffix(f".{os.getpid()}")
    written.touch(mode=0o600)
    written.write_text(json.dumps(values))
    written.replace(file)


if __name__ == "__main__":
    keep(*sys.argv[1:])
