"""Fixtures that several modules here share; each starts what it needs when it is first asked for."""

from tests.e2e.stranger import stranger, untouched

__all__ = ["stranger", "untouched"]
