"""What each operation of a pickle does to the stack. They are those of `pickletools`; those that carry no meaning push a value of which nothing
needs to be known."""

from __future__ import annotations

import codecs
import pickletools
import struct
from typing import Any, Callable, Dict, List, Optional, Tuple

from deployer_scoring.opcodes import calling
from deployer_scoring.opcodes.facts import Global
from deployer_scoring.opcodes.machine import MARK, OPAQUE, Machine

_MOST_KEPT = 10_000
_STORAGE = "storage"

Act = Callable[[Machine, Any], None]


def _push(machine: Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _mark(machine: Machine, _: Any) -> None:
    machine.stack.append(MARK)


def _memoize(machine: Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put(machine: Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _get(machine: Machine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _protocol(machine: Machine, number: int) -> None:
    machine.facts.protocol = max(machine.facts.protocol, number)


def _global(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.import_(module, name)


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.import_(module, name)


def _extension(machine: Machine, code: int) -> None:
    machine.facts.unfollowed.add(f"imports what the extension code {code} stands for where it is loaded")
    machine.stack.append(OPAQUE)


def _reduce(machine: Machine, _: Any) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(calling.call(machine, function, _as_arguments(arguments)))


def _as_arguments(value: Any) -> Tuple[Any, ...]:
    return value if type(value) is tuple else ()


def _newobj(machine: Machine, _: Any) -> None:
    arguments, kind = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(calling.make(machine, kind, _as_arguments(arguments)))


def _newobj_ex(machine: Machine, _: Any) -> None:
    machine.stack.pop()
    _newobj(machine, _)


def _inst(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    arguments = tuple(machine.pop_mark())
    machine.import_(module, name)
    machine.stack.append(calling.call(machine, machine.stack.pop(), arguments))


def _obj(machine: Machine, _: Any) -> None:
    function, *arguments = machine.pop_mark()
    machine.stack.append(calling.call(machine, function, tuple(arguments)))


def _build(machine: Machine, _: Any) -> None:
    state = machine.stack.pop()
    machine.build(machine.stack[-1], state)


def _tuple(machine: Machine, _: Any) -> None:
    machine.stack.append(tuple(machine.pop_mark()))


def _empty_tuple(machine: Machine, _: Any) -> None:
    machine.stack.append(())


def _tuple_of(count: int) -> Act:
    def act(machine: Machine, _: Any) -> None:
        taken = tuple(machine.stack[-count:])
        if len(taken) < count:
            raise IndexError("too few values for a tuple")
        machine.stack[-count:] = [taken]

    return act


def _empty_dict(machine: Machine, _: Any) -> None:
    machine.stack.append({})


def _dict(machine: Machine, _: Any) -> None:
    found: Dict[Any, Any] = {}
    _fill(machine, found, machine.pop_mark())
    machine.stack.append(found)


def _set_items(machine: Machine, _: Any) -> None:
    items = machine.pop_mark()
    _fill(machine, machine.stack[-1], items)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _fill(machine, machine.stack[-1], [key, value])


def _fill(machine: Machine, target: Any, items: List[Any]) -> None:
    """Keep what is under a name: attributes. A vocabulary of a million words is no state of interest, and stays out after the first few."""
    if len(items) % 2:
        raise ValueError("a key without its value")
    if type(target) is Global:
        machine.change(target)
    elif isinstance(target, dict) and len(target) < _MOST_KEPT:
        target.update((key, value) for key, value in zip(items[::2], items[1::2]) if isinstance(key, str))


def _dup(machine: Machine, _: Any) -> None:
    machine.stack.append(machine.stack[-1])


def _pop(machine: Machine, _: Any) -> None:
    machine.stack.pop()


def _append(machine: Machine, _: Any) -> None:
    machine.stack.pop()
    if type(target := machine.stack[-1]) is Global:
        machine.change(target)


def _pop_mark(machine: Machine, _: Any) -> None:
    machine.pop_mark()


def _append_all(machine: Machine, _: Any) -> None:
    machine.pop_mark()
    if type(target := machine.stack[-1]) is Global:
        machine.change(target)


def _collect(machine: Machine, _: Any) -> None:
    machine.pop_mark()
    machine.stack.append(OPAQUE)


def _persistent(machine: Machine, identity: Any) -> None:
    """What the loader makes of an id; torch's are tuples that begin with "storage"."""
    if not (isinstance(identity, tuple) and identity and identity[0] in {_STORAGE, _STORAGE.encode()}):
        machine.facts.unfollowed.add("asks its loader for an object by an id")
    machine.stack.append(OPAQUE)


def _persistent_on_stack(machine: Machine, _: Any) -> None:
    _persistent(machine, machine.stack.pop())


def _nothing(machine: Machine, _: Any) -> None:
    pass


def _push_opaque(machine: Machine, _: Any) -> None:
    machine.stack.append(OPAQUE)


def _long(form: str, *, text: bool) -> Act:
    length = struct.Struct(form)

    def act(machine: Machine, _: Any) -> None:
        machine.stack.append(machine.long(length, text=text))

    return act


def _read_byte(file: Any) -> int:
    return file.read(1)[0]  # type: ignore[no-any-return]


def _read_string(file: Any) -> str:
    """A text of Python 2, quoted, whose bytes may be of any encoding."""
    line = file.readline().strip()
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise ValueError("a text of Python 2 without its quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")  # type: ignore[attr-defined, no-any-return, unused-ignore]


_ACTS: Dict[str, Act] = {
    "MARK": _mark,
    "MEMOIZE": _memoize,
    "PROTO": _protocol,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _newobj,
    "NEWOBJ_EX": _newobj_ex,
    "INST": _inst,
    "OBJ": _obj,
    "BUILD": _build,
    "TUPLE": _tuple,
    "EMPTY_TUPLE": _empty_tuple,
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "EMPTY_DICT": _empty_dict,
    "DICT": _dict,
    "SETITEMS": _set_items,
    "SETITEM": _set_item,
    "DUP": _dup,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "APPEND": _append,
    "PERSID": _persistent,
    "BINPERSID": _persistent_on_stack,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _append_all),
    **dict.fromkeys(("LIST", "FROZENSET"), _collect),
    **dict.fromkeys(("FRAME", "READONLY_BUFFER"), _nothing),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("STRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES"), _push),
    "BINSTRING": _long("<i", text=False),
    "BINUNICODE": _long("<I", text=True),
    "BINBYTES": _long("<I", text=False),
    "BINUNICODE8": _long("<Q", text=True),
    **dict.fromkeys(("BINBYTES8", "BYTEARRAY8"), _long("<Q", text=False)),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push),
}

# Those of pickletools that are too slow, too strict, or read what is better skipped.
_READERS: Dict[str, Optional[Callable[[Any], Any]]] = {
    "STRING": _read_string,
    **dict.fromkeys(("BINPUT", "BINGET", "BININT1"), _read_byte),
    **dict.fromkeys(("BINSTRING", "BINUNICODE", "BINBYTES", "BINUNICODE8", "BINBYTES8", "BYTEARRAY8"), None),
}

MEANINGS: Dict[bytes, Tuple[Optional[Callable[[Any], Any]], Optional[Act]]] = {
    operation.code.encode("latin-1"): (
        _READERS.get(operation.name, operation.arg.reader if operation.arg is not None else None),
        None if operation.name == "STOP" else _ACTS.get(operation.name, _push_opaque),
    )
    for operation in pickletools.opcodes
}
"""By byte: what reads its argument, and what it does; the last one does nothing but end it."""
