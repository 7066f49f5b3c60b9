"""Runs a pickle without doing anything of it.

A pickle is a program for a small machine with a stack. Here that machine runs with everything replaced by what is known of it: a global is
its name, an object is the global that would make it with the arguments it would get. Nothing is imported, nothing called.

joblib writes arrays between the operations: they are skipped by the shape and dtype that stand before them.
"""

from __future__ import annotations

import io
import re
import struct
from copy import deepcopy
from typing import Any, BinaryIO, Dict, List, Tuple

from deployer_scoring.opcodes import calling
from deployer_scoring.opcodes.facts import BrokenPickle, Global, Made, PickleFacts, Skipped
from deployer_scoring.opcodes.operations import MARK, MEANINGS, OPAQUE

MOST_OPERATIONS = 2_000_000
"""Operations that are looked at: some three seconds. Arrays count as one; a vocabulary counts three a word."""

_SKIPPED_BYTES = 1 << 16
_MOST_INSIDE = 1 << 26
_JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_MAKERS = {"_reconstructor", "__newobj__", "__newobj_ex__"}
# Attributes that decide what is called; no library keeps them in the state of an object.
_DECIDING = frozenset(
    {"__setstate__", "__class__", "__reduce__", "__reduce_ex__", "__call__", "__new__", "__init__", "__getattr__", "__getattribute__"}
    | {"__globals__", "__code__", "__builtins__", "__setattr__", "__del__"}
)


def read_pickle(file: BinaryIO, facts: PickleFacts, *, most: int = MOST_OPERATIONS) -> None:
    """Look at the pickle that begins where the file stands, and at those behind it.

    Args:
        file: stands where the pickle begins; large values are skipped, not read.
        facts: is filled as it is read, so that something is known of a broken one, too.
        most: how many operations are looked at.

    Raises:
        BrokenPickle: the first is none, or ends in the middle; the message says where.
    """
    most = Machine(file, facts, most).run()
    while most > 0 and _begins(file):
        most = Machine(file, facts, most).run()
    if most > 0:
        _read_rest(file, facts, most)


def _begins(file: BinaryIO) -> bool:
    """Whether another pickle follows (torch's older files hold five in a row)."""
    head = _peeked(file)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _peeked(file: BinaryIO) -> bytes:
    if hasattr(file, "peek"):  # no step back: a compressed file would begin anew
        return bytes(file.peek(2)[:2])
    head = file.read(2)
    file.seek(-len(head), io.SEEK_CUR)
    return head


def _read_rest(file: BinaryIO, facts: PickleFacts, most: int) -> None:
    """What stands behind the last pickle: one of protocol 0 or 1, which tells by nothing that it is, or anything else."""
    while most > 0 and _peeked(file):
        found = deepcopy(facts)
        try:
            most = Machine(file, found, most).run()
        except BrokenPickle:
            return
        facts.__dict__.update(found.__dict__)


