"""What one run of the program is about, known to whoever has to say how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Session:
    """Filled in as a command goes on.

    Attributes:
        output: the format asked for by -o, or "".
        debug: whether traces are wanted.
        target: the one that the command speaks to, once it does.
        started: labels of the steps that have begun, the last one last.
        interrupted: whether Ctrl-C struck; cleared where it is raised again.
    """

    output: str = ""
    debug: bool = False
    target: str = ""
    started: list[str] = field(default_factory=list)
    interrupted: bool = False
