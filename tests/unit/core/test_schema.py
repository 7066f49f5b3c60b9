"""What callers would notice of a new signature."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.schema import SchemaChanges, schema_changes

Specs = list[dict[str, Any]]


def column(name: str | None, kind: str = "double", **more: Any) -> dict[str, Any]:
    return {"type": kind, **({} if name is None else {"name": name}), **more}


def tensor(shape: list[int], dtype: str = "float32", name: str | None = None) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **({} if name is None else {"name": name})}


def param(name: str, default: Any, kind: str = "long", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "type": kind, "default": default, "shape": shape}


def changes(before: Specs | None, after: Specs | None, part: str = "inputs") -> SchemaChanges:
    return schema_changes(
        None if before is None else {part: json.dumps(before)},
        None if after is None else {part: after},  # lists or JSON text, both are read
    )


def broken(before: Specs | None, after: Specs | None, part: str = "inputs") -> tuple[str, ...]:
    return changes(before, after, part).breaking


def test_the_same_signature_changes_nothing() -> None:
    assert changes([column("a"), column("b", "long", required=False)], [column("a"), column("b", "long", required=False)]) == SchemaChanges()


def test_a_missing_mark_means_what_mlflow_takes_it_for() -> None:
    assert changes([column("a")], [column("a", required=True)]) == SchemaChanges()


def test_the_order_of_named_columns_is_nobodys_business() -> None:
    assert changes([column("a"), column("b")], [column("b"), column("a")]) == SchemaChanges()


def test_a_model_that_says_nothing_takes_anything() -> None:
    assert changes(None, [column("a")]).breaking == ()
    assert changes([column("a")], None).breaking == ()
    assert changes(None, [column("a")]).compatible == ("requests, not checked until now, have to carry the columns a",)


def test_a_newly_required_column_breaks_and_an_optional_one_does_not() -> None:
    assert broken([column("a")], [column("a"), column("b", "long")]) == ("the column b (long) is new and required",)
    assert changes([column("a")], [column("a"), column("b", required=False)]).compatible == ("the column b (double) is new, and optional",)


def test_a_column_that_becomes_required_breaks_and_the_reverse_does_not() -> None:
    assert broken([column("a", required=False), column("b")], [column("a"), column("b")]) == ("the column a is now required",)
    assert changes([column("a"), column("b")], [column("a", required=False), column("b")]).compatible == ("the column a is now optional",)


def test_a_lost_column_is_told_for_requests_may_go_on_sending_it() -> None:
    found = changes([column("a"), column("b", "string")], [column("a")])
    assert found == SchemaChanges(compatible=("the column b is no longer used: requests may go on sending it",))


def test_a_renamed_column_is_called_renamed() -> None:
    assert broken([column("a"), column("age", "long")], [column("a"), column("years", "long")]) == (
        "the column age is now called years: requests have to say so",
    )


def test_where_it_could_be_either_nothing_is_called_renamed() -> None:
    found = changes([column("a"), column("b"), column("z", "long")], [column("c"), column("z", "long")])
    assert found.breaking == ("the column c (double) is new and required",)
    assert len(found.compatible) == 2


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ("integer", "long", False),
        ("long", "integer", True),
        ("float", "double", False),
        ("double", "float", True),
        ("long", "double", False),
        ("double", "long", True),
        ("string", "double", True),
        ("double", "string", True),
        ("datetime", "string", False),
        ("string", "datetime", True),
        ("boolean", "long", True),
        ("string", "any", False),
        ("any", "string", True),
    ],
)
def test_types_may_widen_in_requests_and_narrow_in_answers(old: str, new: str, breaks: bool) -> None:
    inputs = changes([column("a", old, required=True)], [column("a", new, required=True)])
    assert bool(inputs.breaking) is breaks
    assert len(inputs.breaking + inputs.compatible) == 1
    assert f"the column a changes from {old} to {new}" in (inputs.breaking + inputs.compatible)[0]
    assert bool(broken([column("a", new, required=True)], [column("a", old, required=True)], "outputs")) is breaks


def array(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "name": "a", "required": True}


def mapping(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "map", "values": of, "name": "a", "required": True}


def thing(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "name": "a", "required": True}


LONG, DOUBLE, TEXT = {"type": "long"}, {"type": "double"}, {"type": "string"}
MAYBE = {"type": "string", "required": False}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (array(LONG), array(DOUBLE), ""),
        (array(DOUBLE), array(LONG), "long does not hold all of double"),
        (array(TEXT), column("a", "string"), "string is not Array(string)"),
        (mapping(LONG), mapping(TEXT), "string does not hold all of long"),
        (mapping(LONG), mapping(DOUBLE), ""),
        (thing(k=TEXT), thing(k=TEXT, more=MAYBE), ""),
        (thing(k=TEXT), thing(k=TEXT, more=TEXT), "the key more is required now"),
        (thing(k=TEXT, more=TEXT), thing(k=TEXT), "the key more is refused now"),
        (thing(k=MAYBE), thing(k=TEXT), "the key k is required now"),
        (thing(k=DOUBLE), thing(k=LONG), "the key k: long does not hold all of double"),
        (array({"type": "object", "properties": {"k": LONG}}), array({"type": "object", "properties": {"k": TEXT}}), "the key k: "),
        (thing(k=TEXT), mapping(TEXT), "is not"),
    ],
)
def test_nested_types_are_compared_to_the_bottom(old: dict[str, Any], new: dict[str, Any], why: str) -> None:
    found = changes([old], [new])
    assert bool(found.breaking) is bool(why)
    assert why in "".join(found.breaking)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (tensor([-1, 4]), tensor([-1, 4], "float64"), ""),
        (tensor([-1, 4], "float64"), tensor([-1, 4]), "float32 does not hold all of float64"),
        (tensor([-1, 4], "uint8"), tensor([-1, 4], "int16"), ""),
        (tensor([2, 4]), tensor([-1, 4]), ""),
        (tensor([-1, 4]), tensor([2, 4]), "does not take all of"),
        (tensor([-1, 4]), tensor([-1, 5]), "does not take all of"),
        (tensor([-1, 4]), tensor([-1, 4, 1]), "3 dimensions instead of 2"),
    ],
)
def test_tensors_are_compared_by_dtype_and_shape(old: dict[str, Any], new: dict[str, Any], why: str) -> None:
    found = changes([old], [new])
    assert bool(found.breaking) is bool(why)
    assert why in "".join(found.breaking)


def test_named_tensors_come_and_go_like_columns() -> None:
    assert broken([tensor([1], name="a")], [tensor([1], name="a"), tensor([2], name="b")]) == (
        "the tensor b (tensor(float32, [2])) is new and required",
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ([column("a")], [tensor([-1, 1])], "the model takes unnamed tensors, until now named columns"),
        ([column("a")], [column(None)], "the model takes unnamed columns, until now named columns"),
        ([column(None)], [column("a")], "the model takes named columns, until now unnamed columns"),
        ([column(None)], [column(None), column(None)], "the model takes 2 columns, until now 1"),
    ],
)
def test_another_form_of_input_breaks(old: Specs, new: Specs, sentence: str) -> None:
    assert broken(old, new) == (sentence,)


def test_unnamed_columns_are_compared_by_position() -> None:
    assert broken([column(None), column(None, "long")], [column(None, "long"), column(None, "long")]) == (
        "the column at position 0 changes from double to long: long does not hold all of double",
    )


def test_a_lost_part_of_an_answer_breaks_and_a_new_one_does_not() -> None:
    assert broken([column("a"), column("b")], [column("a")], "outputs") == ("the answer's column b is gone",)
    assert changes([column("a")], [column("a"), column("b")], "outputs").compatible == ("the answer's column b (double) is new",)
    assert broken([column("a")], [column("a", required=False)], "outputs") == ("the answer's column a may be absent from now on",)
    assert broken([column(None)], [column(None), column(None)], "outputs") == ("the model answers 2 columns, until now 1",)


def test_params_lost_or_left_without_a_default_break() -> None:
    assert "the parameter top is gone" in broken([param("top", 3)], [param("k", 3)], "params")[0]
    assert "the parameter top is gone" in broken([param("top", 3)], None, "params")[0]
    assert broken([param("top", 3)], [param("top", None)], "params") == ("the parameter top has no default any more, until now 3",)


def test_params_that_are_new_or_have_another_default_are_told() -> None:
    assert changes([param("top", 3)], [param("top", 5)], "params") == SchemaChanges(compatible=("the parameter top is 5 by default, until now 3",))
    assert changes([], [param("top", 3)], "params") == SchemaChanges(compatible=("the parameter top (long, 3 by default) is new",))


def test_params_of_another_type_or_shape_break_unless_wider() -> None:
    assert broken([param("t", 1, "double")], [param("t", 1, "long")], "params") == ("the parameter t changes from double to long",)
    assert broken([param("t", 1)], [param("t", [1], shape=[-1])], "params") == ("the parameter t changes from long to long[]",)
    assert not broken([param("t", 1)], [param("t", 1, "double")], "params")


def test_a_signature_that_cannot_be_read_is_not_taken_for_harmless() -> None:
    assert "can't be compared" in broken([column("a")], [column("a", "quaternion")])[0]
    assert changes([column("a", "quaternion")], [column("a", "quaternion")]) == SchemaChanges()


_TYPES = st.sampled_from(["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"])
_COLUMNS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(_TYPES, st.booleans()), min_size=1).map(
    lambda found: [column(name, kind, required=required) for name, (kind, required) in found.items()]
)


@given(_COLUMNS)
def test_no_signature_differs_from_itself(columns: Specs) -> None:
    for part in ("inputs", "outputs"):
        assert changes(columns, list(reversed(columns)), part) == SchemaChanges()


@given(_COLUMNS, _COLUMNS)
def test_what_is_harmless_in_requests_takes_every_old_request(before: Specs, after: Specs) -> None:
    """Held against the plain rule: each required column was required before, and takes the type it had."""
    old = {each["name"]: each for each in before}
    wider = {("integer", "long"), ("integer", "float"), ("integer", "double"), ("long", "double"), ("float", "double"), ("datetime", "string")}
    harmless = all(
        (each["name"] in old and (old[each["name"]]["required"] or not each["required"])) or (each["name"] not in old and not each["required"])
        for each in after
    ) and all((old[each["name"]]["type"], each["type"]) in wider | {(each["type"],) * 2} for each in after if each["name"] in old)
    assert (changes(before, after).breaking == ()) is harmless
