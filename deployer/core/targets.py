"""Targets by name: found by entry point, loaded when used, and which verbs each has, read off its class."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from deployer.core.capabilities import (
    StandsOnLibraries,
    SupportsCredentials,
    SupportsEndpoints,
    SupportsExplanations,
    SupportsExport,
    SupportsHistory,
    SupportsImageRegistry,
    SupportsNamespaces,
    SupportsStrategies,
    SupportsStreaming,
    SupportsTrial,
)
from deployer.core.target import Target, TargetUri
from deployer.errors import ConfigInvalid, ExtraMissing

GROUP = "deployer.targets"

VERBS: Mapping[str, tuple[str, ...] | type] = {
    "create, update, apply": ("settle", "claim", "observe", "resolve", "plan"),
    "plan, diff, --dry-run": ("observe", "resolve", "plan"),
    "rollback": ("observe", "plan"),
    "shares of the traffic: update --promote, --abort": SupportsStrategies,
    "delete": ("observe", "plan_delete"),
    "prune": ("observe", "plan_prune"),
    "list": ("list",),
    "list --all-namespaces": SupportsNamespaces,
    "get": ("observe",),
    "get --credentials": SupportsCredentials,
    "history": SupportsHistory,
    "predict": ("predict",),
    "predict --stream": SupportsStreaming,
    "explain": SupportsExplanations,
    "logs": ("logs",),
    "doctor": ("doctor",),
    "doctor --try": SupportsTrial,
    "run-local": ("container",),
    "export": SupportsExport,
    "build-and-push-container": SupportsImageRegistry,
    "endpoints apart from deployments": SupportsEndpoints,
}
"""What each verb needs of a target: these methods of the contract, or a capability."""
_IMPORTING = threading.Lock()


def available() -> Mapping[str, EntryPoint]:
    """The installed targets by scheme, none of them loaded."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def load(uri: TargetUri) -> Target[Any, Any]:
    """The target that a URI names.

    Raises:
        ConfigInvalid: no such target is installed.
        ExtraMissing: it is, but not what it stands on.
    """
    known = available()
    if uri.scheme not in known:
        raise ConfigInvalid(_unknown(uri.scheme, known), advice="deploy targets lists what is installed")
    target: Target[Any, Any] = target_class(known[uri.scheme])()
    return target


def target_class(entry: EntryPoint) -> Any:
    """The class behind an entry point.

    Raises:
        ExtraMissing: an optional dependency of it isn't installed.
    """
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        if error.name and entry.module.startswith(error.name):
            raise ConfigInvalid(f"the target {entry.name} is registered but its module {entry.module} is not there", why=str(error)) from error
        raise _extra_missing(entry, error) from error


def import_libraries(target: Target[Any, Any]) -> None:
    """Import what a target stands on, one thread at a time. What isn't installed is passed over: the target says what to install."""
    if isinstance(target, StandsOnLibraries):
        with _IMPORTING:
            for each in target.libraries:
                with suppress(ImportError):
                    import_module(each)


def supports(target: Any, verb: str) -> bool:
    """Whether a target (or its class) has a verb of `VERBS`."""
    needs, kind = VERBS[verb], target if isinstance(target, type) else type(target)
    return issubclass(kind, needs) if isinstance(needs, type) else all(callable(getattr(kind, method, None)) for method in needs)


def support_table(classes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, bool]]]:
    """Verb by target, in the order of `VERBS`: which of the named target classes has it."""
    return [(verb, {name: supports(each, verb) for name, each in classes.items()}) for verb in VERBS]


def markdown(table: Iterable[tuple[str, Mapping[str, bool]]]) -> str:
    """The support table as README has it."""
    rows = list(table)
    names = list(rows[0][1]) if rows else []
    lines = ["| | " + " | ".join(f"`{name}`" for name in names) + " |", "| --- |" + " --- |" * len(names)]
    return "\n".join(lines + [f"| {verb} | " + " | ".join("yes" if has[name] else "no" for name in names) + " |" for verb, has in rows])


def _unknown(scheme: str, known: Mapping[str, EntryPoint]) -> str:
    near = difflib.get_close_matches(scheme, known, n=1)
    return f"{scheme or 'the empty name'} is not a target" + (
        f"; did you mean {near[0]}?" if near else f"; installed are {', '.join(known) or 'none'}"
    )


def _extra_missing(entry: EntryPoint, error: ModuleNotFoundError) -> ExtraMissing:
    distribution = entry.dist.name if entry.dist else "deployer-ml"
    if distribution == "deployer-ml":
        return ExtraMissing.named(entry.name, f"the target {entry.name}")
    return ExtraMissing(f"the target {entry.name} needs {error.name}, which is not installed", advice=f"pip install --upgrade {distribution}")
