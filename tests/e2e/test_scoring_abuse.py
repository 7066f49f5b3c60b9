"""What a hostile client or a broken model can do to the server, over real sockets: it costs them their own request, and nothing else."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.scoring_process import Served, serving
from tests.models import saved_model

HEAD = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SIGNATURE = """
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
"""
TRICKS = """
    import ctypes, os, sys, time

    class Model:
        def predict(self, data):
            x = float(data["x"].iloc[0])
            if x == -1: os._exit(7)
            if x == -2: ctypes.string_at(0)
            if x == -3: time.sleep(3600)
            if x == -4: sys.exit(3)
            if x == -5: raise KeyError("no such thing")
            if x == -6: return object()
            if x == -7:
                if os.fork() == 0:
                    return [0.0]  # the child comes back, too
            if x == -8:
                if os.fork() == 0:
                    os.execv("/bin/sleep", ["sleep", "30"])  # holds on to everything that is open
            if x == -9: raise KeyboardInterrupt
            if x == -11: return lambda: 1
            if 0 < x < 1: time.sleep(x)
            return (data["x"] * 2).tolist()

    def _load_pyfunc(path): return Model()
"""
ROWWISE = """
    class Model:
        def predict(self, data):
            if (data["x"] < 0).any(): raise ValueError("x is negative")
            if (data["x"] == 666).any(): __import__("os")._exit(1)
            return (data["x"] * 2).tolist()

    def _load_pyfunc(path): return Model()
