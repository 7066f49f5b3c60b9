"""Models pickled so that MLflow can load them where this package isn't installed: our base classes stand under MLflow's names.

cloudpickle takes by value what comes from `__main__`, a notebook or a function's body, and by reference what can be imported. What it wrote of
ours by reference is then renamed, opcode by opcode: the pickle is one that MLflow could have made.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional, Tuple

from deployer_scoring.python_model import MLFLOW_NAMES
from deployer_scoring.schema.hints import TypeFromExample

Name = Tuple[str, str]

_OURS: dict[Name, Name] = {(each.__module__, each.__name__): name for name, each in MLFLOW_NAMES.items()}
# pickle's opcodes, by name: those that push a string, file what was pushed last in the memo, get it from there, and change nothing.
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_PUTS = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})
_NEUTRAL = frozenset({"PROTO", "FRAME"})
_POP, _GLOBAL = b"0", b"c"


class Opcode(NamedTuple):
    """An opcode of a pickle: its name, where it starts and ends, and the global that it makes."""

    name: str
    start: int
    end: int
    makes: Optional[Name]


def write_pickle(model: Any, path: Path) -> None:
    """Write a model as MLflow's pickle. Takes no more memory than cloudpickle does.

    Raises:
        Anything that cloudpickle raises for what can't be pickled: locks, open files, connections.
    """
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc,unused-ignore]
        def reducer_override(self, obj: Any) -> Any:
            # By its name, as every other global: cloudpickle's own form of a TypeVar imports its module.
            return obj.__name__ if obj is TypeFromExample else super().reducer_override(obj)

    with path.open("w+b") as file:
        Pickler(file).dump(model)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _write_renamed(data, path, _OURS)


def globals_of(data: Any) -> set[Name]:
    """The module and name of each global that a pickle (bytes, an mmap) refers to. Nothing is executed.

    Raises:
        ValueError: Not a pickle.
    """
    return {each.makes for each in _opcodes(data) if each.makes is not None}


def _write_renamed(data: mmap.mmap, path: Path, names: Mapping[Name, Name]) -> None:
    """The pickle at a path with globals renamed; everything else, user's strings included, stays as it is."""
    if not any(data.find(module.encode()) >= 0 for module, _ in names):
        return
    fresh = path.with_name(path.name + ".renamed")
    with fresh.open("wb") as out, memoryview(data) as view:
        copied = 0
        for opcode in _opcodes(data):
            name = names.get(opcode.makes) if opcode.makes is not None else None
            if name is not None or opcode.name == "FRAME":
                out.write(view[copied : opcode.start])
                # A frame tells its length, which changes; frames are optional.
                out.write(b"" if name is None else _global(name))
                copied = opcode.end
        out.write(view[copied:])
    fresh.replace(path)


def _global(name: Name) -> bytes:
    """Opcodes that put a global in the place of the two strings on the stack."""
    return _POP + _POP + _GLOBAL + f"{name[0]}\n{name[1]}\n".encode()


def _opcodes(data: Any) -> Iterator[Opcode]:
    waiting: Optional[tuple[str, int, Optional[Name]]] = None  # where an opcode ends, the next one tells
    for name, start, makes in _with_globals(data):
        if waiting is not None:
            yield Opcode(waiting[0], waiting[1], start, waiting[2])
        waiting = (name, start, makes)
    if waiting is not None:
        yield Opcode(waiting[0], waiting[1], len(data), waiting[2])


def _with_globals(data: Any) -> Iterator[tuple[str, int, Optional[Name]]]:
    """Follow the strings over the stack and the memo, as far as globals are made of them."""
    last: tuple[Any, Any] = (None, None)
    memo: dict[int, Any] = {}
    opcodes: Iterator[tuple[pickletools.OpcodeInfo, Any, Optional[int]]] = pickletools.genops(data)
    for opcode, argument, position in opcodes:
        makes: Optional[Name] = None
        if opcode.name in _STRINGS:
            last = (last[1], argument)
        elif opcode.name in _PUTS:
            memo[len(memo) if argument is None else int(argument)] = last[1]
        elif opcode.name in _GETS:
            last = (last[1], memo.get(int(argument)))
        elif opcode.name not in _NEUTRAL:
            if opcode.name == "STACK_GLOBAL":
                makes = last if isinstance(last[0], str) and isinstance(last[1], str) else None
            elif opcode.name == "GLOBAL":
                module, _, attribute = str(argument).partition(" ")
                makes = (module, attribute)
            last = (None, None)
        yield opcode.name, int(position or 0), makes
