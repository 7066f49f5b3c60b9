"""What is known of a pickle that was not loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, NamedTuple, Optional, Set, Tuple


class BrokenPickle(Exception):
    """The bytes are no pickle, or not a whole one."""


class Global(NamedTuple):
    """A name that a pickle imports; without a name, the module itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


class Skipped(NamedTuple):
    """Bytes that were not read: where they begin, and how many they are."""

    place: int
    length: int


class Made:
    """An object that the pickle would make by calling a global, as far as it matters; `by` is None where what is called isn't known."""

    __slots__ = ("arguments", "by", "state")

    def __init__(self, by: Optional[Global], arguments: Tuple[Any, ...] = ()) -> None:
        self.by, self.arguments = by, arguments
        self.state: Any = None


@dataclass
class PickleFacts:
    """What one file's pickles say of themselves.

    Attributes:
        protocol: the highest that they use; 0 where none is stated.
        imports: every global that is imported, whether or not it is called.
        calls: those that are called while it loads.
        made: classes of which it makes objects without calling them (`__new__` alone is).
        handed: those that are an argument of a call, and may be called by what is called.
        unfollowed: what it does that can't be followed: sentences without their beginning and end, "imports a name that it computes".
        own_code: whether it holds functions or classes of its own.
        inside: pickles that it holds as bytes, and loads.
        sklearn_versions: of the estimators inside.
        functions: of each code object inside, the bytecode and the names that it uses.
        code_arguments: how many arguments the code objects inside are made of: 15 by Python 3.7, 16 by 3.8 to 3.10, 18 since 3.11.
        whole: false where it is longer than what was looked at.
    """

    protocol: int = 0
    imports: Set[Global] = field(default_factory=set)
    calls: Set[Global] = field(default_factory=set)
    made: Set[Global] = field(default_factory=set)
    handed: Set[Global] = field(default_factory=set)
    unfollowed: Set[str] = field(default_factory=set)
    own_code: bool = False
    inside: List[bytes] = field(default_factory=list)
    sklearn_versions: Set[str] = field(default_factory=set)
    functions: List[Tuple[bytes, Tuple[str, ...]]] = field(default_factory=list)
    code_arguments: Set[int] = field(default_factory=set)
    whole: bool = True
