"""Where an object in the cluster isn't as we applied it, and who has set it otherwise. Pure.

Only what we set is compared: fields that the server fills in and things that others add (a mesh's sidecar, a webhook's label) are theirs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.quantities import amount
from deployer_targets.kubernetes import names

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}
"""The lists that are merged by a key of their elements; any other is one value as a whole."""
_UNORDERED = "metrics"
"""Of an autoscaler: the older versions of the API give them back in another order."""
_PORTS = ("containerPort", "port")
_NOT_COMPARED = frozenset({"apiVersion", "kind", "resourceVersion"})
"""Of the whole object: the items of a list don't say the first two."""

Object = Mapping[str, Any]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that isn't as we want it.

    Attributes:
        path: of the field, in the manifest that we want.
        found: None where it isn't there at all.
        by: the field manager that has set it; "" where no one says so.
    """

    path: Path
    wanted: Any
    found: Any
    by: str = ""

    @property
    def field(self) -> str:
        """`spec.template.spec.containers[0].image`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")


def drift(manifest: Object, found: Object) -> tuple[Drift, ...]:
    """The fields of a manifest that the object hasn't."""
    entries = [each for each in found["metadata"].get("managedFields") or () if each.get("manager") not in (names.MANAGER, names.COUNTER)]
    return tuple(Drift(path, wanted, there, _owner(entries, way)) for path, way, wanted, there in _differences(manifest, found, (), ()))


def yielding(manifest: Object, drifts: Iterable[Drift]) -> dict[str, Any]:
    """The manifest without the fields that somebody else has set otherwise: applied, it leaves those as they are."""
    made = copy.deepcopy(dict(manifest))
    for each in drifts:
        if each.by:
            *above, last = each.path
            parent: Any = made
            for part in above:
                parent = parent[part]
            del parent[last]
    return made


def _differences(wanted: Any, found: Any, path: Path, way: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...], Any, Any]]:
    """`way` is the path as managedFields have it."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key, value in wanted.items():
            if key in _NOT_COMPARED and path in ((), ("metadata",)):
                continue
            yield from _differences(value, found.get(key), (*path, key), (*way, f"f:{key}"))
    elif isinstance(wanted, (list, tuple)) and (key := _key(path, wanted)) and isinstance(found, list):
        there = {each.get(key): each for each in found}
        for number, each in enumerate(wanted):
            named = f"k:{json.dumps({key: each[key]}, separators=(',', ':'))}"
            yield from _differences(each, there.get(each[key]), (*path, number), (*way, named))
    elif path[-1:] == (_UNORDERED,) and isinstance(found, list) and len(wanted) == len(found):
        if not all(any(_same(each, one) for one in found) for each in wanted):
            yield path, way, wanted, found
    elif not _same(wanted, found):
        yield path, way, wanted, found


def _key(path: Path, wanted: Any) -> str | None:
    last = path[-1] if path else ""
    if last == "ports":
        return next((key for key in _PORTS if all(isinstance(each, Mapping) and key in each for each in wanted)), None)
    return _KEYS.get(str(last))


def _same(wanted: Any, found: Any) -> bool:
    if found is None:
        return wanted in (None, "", 0, False, {}, [], ())
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_same(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(_same, wanted, found))
    return bool(wanted == found) or amount(wanted) == amount(found) is not None


def _owner(entries: Iterable[Object], way: tuple[str, ...]) -> str:
    """Who has set the field last, of those who say that they have."""
    owners = [(str(each.get("time", "")), str(each.get("manager", ""))) for each in entries if _has(each.get("fieldsV1") or {}, way)]
    return max(owners, default=("", ""))[1]


def _has(fields: Any, way: tuple[str, ...]) -> bool:
    """Whether the field, all of it, or what it is a part of as a whole, is among these."""
    for part in way:
        if part.startswith("k:"):
            nearest = next((each for each in fields if each.startswith("k:") and json.loads(part[2:]).items() <= json.loads(each[2:]).items()), None)
            if nearest is None:
                return False
            fields = fields[nearest]
        elif part not in fields:
            return False
        else:
            fields = fields[part]
        if not fields:
            return True
    return True
