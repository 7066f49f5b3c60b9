"""What one run of the program is about, known to whoever has to say how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Session:
    """Filled in as a command goes on.

    Attributes:
        output: the format asked for by -o, or "".
        debug: whether traces are wanted.
        started: labels of the steps that have begun, the last one last.
    """

    output: str = ""
    debug: bool = False
    started: list[str] = field(default_factory=list)
