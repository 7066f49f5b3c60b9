"""What a pickle's calls come to, for those functions that decide what is reached: getattr, imports, the makers of code, loaders of pickles."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Callable, Optional, Pattern, Tuple

from deployer_scoring.opcodes.facts import Global, Made
from deployer_scoring.opcodes.machine import Machine

Arguments = Tuple[Any, ...]
Special = Callable[[Machine, Global, Arguments], Any]

_ARGUMENTS_OF_3_7 = 15
_CODE_TYPES = frozenset({("types", "CodeType"), ("builtins", "code")})
_GETATTR = frozenset({("builtins", "getattr"), ("__builtin__", "getattr")})
_REDUCE = frozenset({("functools", "reduce"), ("_functools", "reduce"), ("__builtin__", "reduce")})
_TYPE = frozenset({("builtins", "type"), ("__builtin__", "type")})
_OR = frozenset({("operator", "or_"), ("_operator", "or_")})
# These make an object of the class that they are given.
_OF_A_CLASS = frozenset({"_reconstructor", "__newobj__", "__newobj_ex__", "_reconstruct"})
_CLOUDPICKLE = re.compile(r"(joblib\.externals\.|pyspark\.|ray\.)?cloudpickle(\.\w+)?")
_DILL = re.compile(r"dill(\._dill)?")
_OWN_FUNCTIONS = frozenset({"_make_function", "_make_skel_func", "_create_function"})
_OWN_CODE = _OWN_FUNCTIONS | {"_make_skeleton_class", "_make_skeleton_enum", "_rehydrate_skeleton_class", "_create_type", "_create_code"}
_FROM_BYTES = re.compile(
    r"(_?pickle|cPickle|cloudpickle(\.\w+)?|dill(\._dill)?|marshal)\.loads|torch\.storage\._load_from_bytes"
    r"|joblib\.externals\.loky\.cloudpickle_wrapper\._reconstruct_wrapper"
)


def call(machine: Machine, function: Any, arguments: Arguments) -> Any:
    """What a call gives; what it means is noted in the machine's facts."""
    if type(function) is not Global:
        return _call_made(machine, function, arguments)
    facts = machine.facts
    facts.calls.add(function)
    for each in arguments:
        if type(each) is Global:
            (facts.made if function.name in _OF_A_CLASS else facts.handed).add(each)
    special = _special(function)
    return Made(function, arguments) if special is None else special(machine, function, arguments)


@lru_cache(maxsize=1024)
def _special(function: Global) -> Optional[Special]:
    """What a call of this function comes to, where that is more than an object."""
    key = (function.module, function.name)
    ours = _is_of(function, _CLOUDPICKLE) or _is_of(function, _DILL)
    if key in _GETATTR:
        return _attribute
    if function.name in {"__import__", "import_module", "_import_module"} or (ours and function.name == "subimport"):
        return _imported
    if _FROM_BYTES.fullmatch(str(function)):
        return _load_inside
    if key in _CODE_TYPES or (ours and function.name == "_create_code"):
        return _make_code
    if ours and function.name in _OWN_CODE:
        return _make_own
    return {**dict.fromkeys(_REDUCE, _reduce), **dict.fromkeys(_TYPE, _make_type)}.get(key)


def make(machine: Machine, kind: Any, arguments: Arguments) -> Any:
    """An object of a class, made by its `__new__` alone."""
    if isinstance(kind, Global):
        machine.facts.made.add(kind)
        return Made(kind, arguments)
    if not isinstance(kind, Made) or kind.by is None or not (_is_of(kind.by, _CLOUDPICKLE) or _is_of(kind.by, _DILL)):
        machine.facts.unfollowed.add("makes an object of a class that it computes")
    return Made(None, arguments)


def _call_made(machine: Machine, function: Any, arguments: Arguments) -> Any:
    """Call what was not imported, but made."""
    by = function.by if isinstance(function, Made) else None
    if by is None:
        machine.facts.unfollowed.add("calls what it computes")
    elif _is_of(by, _CLOUDPICKLE) or _is_of(by, _DILL):
        if by.name in {"_builtin_type", "_load_type"}:
            if function.arguments == ("CodeType",):
                _note_code(machine, arguments)
        elif by.name in _OWN_FUNCTIONS:
            machine.facts.unfollowed.add("calls a function of its own while it is loaded")
    else:
        machine.facts.unfollowed.add(f"calls what {by} gives it")
    return Made(None, arguments)


def _is_of(function: Global, modules: Pattern[str]) -> bool:
    return modules.fullmatch(function.module) is not None


def _attribute(machine: Machine, _: Global, arguments: Arguments) -> Any:
    owner, name = (*arguments, None, None)[:2]
    if not isinstance(name, str):
        machine.facts.unfollowed.add("takes an attribute whose name it computes")
        return Made(None)
    if isinstance(owner, Global):
        found = Global(owner.module, f"{owner.name}.{name}" if owner.name else name)
        machine.facts.imports.add(found)
        return found
    if name.startswith("__") and name.endswith("__"):
        machine.facts.unfollowed.add(f"takes {name} of an object")
    return Made(Global("builtins", "getattr"), arguments)


def _imported(machine: Machine, _: Global, arguments: Arguments) -> Any:
    if not arguments or not isinstance(arguments[0], str):
        machine.facts.unfollowed.add("imports a module whose name it computes")
        return Made(None)
    module = Global(arguments[0], "")
    machine.facts.imports.add(module)
    return module


def _load_inside(machine: Machine, function: Global, arguments: Arguments) -> Any:
    machine.look_inside(arguments[0] if arguments else None)
    return Made(function, arguments)


def _make_code(machine: Machine, function: Global, arguments: Arguments) -> Any:
    _note_code(machine, arguments)
    return Made(function, arguments)


def _make_own(machine: Machine, function: Global, arguments: Arguments) -> Any:
    machine.facts.own_code = True
    return Made(function, arguments)


def _reduce(machine: Machine, function: Global, arguments: Arguments) -> Any:
    if not (arguments and type(arguments[0]) is Global and arguments[0] in _OR):  # int | str is pickled so
        machine.facts.unfollowed.add(f"calls what it hands to {function}")
    return Made(function, arguments)


def _make_type(machine: Machine, function: Global, arguments: Arguments) -> Any:
    if len(arguments) != 1:
        machine.facts.unfollowed.add("makes a class of what it holds")
    return Made(function, arguments)


def _note_code(machine: Machine, arguments: Arguments) -> None:
    machine.facts.own_code = True
    machine.facts.code_arguments.add(len(arguments))
    first = 5 if len(arguments) == _ARGUMENTS_OF_3_7 else 6  # since 3.8 there is the number of positional-only arguments before it
    code, names = (*arguments, None, None)[first : first + 3 : 2]
    if isinstance(code, bytes) and isinstance(names, tuple):
        machine.facts.functions.append((code, tuple(name if isinstance(name, str) else "" for name in names)))