"""


def written(directory: Path, source: str, more: str = "") -> Path:
    """A model directory whose loader module has this source."""
    (directory / "code").mkdir(parents=True)
    (directory / "code" / "abused_loader.py").write_text(textwrap.dedent(source))
    (directory / "data").write_text("")
    flavor = "flavors:\n  python_function:\n    loader_module: abused_loader\n    code: code\n    data: data\n"
    (directory / "MLmodel").write_text(flavor + SIGNATURE + more)
    return directory


def rows(*values: float) -> dict[str, object]:
    return {"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}}


def whole(body: object) -> bytes:
    text = json.dumps(body).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text


def port(served: Served) -> int:
    return int(served.url.rsplit(":", 1)[1])


def connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port(served)), timeout=20)


def everything(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def tricky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = written(tmp_path_factory.mktemp("tricky") / "model", TRICKS)
    with serving(model, DEPLOYER_REQUEST_TIMEOUT_SECONDS="2", DEPLOYER_READ_TIMEOUT_SECONDS="1", DEPLOYER_MAX_REQUEST_BYTES="100000") as served:
        yield served


@pytest.mark.parametrize(
    ("x", "status", "said"),
    [
        (-1, 500, "the model's process ended while it predicted (exit code 7)"),
        (-2, 500, "the model's process ended while it predicted (signal 11, SIGSEGV)"),
        (-3, 504, "longer than 2 s"),
        (-4, 500, "SystemExit: 3"),
        (-5, 500, "KeyError: 'no such thing'"),
        (-6, 500, "can't be written as JSON"),
        (-9, 500, "KeyboardInterrupt"),
        (-11, 500, "can't be written as JSON"),
    ],
)
def test_a_predict_that_goes_wrong_costs_its_own_request_alone(tricky: Served, x: float, status: int, said: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        bad = threads.submit(tricky.ask, rows(x))
        good = [threads.submit(tricky.ask, rows(value)) for value in (0.3, 1, 2, 3)]
        time.sleep(0.1)
        assert tricky.client.get("/ping").status_code == 200
        assert [(each.result().status_code, each.result().json()) for each in good] == [
            (200, {"predictions": [2.0 * value]}) for value in (0.3, 1, 2, 3)
        ]
    answer = bad.result()
    assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
    assert tricky.ask(rows(5)).json() == {"predictions": [10.0]}


def test_a_predict_that_forks_answers_once_and_leaves_nothing_behind(tricky: Served) -> None:
    for _ in range(5):
        assert tricky.ask(rows(-7)).json() == {"predictions": [-14.0]}
    assert tricky.ask(rows(-8)).json() == {"predictions": [-16.0]}
    assert tricky.ask(rows(-1)).status_code == 500  # its process dies, while a child of it still holds the socket
    assert tricky.ask(rows(5)).json() == {"predictions": [10.0]}


def test_a_worker_that_is_killed_is_there_again_at_once(tricky: Served) -> None:
    assert tricky.ask(rows(1)).status_code == 200
    (worker,) = children(tricky.process.pid)
    (model,) = children(worker)
    os.kill(worker, signal.SIGKILL)
    started = time.monotonic()
    while True:
        try:
            if httpx.post(f"{tricky.url}/invocations", json=rows(4), trust_env=False).json() == {"predictions": [8.0]}:
                break
        except httpx.TransportError:
            assert time.monotonic() - started < 5
    assert time.monotonic() - started < 2  # milliseconds on a quiet machine: tests/bench measures them
    assert children(tricky.process.pid) != [worker]
    for _ in range(100):
        if not Path(f"/proc/{model}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{model}").exists()  # the model's process goes with its worker


def test_one_bad_row_never_fails_its_neighbours_in_a_batch(tmp_path: Path) -> None:
    model = written(tmp_path / "model", ROWWISE, "metadata:\n  batching: true\n")
    with serving(model) as served, ThreadPoolExecutor(24) as threads:
        asked = [-1.0 if number % 7 == 3 else 666.0 if number == 50 else float(number) for number in range(120)]
        answers = list(threads.map(lambda x: served.ask(rows(x)), asked))
        for x, answer in zip(asked, answers, strict=True):
            if x == -1:
                assert (answer.status_code, answer.json()["message"]) == (500, "ValueError: x is negative")
            elif x == 666:
                assert answer.status_code == 500
            else:
                assert (answer.status_code, answer.json()) == (200, {"predictions": [2 * x]})
        batches = [line for line in served.client.get("/metrics").text.splitlines() if "batch" in line and "count" in line]
        assert batches


def test_what_comes_while_a_model_s_process_works_is_joined_when_it_is_done(tmp_path: Path) -> None:
    model = written(tmp_path / "model", TRICKS, "metadata:\n  batching: true\n")
    with serving(model) as served, ThreadPoolExecutor(8) as threads:
        first = threads.submit(served.ask, rows(0.5))  # the first row's seconds
        time.sleep(0.2)
        others = [threads.submit(served.ask, rows(value)) for value in range(1, 8)]
        assert [answer.result().json()["predictions"] for answer in (first, *others)] == [[1.0], *([2.0 * value] for value in range(1, 8))]
        assert 'deployer_batch_requests_bucket{le="1"} 1' in served.client.get("/metrics").text
        assert "deployer_batch_requests_count 2" in served.client.get("/metrics").text


def smuggled(headers: bytes, body: bytes = b"") -> bytes:
    return HEAD + headers + b"\r\n" + body + b"GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (smuggled(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), [400]),
        (smuggled(b"Content-Length: 4\r\nContent-Length: 5\r\n", b"abcd"), [400]),
        (smuggled(b"Transfer-Encoding: chunked\r\n", b"4\nabcd\r\n0\r\n\r\n"), [400]),
        (smuggled(b"Transfer-Encoding: chunked\r\n", b"zz\r\n"), [400]),
        (smuggled(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), [400]),
        (smuggled(b"X: y\r\n z\r\n"), [400]),
        (smuggled(b"X: y\nContent-Length: 5\r\n"), [400]),
        (smuggled(b"Content-Length: 1\r\n", b"["), [400, 404]),
        (b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 500 + b"\r\n\r\n", [400]),
        (b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, [200, 200, 200]),
        (b"HEAD /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [200]),
        (b"GET /ping HTTP/1.0\r\n\r\n", [200]),
        (HEAD + b"Content-Length: 100\r\n\r\nabc", [400]),
        (HEAD + b"Content-Length: 999999999\r\n\r\nabc", [413]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffff\r\n" + b"x" * 0x7FFFF, [413]),
        (b"A" * 100_000, [431]),
    ],
)
def test_what_two_servers_could_read_differently_is_refused(tricky: Served, data: bytes, statuses: list[int]) -> None:
    with connected(tricky) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)  # a client that only listens any more
        found = [int(part.split()[1]) for part in everything(connection).split(b"HTTP/1.1")[1:] for part in [b"HTTP/1.1" + part]]
    assert found == statuses


@pytest.mark.parametrize("begun", [b"POST /invo", HEAD + b"Content-Length: 10\r\n\r\nabc"])
def test_a_sender_who_is_too_slow_is_told_and_cut_off(tricky: Served, begun: bytes) -> None:
    with connected(tricky) as connection:
        connection.sendall(begun)
        started = time.monotonic()
        data = b""
        try:
            while not (piece := connection.recv(1000)).startswith(b"HTTP/1.1 408"):
                assert piece, data
            while True:  # a byte now and then doesn't help
                connection.sendall(b"x")
                time.sleep(0.1)
                assert time.monotonic() - started < 15
        except OSError:
            pass
        assert 0.9 < time.monotonic() - started < 15


def test_a_bomb_of_gzip_is_refused(tricky: Served) -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    assert len(bomb) < 100_000
    (worker,) = children(tricky.process.pid)
    before = resident(worker)
    answer = tricky.client.post("/invocations", content=bomb, headers={"content-type": "application/json", "content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_TOO_LARGE")
    assert resident(worker) - before < 20_000_000
    fine = gzip.compress(json.dumps(rows(3)).encode())
    answer = tricky.client.post("/invocations", content=fine, headers={"content-type": "application/json", "content-encoding": "gzip"})
    assert answer.json() == {"predictions": [6.0]}


def test_clients_that_connect_and_say_nothing_or_leave_in_the_middle_hold_up_no_one(tricky: Served) -> None:
    held = [connected(tricky) for _ in range(50)]
    for number, connection in enumerate(held):
        if number % 2:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        if number % 3 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # leaves by a reset
            connection.close()
    assert tricky.ask(rows(1)).status_code == 200
    for connection in held:
        connection.close()
    assert tricky.ask(rows(1)).status_code == 200


def test_ten_thousand_requests_while_sigterm_arrives_lose_none() -> None:
    with serving(saved_model("doubler"), DEPLOYER_DRAIN_SECONDS="2", DEPLOYER_MAX_QUEUE="1000", DEPLOYER_WORKERS="2") as served:
        lost: list[str] = []
        answered = [0] * 8
        request = whole(rows(1.25))

        def stream(number: int) -> None:
            connection = None
            while sum(answered) < 10_000:
                try:
                    connection = connection or connected(served)
                except OSError:
                    return  # refused: not taken, so not lost; a balancer goes elsewhere
                try:
                    connection.sendall(request)
                    data = connection.recv(65536)
                    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                        more = connection.recv(65536)
                        if not more:
                            raise OSError("ended in the middle")
                        data += more
                except OSError as error:
                    lost.append(str(error))
                    return
                if not data.startswith(b"HTTP/1.1 200") or not data.endswith(b'{"predictions":[2.5]}'):
                    lost.append(repr(data))
                answered[number] += 1
                if b"connection: close" in data:
                    connection.close()
                    connection = None

        threads = [threading.Thread(target=stream, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        while sum(answered) < 3000:
            time.sleep(0.01)
        os.kill(served.process.pid, signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert served.ended() == 0
        assert lost == []
        assert sum(answered) > 3500


def test_memory_is_flat_after_warming_up(tricky: Served) -> None:
    def asked(times: int) -> None:
        request = whole(rows(2.0))
        with connected(tricky) as connection:
            for _ in range(times // 20):
                connection.sendall(request * 20)
                data = b""
                while data.count(b"HTTP/1.1 200") < 20 or not data.endswith(b"}"):
                    data += connection.recv(65536)

    def sizes() -> list[int]:
        (worker,) = children(tricky.process.pid)
        return [resident(worker), *map(resident, children(worker))]

    asked(3000)
    before = sizes()
    asked(15_000)
    grown = [after - first for first, after in zip(before, sizes(), strict=True)]
    assert max(grown) < 2_000_000, grown  # some 130 bytes a request would be as much


@pytest.mark.parametrize(("threads", "least", "most"), [("8", 0.0, 1.5), ("1", 1.6, 20.0)])
def test_a_model_that_waits_for_something_is_asked_by_several_threads(tmp_path: Path, threads: str, least: float, most: float) -> None:
    with serving(written(tmp_path / "model", TRICKS), DEPLOYER_THREADS=threads) as served, ThreadPoolExecutor(4) as pool:
        assert served.ask(rows(1)).status_code == 200
        started = time.monotonic()
        list(pool.map(lambda _: served.ask(rows(0.45)), range(4)))
        assert least < time.monotonic() - started < most


# A class of a package that passes for a known library, whose predict runs in the event loop.
HANGS_IN_THE_LOOP = """
    import os, time

    class Model:
        n_features_in_ = 1
        def predict(self, data):
            if data[0][0] == -3: time.sleep(3600)
            return data[:, 0] * 2
