"""What a pickle would do, read off its operations without doing any of it: what it imports, calls and carries.

A pickle is a program for a small machine with a stack. Here that machine runs with everything replaced by what is known of it: a global is
its name, an object is the global that would make it with the arguments it would get. Nothing is imported, nothing called. The operations
and what each does to the stack are those of `pickletools`; only those that carry meaning are spelled out below.

joblib writes arrays between the operations: they are skipped by the shape and dtype that stand before them.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_OPERATIONS = 2_000_000
"""Operations that are looked at: some three seconds. Arrays count as one; a vocabulary counts three a word."""

_SKIPPED_BYTES = 1 << 16
_MARK = object()
_OPAQUE = object()
"""A value of which nothing needs to be known."""
_LENGTHS = {
    ord("T"): "<i",
    ord("X"): "<I",
    ord("B"): "<I",
    0x8D: "<Q",  # BINUNICODE8
    0x8E: "<Q",  # BINBYTES8
    0x96: "<Q",  # BYTEARRAY8
}
_TEXT = {ord("X"), 0x8D}
_JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_ARGUMENTS_OF_3_7 = 15
_CODE_TYPES = {("types", "CodeType"), ("builtins", "code"), ("cloudpickle.cloudpickle", "CodeType")}


class BrokenPickle(Exception):
    """The bytes are no pickle, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle imports; without a name, the module itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(slots=True)
class Made:
    """An object that the pickle would make by calling a global, as far as it matters."""

    by: Global | None
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass(slots=True)
class PickleFacts:
    """What one file's pickles say of themselves.

    Attributes:
        protocol: the highest that they use; 0 where none is stated.
        imports: every global that is imported, whether or not it is called.
        calls: those that are called while it loads.
        sklearn_versions: of the estimators inside.
        functions: of each code object inside, the bytecode and the names that it uses.
        code_arguments: how many arguments the code objects inside are made of: 15 by Python 3.7, 16 by 3.8 to 3.10, 18 since 3.11.
        whole: false where it is longer than what was looked at.
    """

    protocol: int = 0
    imports: set[Global] = field(default_factory=set)
    calls: set[Global] = field(default_factory=set)
    sklearn_versions: set[str] = field(default_factory=set)
    functions: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    code_arguments: set[int] = field(default_factory=set)
    whole: bool = True


def read_pickle(file: BinaryIO, facts: PickleFacts, *, most: int = MOST_OPERATIONS) -> None:
    """Look at the pickle that begins where the file stands, and at those right behind it.

    Args:
        file: stands where the pickle begins; large values are skipped, not read.
        facts: is filled as it is read, so that something is known of a broken one, too.
        most: how many operations are looked at.

    Raises:
        BrokenPickle: it is none, or ends in the middle; the message says where.
    """
    while most > 0:
        most = _Machine(file, facts, most).run()
        if not _begins(file):
            return


def _begins(file: BinaryIO) -> bool:
    """Whether another pickle follows (torch's older files hold five in a row)."""
    peek = getattr(file, "peek", None)  # no step back: a compressed file would begin anew
    head: bytes = peek(2)[:2] if peek else b""
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


