"""What one run of the program is about, known to whoever has to say how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Session:
    """Filled in as a command goes on.

    Attributes:
        output: the format asked for by -o, or "".
        debug: whether traces are wanted.
        target: the one that the command speaks to, once it does.
        started: labels of the steps that have begun, the last one last.
        interrupted: whether Ctrl-C struck; cleared where it is raised again.
        finished: documents of what is done, where a command does several things and prints one document at its end.
    """

    output: str = ""
    debug: bool = False
    target: str = ""
    started: list[str] = field(default_factory=list)
    interrupted: bool = False
    finished: list[dict[str, Any]] = field(default_factory=list)


def comes_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether there is a KeyboardInterrupt behind an error: Ctrl-C in the midst of an import or a callback becomes another one on its way."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