"""
PICKLED = """
flavors:
  python_function: {loader_module: mlflow.sklearn, code: code, data: model.pkl, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl, serialization_format: pickle}
"""


def test_a_predict_that_hangs_in_the_event_loop_costs_a_worker_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "lightgbm.py").write_text(textwrap.dedent(HANGS_IN_THE_LOOP))
    (tmp_path / "model.pkl").write_bytes(b"clightgbm\nModel\n)\x81.")
    (tmp_path / "MLmodel").write_text(PICKLED + SIGNATURE)
    with serving(tmp_path, DEPLOYER_REQUEST_TIMEOUT_SECONDS="1") as served:
        (worker,) = children(served.process.pid)
        assert served.ask(rows(1)).json() == {"predictions": [2.0]}
        assert children(worker) == []  # so it predicts in the loop
        with pytest.raises(httpx.TransportError):
            served.ask(rows(-3))
        assert served.ask(rows(2)).json() == {"predictions": [4.0]}
        assert served.said("a predict in its event loop took longer than a request may", served.errors)


LEAVES_A_THREAD = """
    import queue, threading

    class Model:
        def __init__(self):
            self.asked, self.answered = queue.Queue(), queue.Queue()
            threading.Thread(target=self.work, daemon=True).start()
        def work(self):
            while True:
                self.answered.put(self.asked.get() * 2)
        def predict(self, data):
            self.asked.put(data["x"])
            return self.answered.get().tolist()

    def _load_pyfunc(path): return Model()
