"""The fast way of decoding held against MLflow's own way, which tests/e2e holds against the real MLflow: same verdict, same frame, to the bit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.signature import Array, ColSpec, ColumnType, DataType, ModelSignature, Schema, TensorSpec
from deployer_scoring.wire import decoding
from deployer_scoring.wire.decoding import Decoded, Decoder, decode
from deployer_scoring.wire.table import Table

JSON = "application/json"
FITTING: dict[DataType, list[str]] = {
    DataType.double: ["0.1", "-0.0", "-0", "1e300", "5e-324", "1", "9007199254740993", "-9223372036854775808", "18446744073709551615"],
    DataType.float: ["0.1", "-0.0", "1e30", "16777217", "1", "0", "1e-46", "3.4028235677973366e38"],
    DataType.long: ["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "12345678901234567"],
    DataType.integer: ["0", "1", "-2147483648", "2147483647"],
    DataType.boolean: ["true", "false"],
    DataType.string: ['"a"', '"ÿ🙂"', '""', '" b "', '"null"', '"1"', '"\\u00e9\\n"', '"NaN"', '"a\\u0000b"'],
    DataType.datetime: ['"2026-01-02"', '"2026-01-02T03:04:05.123456789"', '"1999-12-31T23:59:59"'],
    DataType.binary: ['"AAH/"', '""'],
}
NASTY = [
    *("null", "true", "false", '"3"', '"x"', '"a\\u0000"', '"\\ud800"', '""', "1.5", "1.0", "7", "-0", "NaN", "Infinity", "-Infinity"),
    *("1e400", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "100000000000000000000000", "2147483648"),
    *("16777217", "9007199254740993", "1e17", "123456789012345678", "[]", "[1]", "{}", '{"a": 1}', "0.1e1", "1E5", '"2026-01-02T00:00:00Z"'),
]
NAMES = ["a", "b", "c", "ä", "a b", "0", "index", "data"]


def model(*columns: ColSpec) -> MLModel:
    return MLModel(Path(), PythonFunction("a"), {}, ModelSignature(Schema(columns)))


def seen(frame: pd.DataFrame) -> Any:
    """What a model can see of a frame, to the bit."""
    assert isinstance(frame, pd.DataFrame)
    columns = [(name, str(frame[name].dtype), [(type(value), repr(value)) for value in frame[name].tolist()]) for name in frame.columns]
    return columns, list(frame.index), str(frame.index.dtype), [str(each) for each in frame.to_numpy().ravel()]


def verdict(data: Any, of: MLModel) -> Any:
    assert of.signature is not None
    return seen(enforce(data, of.signature.inputs))


def check(body: bytes, of: MLModel, content_type: str = JSON) -> bool:
    """Whether the body was decoded at once; fails where the two ways differ."""
    decoder = Decoder(of)
    for _ in range(2):  # what the first request taught must not change the second
        try:
            found = decoder.decode(body, content_type)
        except InvalidInput as refused:
            with pytest.raises(InvalidInput) as caught:
                decode(body, content_type, of)
            assert (str(caught.value), caught.value.status) == (str(refused), refused.status)
            return False
        expected = decode(body, content_type, of)
        assert (found.params, found.wrapped) == (expected.params, expected.wrapped)
        if not isinstance(found.data, Table):
            return False
        assert seen(found.data.frame()) == verdict(expected.data, of)
        matrix = decoder.decode(body, content_type).data.matrix()
        assert [str(each) for each in matrix.ravel()] == [str(each) for each in found.data.frame().to_numpy().ravel()]
        assert matrix.dtype == found.data.frame().to_numpy().dtype
    return True


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, MLModel]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    kinds = st.sampled_from([*FITTING, DataType.double, DataType.double])
    one_kind = draw(st.booleans()) and draw(kinds)
    columns = [ColSpec(one_kind or draw(kinds), name, draw(st.integers(0, 3)) > 0) for name in names]
    order = [column.name for column in draw(st.permutations(columns)) if column.required or draw(st.booleans())]
    nasty = draw(st.integers(0, 3)) == 0
    if nasty and draw(st.integers(0, 2)) == 0:
        order.append(draw(st.sampled_from([*NAMES, "extra"])))
    if nasty and order and draw(st.integers(0, 5)) == 0:
        order.pop()
    fitting = {column.name: FITTING[column.type] for column in columns if isinstance(column.type, DataType)}

    def cell(name: Any) -> str:
        if nasty and draw(st.integers(0, 4)) == 0:
            return draw(st.sampled_from(NASTY))
        return draw(st.sampled_from(fitting.get(name, NASTY)))

    rows = [[(name, cell(name)) for name in order] for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3, 40])) if nasty else draw(st.integers(1, 3)))]
    if nasty and rows and draw(st.integers(0, 4)) == 0:
        draw(st.sampled_from(rows)).pop() if rows[0] and draw(st.booleans()) else draw(st.sampled_from(rows)).append(("more", "1"))
    return body_of(draw, order, rows).encode(), model(*columns)


def body_of(draw: st.DrawFn, order: list[Any], rows: list[list[tuple[Any, str]]]) -> str:
    def objects() -> str:
        return "[" + ", ".join("{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in row) + "}" for row in rows) + "]"

    lists = "[" + ", ".join("[" + ", ".join(value for _, value in row) + "]" for row in rows) + "]"
    listed = f'"columns": {json.dumps(order)}, "data": {lists}'
    index = draw(st.sampled_from([list(range(len(rows))), None, [0.0], [True], [*range(1, len(rows) + 1)], ["x"] * len(rows)]))
    params = draw(st.sampled_from(["null", "{}", "5", '{"top": 3}', '{"top": [100000000000000000000]}', '{"top": NaN}']))
    one = ", ".join(f"{json.dumps(name)}: {value}" for name, value in (rows or [[]])[0])
    columns = ", ".join(f"{json.dumps(name)}: [{', '.join(row[at][1] for row in rows if at < len(row))}]" for at, name in enumerate(order))
    either = draw(st.sampled_from(["inputs", "instances"]))
    forms = [
        f'{{"dataframe_split": {{{listed}}}}}',
        f'{{"dataframe_split": {{"index": {json.dumps(index)}, {listed}}}}}',
        f'{{"dataframe_records": {objects()}}}',
        f'{{"instances": {objects()}}}',
        f'{{"{either}": {{{columns}}}}}',
        f'{{"{either}": [{", ".join(row[0][1] for row in rows if row)}]}}',
        f'{{"inputs": {{{one}}}}}',
        f"{{{listed}}}",
        f'{{"params": {params}, "dataframe_records": {objects()}, "{draw(st.sampled_from(["other", "input", "inputs"]))}": 1}}',
    ]
    return draw(st.sampled_from(forms))


@pytest.mark.filterwarnings("ignore")  # pandas and numpy warn of casts, alike on both ways
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_what_is_decoded_at_once_is_what_mlflow_s_own_way_makes(request_: tuple[bytes, MLModel]) -> None:
    check(*request_)


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("kind", [each for each in FITTING if each not in {DataType.datetime, DataType.binary}])
@pytest.mark.parametrize("form", ["split", "index", "records", "inputs", "instances", "columns", "bare", "params"])
def test_plain_requests_of_every_form_and_type_are_decoded_at_once(form: str, kind: DataType, rows: int) -> None:
    fitting = [value for value in FITTING[kind] if "u0000" not in value]
    table = [[json.loads(fitting[(row + column) % len(fitting)]) for column in range(3)] for row in range(rows)]
    if kind is DataType.float:
        table = [[value if abs(value) < 2**53 else 0.5 for value in row] for row in table]
    names = ["c", "a", "b"]
    columns = {name: [row[at] for row in table] for at, name in enumerate(names)}
    bodies: dict[str, Any] = {
        "split": {"dataframe_split": {"columns": names, "data": table}},
        "index": {"dataframe_split": {"columns": names, "index": list(range(rows)), "data": table}},
        "records": {"dataframe_records": [{name: row[at] for at, name in enumerate(names)} for row in table]},
        "inputs": {"inputs": columns},
        "bare": {"columns": names, "data": table},
        "params": {"params": {"top": 1}, "inputs": columns},
        "columns": {"instances": columns},
        "instances": {"instances": [{name: row[at] for at, name in enumerate(names)} for row in table]},
    }
    of = model(ColSpec(kind, "a"), ColSpec(kind, "b"), ColSpec(kind, "c"), ColSpec(DataType.double, "d", required=False))
    assert check(json.dumps(bodies[form], ensure_ascii=False).encode(), of)


@pytest.mark.parametrize(
    "body",
    [
        '{"dataframe_split": {"columns": ["z", "b", "a"], "data": [[{}, 1, "x"], [null, 2, "y"]]}}',
        '{"dataframe_records": [{"z": [1], "b": 1, "a": "x"}, {"a": "y", "b": 2}]}',
        '{"dataframe_split": {"columns": ["a", "b"], "data": [["x", 1]], "index": null}}',
    ],
)
def test_extra_columns_do_not_hinder(body: str) -> None:
    assert check(body.encode(), model(ColSpec(DataType.string, "a"), ColSpec(DataType.long, "b"), ColSpec(DataType.string, "c", required=False)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize("kind", [each for each in FITTING if each not in {DataType.datetime, DataType.binary}])
def test_one_strange_value_among_plain_ones_changes_nothing(kind: DataType, rows: int) -> None:
    of = model(ColSpec(kind, "a"), ColSpec(DataType.double, "b"))
    for strange in NASTY:
        values = [FITTING[kind][number % len(FITTING[kind])] for number in range(rows)]
        values[rows // 2] = strange
        rows_ = ", ".join(f"[0.5, {value}]" for value in values)
        check(f'{{"dataframe_split": {{"columns": ["b", "a"], "data": [{rows_}]}}}}'.encode(), of)
        check(
            f'{{"dataframe_split": {{"columns": ["a"], "data": [{", ".join(f"[{value}]" for value in values)}]}}}}'.encode(),
            model(ColSpec(kind, "a")),
        )
        objects = ", ".join(f'{{"a": {value}, "b": 1}}' for value in values)
        for form in ("dataframe_records", "instances"):
            check(f'{{"{form}": [{objects}]}}'.encode(), of)
        check(f'{{"inputs": {{"a": [{", ".join(values)}], "b": {[0.5] * rows}}}}}'.encode(), of)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("with_msgspec", [True, False])
@pytest.mark.parametrize("kind", [each for each in FITTING if each not in {DataType.datetime, DataType.binary}])
def test_many_records_are_read_alike_with_msgspec_and_without(monkeypatch: pytest.MonkeyPatch, kind: DataType, with_msgspec: bool) -> None:
    if not with_msgspec:
        monkeypatch.setitem(sys.modules, "msgspec", None)
    of = model(ColSpec(kind, "ä b"), ColSpec(DataType.double, 'say "b"'))
    plain = [f'{{"\\u00e4 b": {FITTING[kind][number % len(FITTING[kind])]}, "say \\"b\\"": {number}}}' for number in range(300)]
    odd = [
        "{}",
        '{"ä b": 1}',
        '{"ä b": "x", "ä b": "y", "say \\"b\\"": 1}',
        '{"say \\"b\\"": 1, "ä b": 1, "more": [NaN]}',
        "[1, 2]",
        "null",
        *(f'{{"say \\"b\\"": 0.5, "ä b": {strange}}}' for strange in NASTY),
    ]
    assert check(f'{{"dataframe_records": [{", ".join(plain)}]}}'.encode(), of) is (kind is not DataType.float)
    for each in odd:
        check(f'{{"dataframe_records": [{", ".join([*plain, each])}]}}'.encode(), of)
        check(f'{{"dataframe_records": [{", ".join([*plain, each])}], "params": null}}'.encode(), of)


def test_large_records_make_no_dictionaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding.orjson, "loads", lambda _: pytest.fail("the records were read by another way"))
    body = json.dumps({"dataframe_records": [{"a": 0.5, "b": "x"}] * 300}).encode()
    decoded = Decoder(model(ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b"))).decode(body, JSON)
    assert decoded.data.rows == 300


NUMERIC = [DataType.double, DataType.float, DataType.long, DataType.integer]
NUMBERS = [
    *("0", "1", "-1", "5.1", "-0.25", "0.1", "123456.789", "0.000001", "-0", "-0.0", "007", "1.", ".5", "+1", " 1", "1 ", "1e5", "", "x"),
    "1,5",
]
NUMBERS += [
    *("NaN", "null", "true", "123456789012345", "1234567890123456", "0.12345678901234567", "99999999.9999999", "[1]", '"1"', "--1", "1_000", "-")
]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_csv_of_numbers_is_read_with_the_bits_of_pandas(data: st.DataObject) -> None:
    plain = st.decimals(-99999, 99999, places=data.draw(st.integers(0, 9))).map(str)
    numbers = plain if data.draw(st.booleans()) else plain | st.sampled_from(NUMBERS)
    names = data.draw(st.lists(st.sampled_from([*NAMES, '"a"', "", " a"]), min_size=1, max_size=3))
    rows = data.draw(st.lists(st.lists(numbers, min_size=len(names), max_size=len(names) + data.draw(st.integers(0, 1))), max_size=5))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([",".join(names), *(",".join(row) for row in rows)]) + data.draw(st.sampled_from(["", end, end * 2]))
    columns = [ColSpec(data.draw(st.sampled_from(NUMERIC)), name) for name in dict.fromkeys(names) if name in NAMES]
    check(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), model(*columns or [ColSpec(DataType.double, "a")]), "text/csv")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [1, 40])
def test_plain_csv_of_numbers_is_decoded_at_once(rows: int, end: str) -> None:
    text = end.join(["b,ä,z", *(f"{number},{number / 7:.9f},-{number}.5" for number in range(rows)), ""])
    assert check(text.encode(), model(ColSpec(DataType.double, "ä"), ColSpec(DataType.long, "b")), "text/csv; charset=utf-8")


@pytest.mark.parametrize("text", ["b,a\n1,0.12345678901234567\n", "a,b\n,7\n", "b,z,a\n2,x,1e5\n3,y,\n"])
def test_csv_that_pandas_has_to_read_becomes_a_table_all_the_same(text: str) -> None:
    assert check(text.encode(), model(ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b")), "text/csv")


def test_a_format_has_one_name() -> None:
    split = {"columns": ["a"], "data": [[1]]}
    for name in ("pandas-split", "frame", "dataframe-split"):
        assert not check(json.dumps({name: split}).encode(), model(ColSpec(DataType.double, "a")))
    assert check(json.dumps(split).encode(), model(ColSpec(DataType.double, "a")), "application/json; format=pandas-split")


@pytest.mark.parametrize("kind", [Array(DataType.double), DataType.datetime, DataType.binary])
def test_columns_of_other_types_go_mlflow_s_own_way(kind: ColumnType) -> None:
    value = {"datetime": "2026-01-02", "binary": "AAH/"}.get(str(kind), [1.5])
    assert not check(json.dumps({"dataframe_records": [{"a": value}]}).encode(), model(ColSpec(kind, "a")))


def test_tables_of_one_layout_are_joined_in_order() -> None:
    decoder = Decoder(model(ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b"), ColSpec(DataType.double, "c")))
    tables = [
        decoder.decode(json.dumps({"dataframe_records": [{"c": row, "b": str(row), "a": -row} for row in rows]}).encode(), JSON).data
        for rows in ([1, 2], [3], [4, 5, 6])
    ]
    assert tables[0].layout is tables[1].layout
    joined = Table.joined(tables)
    assert (joined.rows, joined.names) == (6, ("a", "b", "c"))
    assert joined.frame().equals(pd.concat([each.frame() for each in tables], ignore_index=True))
    assert Table.joined(tables[:1]) is tables[0]


def test_a_frame_and_a_matrix_have_the_memory_order_of_mlflow_s() -> None:
    of = model(ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b"))
    body = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4], [5, 6]]}}'
    table = Decoder(of).decode(body, JSON).data
    assert of.signature is not None
    expected = enforce(decode(body, JSON, of).data, of.signature.inputs).to_numpy()
    for array in (table.matrix(), table.frame().to_numpy()):
        assert (array.flags.c_contiguous, array.strides) == (expected.flags.c_contiguous, expected.strides)


def test_a_model_may_change_its_frame() -> None:
    decoder = Decoder(model(ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b")))
    for rows in (1, 50):
        frame = decoder.decode(json.dumps({"inputs": {"a": [0.5] * rows, "b": ["x"] * rows}}).encode(), JSON).data.frame()
        frame["a"] += 1
        frame.loc[0, "a"] = 7
        frame["c"] = 1
        frame.loc[0, "b"] = "y"
        assert (frame["a"][0], frame["b"][0], frame["c"][0]) == (7, "y", 1)
        matrix = decoder.decode(json.dumps({"inputs": {"a": [0.5] * rows, "b": ["x"] * rows}}).encode(), JSON).data.matrix()
        matrix[0, 0] = 5
        assert np.array_equal(matrix[0], np.array([5, "x"], object))


def test_clients_that_never_send_the_same_columns_twice_do_not_fill_the_memory() -> None:
    decoder = Decoder(model(ColSpec(DataType.double, "a")))
    for number in range(300):
        body = json.dumps({"dataframe_records": [{"a": 1, f"extra {number}": 1}]}).encode()
        assert isinstance(decoder.decode(body, f"application/json; charset={'utf-8' if number % 2 else 'UTF-8'}").data, Table)
    arrangements = decoder._readers["dataframe_records"].__self__._by_name  # type: ignore[attr-defined]
    assert max(len(arrangements), len(decoder._content_types)) <= 64


TENSORS = ["float64", "float32", "int64", "int32", "uint8", "float16", "bool", "str"]
ITEMS = st.sampled_from([*("0.1", "1", "-0", "1e300", "9007199254740993", "18446744073709551616", "300", "1.5"), *NASTY])


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_tensors_are_read_at_once_as_mlflow_s_own_way_reads_them(data: st.DataObject) -> None:
    dtype, width = data.draw(st.sampled_from(TENSORS)), data.draw(st.integers(1, 3))
    items = ITEMS if data.draw(st.booleans()) else st.sampled_from(["0", "1", "7"] if "int" in dtype else ["0.5", "1", "-0.0", "1e30"])
    rows = [data.draw(st.lists(items, min_size=width, max_size=width)) for _ in range(data.draw(st.sampled_from([0, 1, 2, 40])))]
    if data.draw(st.integers(0, 9)) == 0 and rows:
        rows[-1].pop()
    matrix = "[" + ", ".join(f"[{', '.join(row)}]" for row in rows) + "]"
    shape, values = data.draw(
        st.sampled_from(
            [((-1, width), matrix), ((-1,), f"[{', '.join(row[0] for row in rows if row)}]"), ((-1, 1, width), f"[{matrix}]"), ((-1,), "0.5")]
        )
    )
    named = data.draw(st.booleans())
    specs = [TensorSpec(dtype, shape, "a"), TensorSpec("float64", (-1,), "b")] if named else [TensorSpec(dtype, shape)]
    body = f'{{"{data.draw(st.sampled_from(["inputs", "instances"]))}": {f"""{{"a": {values}, "b": [1]}}""" if named else values}}}'
    of = MLModel(Path(), PythonFunction("a"), {}, ModelSignature(Schema(tuple(specs))))
    assert tensors(lambda: Decoder(of).decode(body.encode(), JSON), of) == tensors(lambda: decode(body.encode(), JSON, of), of)


def tensors(decoding: Callable[[], Decoded], of: MLModel) -> Any:
    """What a model can see of its tensors, or why it sees none."""
    assert of.signature is not None
    try:
        found = enforce(decoding().data, of.signature.inputs)
    except InvalidInput as refused:
        return str(refused), refused.status
    arrays = found.items() if isinstance(found, dict) else [("", found)]
    return [
        (name, each.dtype, each.shape, each.strides, each.flags.writeable, each.tobytes(), list(map(repr, each.ravel()))) for name, each in arrays
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_plain_tensors_need_no_other_way(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr(decoding, "read_json", None)
    of = MLModel(Path(), PythonFunction("a"), {}, ModelSignature(Schema((TensorSpec(dtype, (-1, 4)),))))
    for rows in (1, 100):
        for form in ("inputs", "instances"):
            found = Decoder(of).decode(json.dumps({form: [[0, 1, 2, 3]] * rows}).encode(), JSON).data
            assert (found.dtype, found.shape) == (np.dtype(dtype), (rows, 4))


def test_more_values_than_names_make_an_index_of_the_first_as_in_pandas() -> None:
    of = model(ColSpec(DataType.double, "a"))
    for body in (b'"a"\n1,0\n0', b"a\n1,0\n0,5\n", b"a\n0,5\n1,6\n", b"a\n3,5\n2,6\n"):
        check(body, of, "text/csv")