class _Machine:
    """Runs one pickle."""

    def __init__(self, file: BinaryIO, facts: PickleFacts, most: int) -> None:
        self.file, self.facts, self.left = file, facts, most
        self.begin = file.tell()
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> int:
        """How many operations may still be looked at."""
        try:
            self._run()
        except BrokenPickle:
            raise
        except (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, OverflowError) as error:
            place = self.file.tell() - self.begin
            raise BrokenPickle(f"it can't be read past byte {place}: {' '.join(str(error).split())[:120]}") from error
        return self.left

    def _run(self) -> None:
        read, stack = self.file.read, self.stack
        while self.left > 0:
            self.left -= 1
            code = read(1)
            if not code:
                raise BrokenPickle(f"it ends in the middle, after {self.file.tell() - self.begin} bytes")
            number = code[0]
            if number in _LENGTHS:
                stack.append(self._long(number))
                continue
            meaning = _MEANINGS.get(number)
            if meaning is None:
                raise BrokenPickle(f"byte {self.file.tell() - self.begin - 1} is no operation of a pickle")
            reader, act = meaning
            argument = reader(self.file) if reader is not None else None
            if act is None:
                return
            act(self, argument)
        self.facts.whole = False

    def _long(self, number: int) -> Any:
        """A text or bytes with its length before it; what is long is skipped."""
        form = _LENGTHS[number]
        (length,) = struct.unpack(form, self.file.read(struct.calcsize(form)))
        if length <= _SKIPPED_BYTES:
            data = self.file.read(length)
            if len(data) < length:
                raise BrokenPickle(f"it ends in the middle, after {self.file.tell() - self.begin} bytes")
            return data.decode("utf-8", "surrogatepass") if number in _TEXT else data
        self._skip(length)
        return _OPAQUE

    def _skip(self, length: int) -> None:
        if length:
            self.file.seek(length - 1, io.SEEK_CUR)
            if not self.file.read(1):  # seeking alone goes past the end
                raise BrokenPickle(f"it ends in the middle: {length} bytes are missing")

    def pop_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                found = self.stack[index + 1 :]
                del self.stack[index:]
                return found
        raise BrokenPickle("it is no pickle: a mark is missing")

    def import_(self, module: Any, name: Any) -> None:
        if isinstance(module, str) and isinstance(name, str):
            found = Global(module, name)
            self.facts.imports.add(found)
            self.stack.append(found)
        else:
            self.stack.append(_OPAQUE)

    def call(self, function: Any, arguments: Any) -> None:
        arguments = arguments if isinstance(arguments, tuple) else ()
        if isinstance(function, Global):
            self.facts.calls.add(function)
            if (function.module, function.name) == ("cloudpickle.cloudpickle", "_builtin_type") and arguments == ("CodeType",):
                self.stack.append(Global("types", "CodeType"))
                return
            if (function.module, function.name) in _CODE_TYPES:
                self._function(arguments)
            if function.name == "__import__" or (function.module, function.name) == ("cloudpickle.cloudpickle", "subimport"):
                self._imported_by_call(arguments)
        self.stack.append(Made(function if isinstance(function, Global) else None, arguments))

    def _function(self, arguments: tuple[Any, ...]) -> None:
        self.facts.code_arguments.add(len(arguments))
        first = 5 if len(arguments) == _ARGUMENTS_OF_3_7 else 6  # since 3.8 there is the number of positional-only arguments before it
        code, names = (*arguments, None, None)[first : first + 3 : 2]
        if isinstance(code, bytes) and isinstance(names, tuple):
            self.facts.functions.append((code, tuple(name if isinstance(name, str) else "" for name in names)))

    def _imported_by_call(self, arguments: tuple[Any, ...]) -> None:
        if arguments and isinstance(arguments[0], str):
            self.facts.imports.add(Global(arguments[0], ""))

    def build(self, made: Any, state: Any) -> None:
        if not isinstance(made, Made):
            return
        made.state = state
        if isinstance(state, dict) and isinstance(version := state.get("_sklearn_version"), str):
            self.facts.sklearn_versions.add(version)
        maker = made.arguments[0] if made.by and made.by.name in {"_reconstructor", "__newobj__", "__newobj_ex__"} and made.arguments else made.by
        if isinstance(maker, Global) and (maker.module, maker.name) == _JOBLIB_ARRAY:
            self._skip_array(state)

    def _skip_array(self, state: Any) -> None:
        """The array that joblib has written here: raw bytes, or, of objects, a pickle."""
        wrapper = state if isinstance(state, dict) else {}
        dtype, shape = wrapper.get("dtype"), wrapper.get("shape")
        described = dtype.arguments[0] if isinstance(dtype, Made) and dtype.arguments else None
        if not isinstance(described, str) or not isinstance(shape, tuple) or not all(isinstance(each, int) for each in shape):
            raise BrokenPickle("it holds an array of joblib's whose size is not known")
        if described.startswith("O"):
            self.left = _Machine(self.file, self.facts, self.left).run()
            return
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            padding = self.file.read(1)
            self._skip(padding[0] if padding else 0)
        self._skip(math.prod(shape) * _item_bytes(described))


def _item_bytes(dtype: str) -> int:
    match = re.fullmatch(r"[<>|=]?([a-zA-Z])(\d+)", dtype)
    if match is None:
        raise BrokenPickle(f"it holds an array of joblib's of the unknown dtype {dtype}")
    return int(match[2]) * (4 if match[1] == "U" else 1)