"""


def test_a_model_whose_threads_a_fork_would_lose_is_loaded_by_its_own_process(tmp_path: Path) -> None:
    with serving(written(tmp_path / "model", LEAVES_A_THREAD)) as served:
        assert served.ask(rows(1, 2)).json() == {"predictions": [2.0, 4.0]}
        assert served.said("does not survive a fork", served.errors)
        (worker,) = children(served.process.pid)
        (model,) = children(worker)
        os.kill(model, signal.SIGKILL)
        for _ in range(200):
            # In this order: the death of the old one may not have been heard of yet.
            if children(worker) not in ([], [model]) and served.client.get("/ping").status_code == 200:
                break
            time.sleep(0.05)
        assert served.ask(rows(3)).json() == {"predictions": [6.0]}


def test_beginning_again_tells_who_has_begun_to_ask_again_and_keeps_who_has_not(tmp_path: Path) -> None:
    with serving(written(tmp_path / "model", LEAVES_A_THREAD), ready=False) as served, connected(served) as asking, connected(served) as silent:
        asking.sendall(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n")
        served.wait_ready()
        assert served.said("does not survive a fork", served.errors)
        assert b"retry-after: 1\r\n" in (answer := asking.recv(65536)) and answer.startswith(b"HTTP/1.1 503 ")
        assert asking.recv(65536) == b""
        silent.sendall(b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert everything(silent).startswith(b"HTTP/1.1 200 ")


def test_a_request_under_way_while_it_begins_again_is_answered(tmp_path: Path) -> None:
    with serving(written(tmp_path / "model", LEAVES_A_THREAD), ready=False) as served, connected(served) as under_way:
        assert served.said("does not survive a fork", served.errors)
        under_way.sendall(b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert everything(under_way)[:13] in (b"HTTP/1.1 503 ", b"HTTP/1.1 200 ")


def test_a_worker_more_answers_too_and_one_s_death_is_not_the_other_s(tmp_path: Path) -> None:
    with serving(saved_model("doubler"), DEPLOYER_WORKERS="2") as served:
        first, second = children(served.process.pid)
        assert served.ask(rows(1)).status_code == 200
        os.kill(first, signal.SIGKILL)
        for _ in range(100):
            if len(now := children(served.process.pid)) == 2 and first not in now:
                break
            time.sleep(0.02)
        assert second in now
        assert served.said("started again", served.errors)
        assert httpx.post(f"{served.url}/invocations", json=rows(4), trust_env=False).json() == {"predictions": [8.0]}


def until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with serving(saved_model("doubler"), DEPLOYER_WORKERS="2") as served:
        workers = children(served.process.pid)
        until(lambda: all(children(worker) for worker in workers))  # each with the model's process
        below = [*workers, *(child for worker in workers for child in children(worker))]
        served.process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
