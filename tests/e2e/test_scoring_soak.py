"""An hour of a busy server, held to what it allocates: after warming up, as many blocks are in use at its end as at its beginning."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e.scoring_process import Served, serving
from tests.e2e.test_scoring_abuse import children, connected
from tests.environments import mlflow_python
from tests.models import saved_model

_COUNTING = Path(__file__).with_name("soak")
_BLOCKS = re.compile(r"blocks of (\d+): (\d+)")
_WARM_UP, _SOAK = 150, 2000  # rounds: 24 requests each, so thirteen a second for an hour
_SLACK = 1200  # blocks: what is in flight differs by some 800 at most, and one of each round would be 2000


def request(path: str, body: bytes = b"", content_type: str = "application/json", method: str = "POST", more: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def invocation(value: object, **more: str) -> bytes:
    return request("/invocations", json.dumps(value).encode(), **more)


def rounds(columns: list[str], row: list[float]) -> tuple[bytes, bytes]:
    """One of each kind of request, good and bad, that are answered on one connection; and one that breaks off."""
    record = dict(zip(columns, row, strict=True))
    split = {"columns": columns, "data": [row, row]}
    csv = "\n".join([",".join(columns), *[",".join(map(str, row))] * 3]).encode()
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in record.items()]
    asked = [
        *[invocation({"dataframe_split": split})] * 4,
        invocation({"dataframe_split": {"columns": columns[::-1], "data": [row[::-1]]}}),
        *[invocation({"dataframe_records": [record] * count}) for count in (1, 3)],
        invocation({"inputs": {name: [value] for name, value in record.items()}}),
        invocation({"instances": [record]}),
        request("/invocations", csv, "text/csv"),
        request("/invocations", gzip.compress(csv), "text/csv", more="Content-Encoding: gzip\r\n"),
        request("/v2/models/model/infer", json.dumps({"inputs": tensors}).encode()),
        invocation({"dataframe_split": split}, more="traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        invocation({"dataframe_split": {"columns": columns[1:], "data": [row[1:]]}}),
        invocation({"dataframe_split": {"columns": columns, "data": [["text"] * len(row)]}}),
        invocation({"dataframe_records": [{**record, "surplus": 1}]}),
        request("/invocations", b'{"dataframe_split": {'),
        request("/invocations", b"\xff\xfe", "text/csv"),
        request("/invocations", b"{}", "application/xml"),
        request("/nowhere", method="GET"),
        *[request(path, method="GET") for path in ("/ping", "/metrics", "/v2/health/ready", "/openapi.json")],
    ]
    return b"".join(asked), invocation({"dataframe_split": split})[:-5]


def ask(served: Served, times: int, columns: list[str], row: list[float]) -> None:
    whole, broken = rounds(columns, row)
    for _ in range(times):
        with connected(served) as connection:
            connection.sendall(whole)
            assert answers(connection) == 24
            connection.sendall(broken)


def answers(connection: socket.socket) -> int:
    """How many answers come until the last, which is that to /openapi.json."""
    data = b""
    while not (data.rstrip().endswith(b"}") and b'"openapi"' in data):
        piece = connection.recv(1 << 20)
        assert piece, data[-500:]
        data += piece
    return data.count(b"HTTP/1.1 ")


def blocks(served: Served, pids: list[int]) -> dict[int, int]:
    seen = sum("blocks of" in line for line in served.errors)
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
    lines = served.said("blocks of", served.errors, times=seen + len(pids))[seen:]
    return {int(found[1]): int(found[2]) for line in lines if (found := _BLOCKS.search(line))}


@pytest.mark.parametrize("name", ["sklearn", "doubler"])
def test_nothing_is_left_of_an_hour_s_requests(name: str) -> None:
    """Of a model that predicts in the event loop, and of one with a process of its own."""
    columns, row = {
        "sklearn": (["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"], [5.1, 3.5, 1.4, 0.2]),
        "doubler": (["x"], [1.0]),
    }[name]
    path = os.pathsep.join([str(_COUNTING), str(Path(__file__).parents[2] / "images")])
    with serving(saved_model(name), python=mlflow_python(), PYTHONPATH=path) as served:
        (worker,) = children(served.process.pid)
        pids = [worker, *children(worker)]
        ask(served, _WARM_UP, columns, row)
        before = blocks(served, pids)
        ask(served, _SOAK, columns, row)
        after = blocks(served, pids)
    assert before.keys() == after.keys() == set(pids)
    grown = {pid: after[pid] - before[pid] for pid in pids}
    print(f"{name}: {before} blocks, grown by {grown}", file=sys.stderr)
    assert max(grown.values()) < _SLACK, grown