# What each operation does. Those that aren't named push a value of which nothing needs to be known.

Act = Callable[[_Machine, Any], None]


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _mark(machine: _Machine, _: Any) -> None:
    machine.stack.append(_MARK)


def _memoize(machine: _Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put(machine: _Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _get(machine: _Machine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _protocol(machine: _Machine, number: int) -> None:
    machine.facts.protocol = max(machine.facts.protocol, number)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.import_(module, name)


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.import_(module, name)


def _reduce(machine: _Machine, _: Any) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, arguments)


def _newobj_ex(machine: _Machine, _: Any) -> None:
    machine.stack.pop()
    _reduce(machine, _)


def _inst(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    arguments = tuple(machine.pop_mark())
    machine.import_(module, name)
    machine.call(machine.stack.pop(), arguments)


def _obj(machine: _Machine, _: Any) -> None:
    function, *arguments = machine.pop_mark()
    machine.call(function, tuple(arguments))


def _build(machine: _Machine, _: Any) -> None:
    state = machine.stack.pop()
    machine.build(machine.stack[-1], state)


def _tuple(machine: _Machine, _: Any) -> None:
    machine.stack.append(tuple(machine.pop_mark()))


def _tuple_of(count: int) -> Act:
    def act(machine: _Machine, _: Any) -> None:
        taken = tuple(machine.stack[-count:])
        if len(taken) < count:
            raise IndexError("too few values for a tuple")
        machine.stack[-count:] = [taken]

    return act


def _empty_dict(machine: _Machine, _: Any) -> None:
    machine.stack.append({})


def _dict(machine: _Machine, _: Any) -> None:
    found: dict[Any, Any] = {}
    _fill(found, machine.pop_mark())
    machine.stack.append(found)


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.pop_mark()
    _fill(machine.stack[-1], items)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _fill(machine.stack[-1], [key, value])


def _fill(target: Any, items: list[Any]) -> None:
    """Keep what is under a name: attributes. A vocabulary of a million words is no state of interest, and stays out after the first few."""
    if isinstance(target, dict):
        target.update((key, value) for key, value in _pairs(items) if isinstance(key, str) and len(target) < 10_000)


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _dup(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.stack[-1])


def _pop(machine: _Machine, _: Any) -> None:
    machine.stack.pop()


def _pop_mark(machine: _Machine, _: Any) -> None:
    machine.pop_mark()


def _collect(machine: _Machine, _: Any) -> None:
    machine.pop_mark()
    machine.stack.append(_OPAQUE)


def _persistent(machine: _Machine, _: Any) -> None:
    machine.stack[-1] = _OPAQUE


def _nothing(machine: _Machine, _: Any) -> None:
    pass


_ACTS: dict[str, Act] = {
    "MARK": _mark,
    "MEMOIZE": _memoize,
    "PROTO": _protocol,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _newobj_ex,
    "INST": _inst,
    "OBJ": _obj,
    "BUILD": _build,
    "TUPLE": _tuple,
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "EMPTY_DICT": _empty_dict,
    "DICT": _dict,
    "SETITEMS": _set_items,
    "SETITEM": _set_item,
    "DUP": _dup,
    **dict.fromkeys(("APPEND", "POP"), _pop),
    **dict.fromkeys(("APPENDS", "ADDITEMS", "POP_MARK"), _pop_mark),
    **dict.fromkeys(("LIST", "FROZENSET"), _collect),
    **dict.fromkeys(("FRAME", "READONLY_BUFFER"), _nothing),
    "BINPERSID": _persistent,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES"), _push),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push),
}


def _push_opaque(machine: _Machine, _: Any) -> None:
    machine.stack.append(_OPAQUE)


_MEANINGS: dict[int, tuple[Callable[[Any], Any] | None, Act | None]] = {
    ord(operation.code): (
        operation.arg.reader if operation.arg is not None else None,
        None if operation.name == "STOP" else _ACTS.get(operation.name, _push_opaque),
    )
    for operation in pickletools.opcodes
}
"""By byte: what reads its argument, and what it does; the last one does nothing but end it."""
