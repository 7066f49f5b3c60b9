"""How much of the contract is run: where two suites go through the same code, a sample of one will do, and all of it where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

WHOLE = "DEPLOYER_CONFORMANCE"


def whole() -> bool:
    """Whether every promise is to be tried at every step: `DEPLOYER_CONFORMANCE=whole`."""
    return os.environ.get(WHOLE) == "whole"


def sampled(contract: type[Any], promises: Collection[str]) -> None:
    """Have a contract's tests be these alone, unless the whole is asked for.

    Raises:
        AttributeError: the contract has no such promise.
    """
    for promise in promises:
        getattr(contract, promise)
    if whole():
        return
    for name in dir(contract):
        if name.startswith("test_") and name not in promises:
            setattr(contract, name, None)  # so that pytest doesn't collect what a base class has
