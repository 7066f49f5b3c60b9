"""The targets that are held to the rules."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from deployer.target import Target
from tests.simulation.client import Client
from tests.simulation.histories import Command
from tests.simulation.target import Memory
from tests.simulation.wire import Wire


class InMemory:
    """The small target of this directory."""

    def __init__(self) -> None:
        self.target: Target[Any, Any] = Memory()

    def over(self, wire: Wire, run: str) -> Client:
        return Memory.over(wire, run)

    def options(self, command: Command) -> Mapping[str, Any]:
        return dict(command.options)

    def in_place(self) -> AbstractContextManager[None]:
        return nullcontext()
