"""The machine that a pickle is a program for, with everything replaced by what is known of it.

A pickle is a program for a small machine with a stack. Here a global is its name, an object is the global that would make it with the
arguments it would get. Nothing is imported, nothing called.

joblib writes arrays between the operations: they are skipped by the shape and dtype that stand before them.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Any, BinaryIO, Dict, List, Tuple

from deployer_scoring.opcodes.facts import BrokenPickle, Global, Made, PickleFacts, Skipped

MARK = object()
OPAQUE = object()
"""A value of which nothing needs to be known."""

_SKIPPED_BYTES = 1 << 16
_MOST_INSIDE = 1 << 26
_JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_MAKERS = {"_reconstructor", "__newobj__", "__newobj_ex__"}
# Attributes that decide what is called; no library keeps them in the state of an object.
_DECIDING = frozenset(
    {"__setstate__", "__class__", "__reduce__", "__reduce_ex__", "__call__", "__new__", "__init__", "__getattr__", "__getattribute__"}
    | {"__globals__", "__code__", "__builtins__", "__setattr__", "__del__"}
)


class Machine:
    """The state of one pickle that is being read, and what operations do to it."""

    def __init__(self, file: BinaryIO, facts: PickleFacts, most: int) -> None:
        """Begin one.

        Args:
            file: Stands where the pickle begins.
            facts: Is filled.
            most: How many operations may be looked at.
        """
        self.file, self.facts, self.left = file, facts, most
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}
        self._begin = file.tell()
        self._outer: List[Tuple[List[Any], Dict[int, Any], int]] = []

    @property
    def place(self) -> int:
        """How many bytes of the pickle have been read."""
        return self.file.tell() - self._begin

    def enter(self) -> None:
        """Begin a pickle that stands within this one."""
        self._outer.append((self.stack, self.memo, self._begin))
        self.stack, self.memo, self._begin = [], {}, self.file.tell()

    def leave(self) -> bool:
        """End the innermost pickle; false where it was the one that was begun with."""
        if not self._outer:
            return False
        self.stack, self.memo, self._begin = self._outer.pop()
        return True

    def long(self, form: struct.Struct, *, text: bool) -> Any:
        """A text or bytes with its length before it; what is long is skipped."""
        (length,) = form.unpack(self.file.read(form.size))
        if length < 0:
            raise ValueError("a text of less than no bytes")
        if length <= _SKIPPED_BYTES:
            data = self.file.read(length)
            if len(data) < length:
                raise BrokenPickle(f"it ends in the middle, after {self.place} bytes")
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
            self.enter()
            return
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            padding = self.file.read(1)
            self._skip(padding[0] if padding else 0)
        self._skip(_product(shape) * _item_bytes(described))


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
