"""Files of requests, as the bodies that are sent for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer.requests.files import read_request

RECORDS = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
SPLIT = {"columns": ["x", "y"], "data": [[1, "a"], [2, "b"]]}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (RECORDS, {"dataframe_records": RECORDS}),
        (RECORDS[0], {"dataframe_records": RECORDS[:1]}),
        ({"x": 1, "tags": ["a"], "inner": {"y": 2}}, {"dataframe_records": [{"x": 1, "tags": ["a"], "inner": {"y": 2}}]}),
        (SPLIT, {"dataframe_split": SPLIT}),
        ({**SPLIT, "index": [0, 1]}, {"dataframe_split": {**SPLIT, "index": [0, 1]}}),
        ({"x": [1, 2], "y": ["a", "b"]}, {"dataframe_split": SPLIT}),
        ({"x": {"0": 1, "1": 2}, "y": {"0": "a", "1": "b"}}, {"dataframe_split": SPLIT}),
        ({"x": [[1, 2]], "y": [[3]]}, {"inputs": {"x": [[1, 2]], "y": [[3]]}}),
        ([[1, 2], [3, 4]], {"inputs": [[1, 2], [3, 4]]}),
        (["a", "b"], {"inputs": ["a", "b"]}),
        ([], {"inputs": []}),
        (1.5, {"inputs": 1.5}),
        ({"dataframe_records": RECORDS}, None),
        ({"dataframe_split": SPLIT, "params": {"k": 1}}, None),
        ({"instances": [1]}, None),
        ({"inputs": [1]}, None),
        ({"messages": []}, None),
        ({"input": "hello"}, None),
        ({"prompt": "hello"}, None),
        ({}, None),
    ],
)
def test_json_in_every_form_is_a_body_that_servers_take(given: Any, sent: Any) -> None:
    text = json.dumps(given)
    request = read_request(text.encode(), "application/json")
    assert request.payload.content_type == "application/json"
    assert json.loads(request.payload.body) == (given if sent is None else sent)
    if sent is None:
        assert request.payload.body == text.encode()
    else:
        assert next(iter(sent)) in request.form


def test_numbers_stay_as_they_are_written() -> None:
    text = b'[{"x": 1.0, "y": 12345678901234567890123, "z": 0.1000000000000000055511151231257827}]'
    assert read_request(text, "json").payload.body == b'{"dataframe_records": ' + text + b"}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_text_as_editors_and_shells_write_it(encoding: str) -> None:
    request = read_request('[{"x": "é"}]'.encode(encoding), "application/json")
    assert json.loads(request.payload.body.decode("utf-8")) == {"dataframe_records": [{"x": "é"}]}


@pytest.mark.parametrize("kind", ["jsonl", "application/jsonlines", "application/x-ndjson", "application/jsonlines; charset=utf-8", None])
def test_json_lines_are_records(kind: str | None) -> None:
    request = read_request(b'{"x": 1}\n\n{"x": 2}\n', kind)
    assert json.loads(request.payload.body) == {"dataframe_records": [{"x": 1}, {"x": 2}]}
    assert "2 JSON lines" in request.form
    assert json.loads(read_request(b"[1]\n[2]\n", "jsonl").payload.body) == {"inputs": [[1], [2]]}


@pytest.mark.parametrize("kind", ["csv", "text/csv", "application/csv", None])
def test_csv_is_sent_as_it_is(kind: str | None) -> None:
    payload = read_request(b"x,y\n1,a\n", kind).payload
    assert (payload.body, payload.content_type) == (b"x,y\n1,a\n", "text/csv")


def test_what_is_not_known_is_sent_as_it_is() -> None:
    payload = read_request(b"\x00\x01", "application/x-npy", accept="text/csv").payload
    assert (payload.body, payload.content_type, payload.accept) == (b"\x00\x01", "application/x-npy", "text/csv")


@pytest.mark.parametrize(
    ("body", "kind", "place"),
    [
        (b'{"x": 1', "json", "rows"),
        (b"{'x': 1}", None, "rows"),
        (b'{"x": 1}\n{"x": \n', "jsonl", "rows:2"),
        (b"", "json", "rows"),
        (b" \n", None, "rows"),
        (b"", "jsonl", "rows"),
        (b"\xff\xfe\xff", "json", "rows"),
        (b"[" * 100_000, "json", "rows"),
    ],
)
def test_what_is_not_what_it_is_said_to_be_is_refused_with_its_place(body: bytes, kind: str | None, place: str) -> None:
    with pytest.raises(ConfigInvalid, match=place):
        read_request(body, kind, name="rows")
