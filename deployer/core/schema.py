"""What callers would notice of a new signature: what it loses or newly requires against the one in service.

The rules are those of the signature's enforcement when a request is answered (MLflow, "Model Signatures and Input Examples"): values widen
without loss, missing optional columns are filled, columns that the model doesn't know are ignored, but keys that an object doesn't know are
refused. Answers are read by clients, so there the same rules hold the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """One sentence a change; `breaking` ones may turn today's valid requests or readers of answers wrong."""

    breaking: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()


def schema_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> SchemaChanges:
    """Compare two signatures as MLflow writes them (JSON text or lists of columns or tensor specs, params).

    A model without a signature takes anything: going there breaks nobody, and coming from there is told but not refused.
    """
    found = [*_changes(before or {}, after or {})]
    return SchemaChanges(
        breaking=tuple(change.sentence for change in found if change.breaks),
        compatible=tuple(change.sentence for change in found if not change.breaks),
    )


class SchemaChange(NamedTuple):
    """One difference. `breaks` where a request or a reader of today may go wrong with it."""

    breaks: bool
    sentence: str


Spec = ColSpec | TensorSpec


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[SchemaChange]:
    for part, compare in (("inputs", _inputs), ("outputs", _outputs), ("params", _params)):
        old, new = _json(before.get(part)), _json(after.get(part))
        if old == new:
            continue
        try:
            yield from compare(old, new)
        except SchemaError as error:
            yield SchemaChange(True, f"the {part} changed, and can't be compared: {error}")


