"""What callers would notice of a new signature: what it loses or newly requires against the one in service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """One sentence a change; `breaking` ones may turn today's valid requests or readers of answers wrong."""

    breaking: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()


def schema_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> SchemaChanges:
    """Compare two signatures as MLflow writes them (JSON text or lists of columns or tensor specs, params).

    A model without a signature takes anything: going there breaks nobody, and coming from there is told but not refused.
    """
    raise NotImplementedError
