"""What callers have, as request bodies; answers, as what they would want."""

from __future__ import annotations

import datetime
import decimal
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer.core.target import Payload
from deployer.errors import ConfigInvalid
from deployer.requests.payloads import decode, encode

FRAME = pd.DataFrame(
    {
        "number": [1.5, float("nan")],
        "count": pd.array([1, None], dtype="Int64"),
        "text": ["a", None],
        "day": [pd.Timestamp("2026-01-31"), pd.NaT],
        "raw": [b"\x00\x01\x02", b""],
        "vector": [np.array([1, 2]), np.array([3, 4])],
    },
    index=["first", "second"],
)


def body(inputs: Any, **how: Any) -> Any:
    return json.loads(encode(inputs, **how).body)


def test_a_frame_is_columns_and_rows_with_null_for_what_is_missing() -> None:
    assert body(FRAME) == {
        "dataframe_split": {
            "columns": ["number", "count", "text", "day", "raw", "vector"],
            "data": [[1.5, 1, "a", "2026-01-31T00:00:00", "AAEC", [1, 2]], [None, None, None, None, "", [3, 4]]],
        }
    }


def test_doubles_keep_all_their_digits() -> None:
    number = 0.1 + 0.2
    assert body(pd.DataFrame({"x": [number]}))["dataframe_split"]["data"] == [[number]]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (np.array([[1, 2], [3, 4]], dtype="int32"), {"inputs": [[1, 2], [3, 4]]}),
        (np.array(["2026-01-31"], dtype="datetime64[ns]"), {"inputs": ["2026-01-31T00:00:00.000000000"]}),
        ({"a": np.array([1.0]), "b": [2]}, {"inputs": {"a": [1.0], "b": [2]}}),
        ([{"x": np.int64(1)}, {"x": 2}], {"dataframe_records": [{"x": 1}, {"x": 2}]}),
        ([1, 2], {"inputs": [1, 2]}),
        (["a"], {"inputs": ["a"]}),
        ({"instances": [1]}, {"instances": [1]}),
        ({"messages": [{"role": "user"}]}, {"messages": [{"role": "user"}]}),
        ([decimal.Decimal("1.5"), datetime.date(2026, 1, 31)], {"inputs": [1.5, "2026-01-31"]}),
    ],
)
def test_each_kind_of_input_has_its_form(inputs: Any, expected: Any) -> None:
    assert body(inputs) == expected


def test_params_stand_beside_the_inputs() -> None:
    assert body([1], params={"temperature": 0.5}) == {"inputs": [1], "params": {"temperature": 0.5}}
    with pytest.raises(ConfigInvalid, match="params can't be added"):
        encode(b"{}", params={"a": 1})


def test_bytes_and_text_are_sent_as_they_are() -> None:
    assert encode(b"x\n1\n", content_type="text/csv") == Payload(b"x\n1\n", "text/csv")
    assert encode('{"inputs": []}') == Payload(b'{"inputs": []}')


def test_what_has_no_json_form_is_refused_by_its_type() -> None:
    with pytest.raises(ConfigInvalid, match="object has no JSON form"):
        encode([object()])


def test_a_frame_in_gives_pandas_out_with_its_index() -> None:
    frame = FRAME[["number"]]
    series = decode(Payload(b'{"predictions": [0, 1]}'), frame)
    assert isinstance(series, pd.Series)
    assert series.to_dict() == {"first": 0, "second": 1}
    records = decode(Payload(b'{"predictions": [{"a": 1}, {"a": 2}]}'), frame)
    assert isinstance(records, pd.DataFrame)
    assert records.to_dict() == {"a": {"first": 1, "second": 2}}
    assert decode(Payload(b'{"predictions": [1]}'), frame) == [1]


def test_other_inputs_give_what_they_are_like() -> None:
    answer = Payload(b'{"predictions": [[1, 2]]}')
    found = decode(answer, np.array([1]))
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [[1, 2]]
    assert decode(answer, [1]) == [[1, 2]]
    assert decode(answer, b"{}") == answer.body
    assert decode(Payload(b'{"choices": []}'), {"messages": []}) == {"choices": []}
    assert decode(Payload(b"a,b\n", "text/csv; charset=utf-8"), [1]) == "a,b\n"


def test_neither_numpy_nor_pandas_is_imported() -> None:
    script = "import sys; from deployer.requests.payloads import encode; encode([1]); assert not {'numpy', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True)
