"""How a schema's parts are pickled: as calls of their constructors, which are MLflow's too.

A pickle of ours that is renamed to MLflow's classes makes theirs, and the state that MLflow pickles is understood by ours.
"""

from __future__ import annotations

import dataclasses
from typing import Any


class Pickled:
    """A frozen dataclass whose constructor takes its fields by position."""

    def _set(self, **fields: Any) -> None:
        """Set fields while constructing: the class is frozen."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        values = (getattr(self, each.name) for each in dataclasses.fields(self) if each.compare)  # type: ignore[arg-type]
        return type(self), tuple([*each] if isinstance(each, tuple) else each for each in values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of MLflow's class of the same name: its fields behind an underscore."""
        given = {name.lstrip("_"): value for name, value in state.items()}
        known = {each.name: given[each.name] for each in dataclasses.fields(self) if each.name in given}  # type: ignore[arg-type]
        type(self).__init__(self, **known)