class Machine:
    """Runs one pickle."""

    def __init__(self, file: BinaryIO, facts: PickleFacts, most: int) -> None:
        self.file, self.facts, self.left = file, facts, most
        self.begin = file.tell()
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}

    def run(self) -> int:
        """How many operations may still be looked at."""
        try:
            self._run()
        except BrokenPickle:
            raise
        except (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, OverflowError, AttributeError) as error:
            place = self.file.tell() - self.begin
            raise BrokenPickle(f"it can't be read past byte {place}: {' '.join(str(error).split())[:120]}") from error
        return self.left

    def _run(self) -> None:
        read, file, meanings = self.file.read, self.file, MEANINGS
        while self.left > 0:
            self.left -= 1
            code = read(1)
            meaning = meanings.get(code)
            if meaning is None:
                raise self._unknown(code)
            reader, act = meaning
            if act is None:
                return
            act(self, reader(file) if reader is not None else None)
        self.facts.whole = False

    def _unknown(self, code: bytes) -> BrokenPickle:
        place = self.file.tell() - self.begin
        return BrokenPickle(f"byte {place - 1} is no operation of a pickle" if code else f"it ends in the middle, after {place} bytes")

    def long(self, form: struct.Struct, *, text: bool) -> Any:
        """A text or bytes with its length before it; what is long is skipped."""
        (length,) = form.unpack(self.file.read(form.size))
        if length < 0:
            raise ValueError("a text of less than no bytes")
        if length <= _SKIPPED_BYTES:
            data = self.file.read(length)
            if len(data) < length:
                raise BrokenPickle(f"it ends in the middle, after {self.file.tell() - self.begin} bytes")
            return data.decode("utf-8", "surrogatepass") if text else data
        place = self.file.tell()
        self._skip(length)
        return OPAQUE if text else Skipped(place, length)

    def _skip(self, length: int) -> None:
        if length:
            self.file.seek(length - 1, io.SEEK_CUR)
            if not self.file.read(1):  # seeking alone goes past the end
                raise BrokenPickle(f"it ends in the middle: {length} bytes are missing")

    def pop_mark(self) -> List[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is MARK:
                found = self.stack[index + 1 :]
                del self.stack[index:]
                return found
        raise BrokenPickle("it is no pickle: a mark is missing")

    def import_(self, module: Any, name: Any) -> None:
        if isinstance(module, bytes) and isinstance(name, bytes):  # texts of Python 2
            module, name = module.decode("latin-1"), name.decode("latin-1")
        if isinstance(module, str) and isinstance(name, str):
            found = Global(module, name)
            self.facts.imports.add(found)
            self.stack.append(found)
        else:
            self.facts.unfollowed.add("imports a name that it computes")
            self.stack.append(OPAQUE)

    def call(self, function: Any, arguments: Any) -> None:
        """Call with a tuple of arguments."""
        self.stack.append(calling.call(self, function, _as_arguments(arguments)))

    def make(self, kind: Any, arguments: Any) -> None:
        """Make an object of a class by its `__new__`."""
        self.stack.append(calling.make(self, kind, _as_arguments(arguments)))

    def look_inside(self, data: Any) -> None:
        """Keep bytes that are loaded as a pickle themselves."""
        if isinstance(data, Skipped) and data.length <= _MOST_INSIDE and isinstance(self.file, (io.BufferedReader, io.BytesIO)):
            place = self.file.tell()
            self.file.seek(data.place)
            data = self.file.read(data.length)
            self.file.seek(place)
        if isinstance(data, bytes):
            self.facts.inside.append(data)
        else:
            self.facts.unfollowed.add("loads a pickle that it holds, which was not looked into")

    def change(self, target: Any) -> None:
        """Put something into an object."""
        if isinstance(target, Global):
            self.facts.unfollowed.add(f"changes {target} itself")

    def build(self, made: Any, state: Any) -> None:
        self.change(made)
        if not isinstance(made, Made):
            return
        made.state = state
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict) and not _DECIDING.isdisjoint(part):
                self.facts.unfollowed.add(f"sets {', '.join(sorted(_DECIDING.intersection(part)))} of an object")
        if isinstance(state, dict) and isinstance(version := state.get("_sklearn_version"), str):
            self.facts.sklearn_versions.add(version)
        maker = made.arguments[0] if made.by and made.by.name in _MAKERS and made.arguments else made.by
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
            self.left = Machine(self.file, self.facts, self.left).run()
            return
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            padding = self.file.read(1)
            self._skip(padding[0] if padding else 0)
        self._skip(_product(shape) * _item_bytes(described))


def _as_arguments(value: Any) -> Tuple[Any, ...]:
    return value if type(value) is tuple else ()


def _product(shape: Tuple[int, ...]) -> int:
    product = 1
    for each in shape:
        product *= each
    return product


def _item_bytes(dtype: str) -> int:
    match = re.fullmatch(r"[<>|=]?([a-zA-Z])(\d+)", dtype)
    if match is None:
        raise BrokenPickle(f"it holds an array of joblib's of the unknown dtype {dtype}")
    return int(match[2]) * (4 if match[1] == "U" else 1)