def _json(value: object) -> str:
    """The part as one JSON text; empty where the signature doesn't have it."""
    try:
        document = json.loads(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        return str(value)
    return json.dumps(document, sort_keys=True) if document else ""


def _inputs(before: str, after: str) -> Iterator[SchemaChange]:
    if not after:
        yield SchemaChange(False, "the model no longer says what it takes: requests are not checked any more")
        return
    new = Schema.from_json(after)
    if not before:
        yield SchemaChange(False, f"requests, not checked until now, have to carry {_listed(new)}")
        return
    old = Schema.from_json(before)
    if mixed := _form("takes", old, new):
        yield mixed
    elif not old.has_input_names():
        yield from _by_position(old, new)
    else:
        yield from _named_inputs(old, new)


def _named_inputs(before: Schema, after: Schema) -> Iterator[SchemaChange]:
    old, new = before.input_dict(), after.input_dict()
    kind = _kind(after)
    renamed = dict(_renamed(old, new))
    for was, name in renamed.items():
        yield SchemaChange(True, f"the {kind} {was} is now called {name}: requests have to say so")
    for name in [each for each in old if each not in new and each not in renamed]:
        yield SchemaChange(False, f"the {kind} {name} is no longer used: requests may go on sending it")
    for name, spec in new.items():
        if name not in old:
            if name not in renamed.values():
                needed = " and required" if spec.required else ", and optional"
                yield SchemaChange(spec.required, f"the {kind} {name} ({_type(spec)}) is new{needed}")
            continue
        if spec.required and not old[name].required:
            yield SchemaChange(True, f"the {kind} {name} is now required")
        elif old[name].required and not spec.required:
            yield SchemaChange(False, f"the {kind} {name} is now optional")
        yield from _input_type(f"the {kind} {name}", old[name], spec)


def _by_position(before: Schema, after: Schema) -> Iterator[SchemaChange]:
    kind = _kind(after)
    if len(before) != len(after):
        yield SchemaChange(True, f"the model takes {len(after)} {kind}s, until now {len(before)}")
        return
    for position, (old, new) in enumerate(zip(before.inputs, after.inputs, strict=True)):
        yield from _input_type(f"the {kind} at position {position}" if len(after) > 1 else f"the {kind}", old, new)


def _input_type(what: str, old: Spec, new: Spec) -> Iterator[SchemaChange]:
    if _type(old) == _type(new):
        return
    if why := _refusal(old, new):
        yield SchemaChange(True, f"{what} changes from {_type(old)} to {_type(new)}: {why}")
    else:
        yield SchemaChange(False, f"{what} changes from {_type(old)} to {_type(new)}, which takes all that was taken before")


def _outputs(before: str, after: str) -> Iterator[SchemaChange]:
    if not before or not after:
        yield SchemaChange(False, "the model now says what it answers" if after else "the model no longer says what it answers")
        return
    old, new = Schema.from_json(before), Schema.from_json(after)
    if mixed := _form("answers", old, new):
        yield mixed
    elif not old.has_input_names():
        if len(old) != len(new):
            yield SchemaChange(True, f"the model answers {len(new)} {_kind(new)}s, until now {len(old)}")
            return
        for position, (was, is_now) in enumerate(zip(old.inputs, new.inputs, strict=True)):
            yield from _output_type(f"the answer's {_kind(new)} {position}" if len(new) > 1 else "the answer", was, is_now)
    else:
        yield from _named_outputs(old, new)


def _named_outputs(before: Schema, after: Schema) -> Iterator[SchemaChange]:
    old, new = before.input_dict(), after.input_dict()
    for name, spec in old.items():
        what = f"the answer's {_kind(after)} {name}"
        if name not in new:
            yield SchemaChange(True, f"{what} is gone")
            continue
        if spec.required and not new[name].required:
            yield SchemaChange(True, f"{what} may be absent from now on")
        yield from _output_type(what, spec, new[name])
    for name in [each for each in new if each not in old]:
        yield SchemaChange(False, f"the answer's {_kind(after)} {name} ({_type(new[name])}) is new")


def _output_type(what: str, old: Spec, new: Spec) -> Iterator[SchemaChange]:
    if _type(old) != _type(new):
        yield SchemaChange(bool(_refusal(new, old)), f"{what} changes from {_type(old)} to {_type(new)}")


def _params(before: str, after: str) -> Iterator[SchemaChange]:
    old = {each.name: each for each in (ParamSchema.from_json(before).params if before else ())}
    new = {each.name: each for each in (ParamSchema.from_json(after).params if after else ())}
    for name, spec in old.items():
        if name in new:
            yield from _param(spec, new[name])
        else:
            yield SchemaChange(True, f"the parameter {name} is gone: requests that set it are answered as if they didn't")
    for name, spec in new.items():
        if name not in old:
            yield SchemaChange(False, f"the parameter {name} ({_param_type(spec)}, {spec.default!r} by default) is new")


def _param(old: ParamSpec, new: ParamSpec) -> Iterator[SchemaChange]:
    what = f"the parameter {new.name}"
    if _param_type(old) != _param_type(new):
        taken = old.shape == new.shape and not _type_refusal(old.dtype, new.dtype)
        yield SchemaChange(not taken, f"{what} changes from {_param_type(old)} to {_param_type(new)}")
    if old.default != new.default:
        if new.default is None:
            yield SchemaChange(True, f"{what} has no default any more, until now {old.default!r}")
        else:
            yield SchemaChange(False, f"{what} is {new.default!r} by default, until now {old.default!r}")


def _form(verb: str, old: Schema, new: Schema) -> SchemaChange | None:
    """The change where columns became tensors, or names came or went; None where both are of one form."""
    forms = [f"{'named' if each.has_input_names() else 'unnamed'} {_kind(each)}s" for each in (old, new)]
    return None if forms[0] == forms[1] else SchemaChange(True, f"the model {verb} {forms[1]}, until now {forms[0]}")


def _renamed(old: Mapping[str, Spec], new: Mapping[str, Spec]) -> Iterator[tuple[str, str]]:
    """Pairs that look like a new name for the same thing: the only one of its type that went, the only required one that came."""
    gone = [(name, _type(spec)) for name, spec in old.items() if name not in new]
    come = [(name, _type(spec)) for name, spec in new.items() if name not in old and spec.required]
    for was, kind in gone:
        others = [name for name, other in come if other == kind]
        if len(others) == 1 and [each for _, each in gone].count(kind) == 1:
            yield was, others[0]


def _refusal(old: Spec, new: Spec) -> str:
    """Why something valid for the old column or tensor may not be for the new one; empty where all of it is."""
    if isinstance(old, TensorSpec) and isinstance(new, TensorSpec):
        return _tensor_refusal(old, new)
    if isinstance(old, ColSpec) and isinstance(new, ColSpec):
        return _type_refusal(old.type, new.type)
    return "a tensor is no column"


def _tensor_refusal(old: TensorSpec, new: TensorSpec) -> str:
    if len(old.shape) != len(new.shape):
        return f"{len(new.shape)} dimensions instead of {len(old.shape)}"
    if any(length not in {-1, was} for was, length in zip(old.shape, new.shape, strict=True)):
        return f"the shape {list(new.shape)} does not take all of {list(old.shape)}"
    return "" if old.type == new.type or new.type in _WIDER_DTYPES.get(old.type, ()) else f"{new.type} does not hold all of {old.type}"


def _type_refusal(old: ColumnType, new: ColumnType) -> str:
    if old == new or isinstance(new, AnyType):
        return ""
    if isinstance(old, Object) and isinstance(new, Object):
        return _object_refusal(old, new)
    if isinstance(old, Array) and isinstance(new, Array):
        return _type_refusal(old.dtype, new.dtype)
    if isinstance(old, Map) and isinstance(new, Map):
        return _type_refusal(old.value_type, new.value_type)
    if isinstance(old, DataType) and isinstance(new, DataType):
        return "" if new in _WIDER.get(old, ()) else f"{new} does not hold all of {old}"
    return f"{new} is not {old}"


def _object_refusal(old: Object, new: Object) -> str:
    was, is_now = ({each.name: each for each in one.properties} for one in (old, new))
    if lost := [name for name in was if name not in is_now]:
        return f"the key {', '.join(lost)} is refused now"
    if wanted := [name for name, each in is_now.items() if each.required and not (name in was and was[name].required)]:
        return f"the key {', '.join(wanted)} is required now"
    return next(
        (f"the key {name}: {why}" for name, each in is_now.items() if name in was and (why := _type_refusal(was[name].dtype, each.dtype))), ""
    )


def _type(spec: Spec) -> str:
    return f"tensor({spec.type}, {list(spec.shape)})" if isinstance(spec, TensorSpec) else str(spec.type)


def _param_type(spec: ParamSpec) -> str:
    return f"{spec.dtype}{'' if spec.shape is None else '[]'}"


def _kind(schema: Schema) -> str:
    return "tensor" if schema.is_tensor_spec() else "column"


def _listed(schema: Schema) -> str:
    required = [str(name) for name in schema.required_input_names()]
    return f"the {_kind(schema)}s {', '.join(required)}" if schema.has_input_names() and required else f"{len(schema)} {_kind(schema)}s"


# A JSON number is read as the column's type, so a whole number does for any wider one.
_WIDER: Mapping[DataType, frozenset[DataType]] = {
    DataType.integer: frozenset({DataType.long, DataType.float, DataType.double}),
    DataType.long: frozenset({DataType.double}),
    DataType.float: frozenset({DataType.double}),
    DataType.datetime: frozenset({DataType.string}),
}
_CHAIN = ("int8", "int16", "int32", "int64", "float64")
_WIDER_DTYPES: Mapping[str, frozenset[str]] = {
    **{each: frozenset(_CHAIN[position + 1 :]) for position, each in enumerate(_CHAIN)},
    "uint8": frozenset({"uint16", "uint32", "uint64", "int16", "int32", "int64", "float32", "float64"}),
    "uint16": frozenset({"uint32", "uint64", "int32", "int64", "float32", "float64"}),
    "uint32": frozenset({"uint64", "int64", "float64"}),
    "float16": frozenset({"float32", "float64"}),
    "float32": frozenset({"float64"}),
}
