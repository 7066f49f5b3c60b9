"""HTTP as the server speaks it, byte by byte, over a transport in memory. The real server on a real socket is in tests/e2e."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from deployer_scoring.server.api_keys import ApiKeys
from deployer_scoring.server.http.allowed_hosts import AllowedHosts
from deployer_scoring.server.http.connection import Connection
from deployer_scoring.server.http.messages import Request, Response, failure
from deployer_scoring.server.http.site import ClientLimits, Site
from deployer_scoring.server.telemetry.access_log import Exchange

POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\n"


class Wire(asyncio.Transport):
    """What the server wrote, and how it left the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reading, self.ended, self.closed, self.aborted = True, False, False, False

    def write(self, data: Any) -> None:
        assert not self.ended
        self.sent += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Client:
    """A connection to a server whose handler is given; `requests` is what reached it, `log` what was recorded."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]] | None = None, **limits: Any) -> None:
        self.requests: list[Request] = []
        self.log: list[Exchange] = []
        self.wire = Wire()
        limits = {"request_bytes": 100, **limits}

        async def echo(request: Request) -> Response:
            self.requests.append(request)
            return await handle(request) if handle else Response(200, request.body or b"-", "text/plain")

        self.site = Site(asyncio.get_running_loop(), echo, ClientLimits(**limits), finished=self.log.append)
        self.connection = Connection(self.site)
        self.connection.connection_made(self.wire)

    def send(self, data: bytes) -> bytes:
        """Bytes to the server, and what it has written so far."""
        self.connection.data_received(data)
        return self.wire.sent

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in answers(self.wire.sent)]

    @property
    def statuses(self) -> list[int]:
        return [status for status, _, _ in answers(self.wire.sent)]


def answers(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    found = []
    while data:
        top, _, data = data.partition(b"\r\n\r\n")
        status, *lines = top.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        found.append((int(status.split()[1]), headers, data[:length]))
        data = data[length:]
    return found


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_a_request_is_the_same_in_whatever_pieces_it_comes() -> None:
    whole = POST + b"Content-Type: text/csv\r\nContent-Length: 5\r\n\r\nx\n1\n2"

    async def scenario() -> None:
        for size in (1, 2, 3, 7, len(whole)):
            client = Client()
            for at in range(0, len(whole), size):
                client.send(whole[at : at + size])
            assert client.bodies == [b"x\n1\n2"], size
            (request,) = client.requests
            assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/invocations", "text/csv")
            assert client.log[0][:4] == ("POST", "/invocations", "/invocations", 200)
            assert client.log[0][5:7] == (5, 5)

    run(scenario)


def test_chunks_are_put_together_and_trailers_dropped() -> None:
    whole = POST + b"Transfer-Encoding: Chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n"

    async def scenario() -> None:
        for size in (1, 3, len(whole)):
            client = Client()
            for at in range(0, len(whole), size):
                client.send(whole[at : at + size])
            assert client.bodies == [b"abcde"], size
            client.send(POST + b"Content-Length: 1\r\n\r\nz")
            assert client.bodies == [b"abcde", b"z"], size

    run(scenario)


def test_pipelined_requests_are_answered_in_order_however_long_each_takes() -> None:
    async def scenario() -> None:
        gates = [asyncio.get_running_loop().create_future() for _ in range(3)]

        async def gated(request: Request) -> Response:
            await gates[int(request.body)]
            return Response(200, request.body)

        client = Client(gated)
        client.send(b"".join(POST + b"Content-Length: 1\r\n\r\n%d" % number for number in range(3)))
        gates[2].set_result(None)
        gates[1].set_result(None)
        await asyncio.sleep(0)
        assert client.wire.sent == b""
        gates[0].set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert client.bodies == [b"0", b"1", b"2"]

    run(scenario)


def test_a_thousand_pipelined_requests_do_not_pile_up_on_the_stack() -> None:
    async def scenario() -> None:
        client = Client()
        client.send((POST + b"Content-Length: 1\r\n\r\nx") * 1000)
        assert len(client.bodies) == 1000

    run(scenario)


def test_reading_stops_while_too_much_waits_behind_a_slow_request_and_goes_on_after_it() -> None:
    async def scenario() -> None:
        gate = asyncio.get_running_loop().create_future()

        async def gated(request: Request) -> Response:
            await gate
            return Response(200, b"")

        client = Client(gated, request_bytes=100_000)
        one = POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 60000
        client.send(one * 2)
        assert client.wire.reading
        client.send(one)
        assert not client.wire.reading
        gate.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert client.wire.reading
        assert client.statuses == [200] * 3

    run(scenario)


SMUGGLED = [
    (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400, "both"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400, "both"),
    (b"Content-Length: 3\r\nContent-Length: 3\r\n", 400, "more than once"),
    (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400, "more than once"),
    (b"Content-Length: 3, 3\r\n", 400, "whole number"),
    (b"Content-Length: +3\r\n", 400, "whole number"),
    (b"Content-Length: -1\r\n", 400, "whole number"),
    (b"Content-Length: 0x3\r\n", 400, "whole number"),
    (b"Content-Length: 3_0\r\n", 400, "whole number"),
    (b"Content-Length: \r\n", 400, "whole number"),
    (b"Content-Length: \xb2\r\n", 400, "whole number"),
    (b"Content-Length: 9999999999999999999999\r\n", 400, "whole number"),
    (b"Content-Length : 3\r\n", 400, "before the colon"),
    (b"Content-Length\t: 3\r\n", 400, "before the colon"),
    (b" Content-Length: 3\r\n", 400, "NAME: VALUE"),
    (b"X-A: b\r\n folded\r\n", 400, "NAME: VALUE"),
    (b"X-A: b\r\n\tfolded\r\n", 400, "NAME: VALUE"),
    (b"X-A\r\n", 400, "NAME: VALUE"),
    (b": b\r\n", 400, "NAME: VALUE"),
    (b"X-A: b\nContent-Length: 3\r\n", 400, "CR LF"),
    (b"X-A: b\rContent-Length: 3\r\n", 400, "CR LF"),
    (b"X-A: b\x00c\r\n", 400, "control character"),
    (b"X-A\x00: b\r\n", 400, "control character"),
    (b"X-A: \x0b\r\n", 400, "control character"),
    (b"Host: y\r\n", 400, "host is there more than once"),
    (b"Transfer-Encoding: xchunked\r\n", 501, "chunked"),
    (b"Transfer-Encoding: chunked, identity\r\n", 501, "chunked"),
    (b"Transfer-Encoding: identity\r\n", 501, "chunked"),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400, "more than once"),
    (b"Transfer-Encoding: \x0bchunked\r\n", 400, "control character"),
    (b"Transfer-Encoding: gzip, chunked\r\n", 501, "chunked"),
    (b"Expect: 200-ok\r\n", 417, "100-continue"),
    (b"X-Long: " + b"y" * 40_000 + b"\r\n", 431, "longer than"),
    (b"X-A: b\r\n" * 200, 431, "headers"),
]


@pytest.mark.parametrize(("headers", "status", "said"), SMUGGLED)
@pytest.mark.parametrize("piece", [10_000_000, 11])
def test_a_head_that_two_parsers_could_read_differently_is_refused_and_the_connection_closed(
    headers: bytes, status: int, said: str, piece: int
) -> None:
    async def scenario() -> None:
        client = Client()
        data = POST + headers + b"\r\nabcGET /second HTTP/1.1\r\nHost: x\r\n\r\n"
        for at in range(0, len(data), piece):
            client.send(data[at : at + piece])
        ((found, more, body),) = answers(client.wire.sent)
        assert found == status
        assert said in json.loads(body)["message"]
        assert more["connection"] == "close"
        assert client.wire.ended
        assert client.requests == []
        assert client.site.requests == 0

    run(scenario)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET /\x80 HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /", 400),
        (b"GET / HTTP/1.", 400),
        (b"GET / http/1.1", 400),
        (b"GE(T / HTTP/1.1", 400),
        (b"CONNECT x:80 HTTP/1.1", 400),
        (b"GET ftp://x/ HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1", 400),
    ],
)
def test_a_first_line_that_is_none_is_refused(line: bytes, status: int) -> None:
    async def scenario() -> None:
        client = Client()
        client.send(line + b"\r\nHost: x\r\n\r\n")
        assert client.statuses == [status]

    run(scenario)


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"\r\n",
        b"-1\r\na\r\n",
        b"+3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"3 \nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\n",
        b"3;" + b"x" * 1000,
        b"0\r\nnot a trailer\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [10_000, 1])
def test_chunks_that_break_the_rules_are_refused(body: bytes, piece: int) -> None:
    async def scenario() -> None:
        client = Client(request_bytes=1000)
        data = POST + b"Transfer-Encoding: chunked\r\n\r\n" + body
        for at in range(0, len(data), piece):
            client.send(data[at : at + piece])
        assert client.statuses == [400]
        assert client.requests == []

    run(scenario)


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 413), (399, 413), (5000, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_and_closes(size: int, status: int, chunked: bool) -> None:
    async def scenario() -> None:
        client = Client()
        client.send(POST + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size))
        for at in range(0, size, 50):
            piece = b"x" * min(50, size - at)
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            client.send(b"0\r\n\r\n")
        found, headers, body = answers(client.wire.sent)[0]
        assert found == status
        assert (headers.get("connection") == "close") == (status == 413)
        if found == 413:
            assert json.loads(body)["error_code"] == "REQUEST_TOO_LARGE"

    run(scenario)


def test_a_client_that_expects_to_be_asked_is_asked_and_one_with_too_much_is_not() -> None:
    async def scenario() -> None:
        client = Client()
        sent = client.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ab")
        assert client.wire.sent.endswith(b"\r\n\r\nab")
        greedy = Client()
        greedy.send(POST + b"Content-Length: 101\r\nExpect: 100-continue\r\n\r\n")
        assert greedy.statuses == [413]

    run(scenario)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: x, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_its_client_wishes(version: bytes, connection: bytes, kept: bool) -> None:
    async def scenario() -> None:
        client = Client()
        client.send(b"GET /ping HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, connection))
        ((status, headers, _),) = answers(client.wire.sent)
        assert status == 200
        assert client.wire.ended != kept
        assert headers.get("connection") == (("keep-alive" if version == b"1.0" else None) if kept else "close")

    run(scenario)


def test_a_head_request_gets_the_headers_of_a_get_and_no_body() -> None:
    async def scenario() -> None:
        client = Client()
        client.send(b"HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"content-length: 1\r\n" in client.wire.sent
        assert client.wire.sent.endswith(b"\r\n\r\n")
        client.send(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.wire.sent.endswith(b"\r\n\r\n-")

    run(scenario)


def test_paths_are_decoded_queries_read_and_whole_urls_taken() -> None:
    async def scenario() -> None:
        client = Client()
        for target in (b"/a%20b?stream=true&x=%26", b"http://x/a%20b?stream=true&x=%26", b"http://x"):
            client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        first, second, third = client.requests
        assert (first.path, first.query) == (second.path, second.query) == ("/a b", {"stream": "true", "x": "&"})
        assert third.path == "/"
        assert client.log[0].target == "/a%20b"

    run(scenario)


@pytest.mark.parametrize(("given", "kept"), [("my-id-1", True), ("a b", False), ("x" * 200, False)])
def test_request_ids_come_back_where_they_may_stand_in_a_log(given: str, kept: bool) -> None:
    async def scenario() -> None:
        client = Client()
        client.send(b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Request-Id: %b\r\nX-Amzn-SageMaker-Custom-Attributes: t=7\r\n\r\n" % given.encode())
        ((_, headers, _),) = answers(client.wire.sent)
        assert (headers["x-request-id"] == given) == kept
        assert headers["x-amzn-sagemaker-custom-attributes"] == "t=7"
        assert client.requests[0].id == client.log[0].request_id == headers["x-request-id"]

    run(scenario)


def compressed(body: bytes) -> bytes:
    return POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (gzip.compress(b"x" * 100), 200, "x" * 100),
        (gzip.compress(b"x" * 50) + gzip.compress(b"x" * 50), 200, "x" * 100),
        (gzip.compress(b"x" * 101), 413, "100 bytes"),
        (gzip.compress(b"x" * 10_000), 413, "100 bytes"),
        (gzip.compress(b"x")[:-4], 400, "ends too early"),
        (b"", 400, "ends too early"),
        (b"plain", 400, "not valid"),
    ],
    ids=["whole", "two members", "too long", "bomb", "cut off", "empty", "not compressed"],
)
def test_a_compressed_body_is_taken_apart_as_far_as_the_limit(body: bytes, status: int, said: str) -> None:
    async def scenario() -> None:
        client = Client()
        client.send(compressed(body))
        for _ in range(20):
            await asyncio.sleep(0)
        ((found, _, text),) = answers(client.wire.sent)
        assert found == status
        assert said in text.decode()

    run(scenario)


def test_a_coding_that_is_not_known_is_415() -> None:
    async def scenario() -> None:
        client = Client()
        client.send(POST + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx")
        assert client.statuses == [415]

    run(scenario)


def test_a_client_that_only_reads_any_more_still_gets_its_answers() -> None:
    async def scenario() -> None:
        gate = asyncio.get_running_loop().create_future()

        async def gated(request: Request) -> Response:
            await gate
            return Response(200, request.body)

        client = Client(gated)
        client.send((POST + b"Content-Length: 1\r\n\r\nx") * 2)
        assert client.connection.eof_received() is True
        gate.set_result(None)
        for _ in range(4):
            await asyncio.sleep(0)
        assert client.bodies == [b"x", b"x"]
        assert client.wire.closed

    run(scenario)


def test_a_client_that_ends_in_the_middle_of_its_request_is_told_and_an_idle_one_is_just_closed() -> None:
    async def scenario() -> None:
        client = Client()
        client.send(POST + b"Content-Length: 9\r\n\r\nabc")
        client.connection.eof_received()
        assert client.statuses == [400]
        assert client.wire.closed
        assert Client().connection.eof_received() is False

    run(scenario)


def test_a_client_that_leaves_takes_its_request_with_it() -> None:
    async def scenario() -> None:
        waiting: list[asyncio.Future[None]] = []

        async def forever(_: Request) -> Response:
            waiting.append(asyncio.get_running_loop().create_future())
            await waiting[0]
            raise AssertionError("not reached")

        client = Client(forever)
        client.send(POST + b"Content-Length: 1\r\n\r\nx")
        assert client.site.requests == 1
        client.connection.connection_lost(None)
        await asyncio.sleep(0)
        assert waiting[0].cancelled()
        assert client.site.requests == 0
        assert client.site.connections == set()
        assert client.log[0].status == 499

    run(scenario)


def test_who_has_no_key_is_told_so_before_the_body_comes_and_probes_are_answered() -> None:
    async def scenario() -> None:
        key = b"Authorization: Bearer 0123456789abcdef\r\n"
        for sent, status in (
            (POST + b"Content-Length: 50\r\n\r\nx", 401),
            (POST + b"Content-Length: 1\r\n\r\nx", 401),
            (POST + b"Authorization: Bearer 0123456789abcdeg\r\nContent-Length: 1\r\n\r\nx", 401),
            (POST + key + b"Content-Length: 1\r\n\r\nx", 200),
            (b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ):
            client = Client()
            client.site.keys = ApiKeys("0123456789abcdef")
            client.send(sent)
            await asyncio.sleep(0)
            assert client.statuses == [status]
            assert bool(client.requests) is (status == 200)
            assert (b"www-authenticate: Bearer\r\n" in client.wire.sent) is (status == 401)

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"POST /invo", 408), (POST + b"Content-Length: 9\r\n\r\nabc", 408), (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\na", 408), (b"", None)],
)
def test_patience_with_slow_senders_ends(sent: bytes, status: int | None) -> None:
    async def scenario() -> None:
        client = Client(read_seconds=0.0, idle_seconds=0.0)
        if sent:
            client.send(sent)
        client.connection.deadline = 1e-9
        client.site.sweep()
        if status is None:
            assert client.wire.closed
            assert client.wire.sent == b""
        else:
            assert client.statuses == [status]
            client.connection.deadline = 1e-9
            client.site.sweep()
            assert client.wire.aborted  # it doesn't even take its 408

    run(scenario)


def test_all_bodies_together_are_bounded() -> None:
    async def scenario() -> None:
        client = Client(held_bytes=150)
        other = Connection(client.site)
        wire = Wire()
        other.connection_made(wire)
        client.send(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 99)
        other.data_received(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 60)
        assert [status for status, _, _ in answers(wire.sent)] == [503]
        assert client.send(b"x").endswith(b"x" * 100)
        third = Client(held_bytes=150)
        third.send(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 99)
        assert third.wire.sent == b""

    run(scenario)


def test_one_connection_too_many_is_turned_away() -> None:
    async def scenario() -> None:
        client = Client(connections=1)
        wire = Wire()
        Connection(client.site).connection_made(wire)
        assert answers(wire.sent)[0][0] == 503
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200")

    run(scenario)


def streaming(pieces: list[bytes], closed: list[bool]) -> Callable[[Request], Awaitable[Response]]:
    async def produce() -> AsyncGenerator[bytes, None]:
        try:
            for piece in pieces:
                await asyncio.sleep(0)
                yield piece
        finally:
            closed.append(True)

    async def handle(_: Request) -> Response:
        return Response(200, b"first,", "text/event-stream", pieces=produce())

    return handle


@pytest.mark.parametrize(
    ("version", "body"),
    [(b"1.1", b"6\r\nfirst,\r\n6\r\nsecond\r\n0\r\n\r\n"), (b"1.0", b"first,second")],
)
def test_a_stream_comes_in_chunks_or_until_the_end_of_the_connection(version: bytes, body: bytes) -> None:
    async def scenario() -> None:
        closed: list[bool] = []
        client = Client(streaming([b"", b"second"], closed))
        client.send(b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % version)
        for _ in range(10):
            await asyncio.sleep(0)
        top, _, rest = client.wire.sent.partition(b"\r\n\r\n")
        assert rest == body
        assert b"content-length" not in top
        assert client.log[0].sent == 12
        assert closed == [True]
        assert client.wire.ended == (version == b"1.0")

    run(scenario)


def test_a_stream_waits_for_its_reader_and_ends_when_he_leaves() -> None:
    async def scenario() -> None:
        closed: list[bool] = []
        client = Client(streaming([b"x"] * 1000, closed))
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0)
        client.connection.pause_writing()
        for _ in range(5):
            await asyncio.sleep(0)
        size = len(client.wire.sent)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(client.wire.sent) == size
        client.connection.resume_writing()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(client.wire.sent) > size
        client.wire.closed = True
        client.connection.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        assert closed == [True]
        assert client.site.requests == 0

    run(scenario)


def test_a_closing_server_asks_its_clients_to_go_and_closes_the_idle() -> None:
    async def scenario() -> None:
        client, idle = Client(), Client()
        client.site.closing = True
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answers(client.wire.sent)[0][1]["connection"] == "close"
        idle.site.close_idle()
        assert idle.wire.closed

    run(scenario)


def test_an_error_s_headers_are_sent() -> None:
    async def refuse(_: Request) -> Response:
        return failure(503, "TEMPORARILY_UNAVAILABLE", "later", Retry_After="1")

    async def scenario() -> None:
        client = Client(refuse)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        ((status, headers, body),) = answers(client.wire.sent)
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body) == {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}

    run(scenario)


def test_who_comes_from_elsewhere_is_refused_whole_or_in_pieces_and_every_time() -> None:
    async def scenario() -> None:
        foreign = b"POST /invocations HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://evil.example\r\nContent-Length: 3\r\n\r\nabc"
        own = foreign.replace(b"http://evil.example", b"http://localhost:1")
        for pieces in ([foreign], [foreign[:30], foreign[30:]], [own, foreign], [own + foreign, b""]):
            client = Client()
            client.site.allowed = AllowedHosts()
            for piece in pieces:
                client.send(piece)
            statuses = [status for status, _, _ in answers(client.wire.sent)]
            assert statuses == [200, 403][-len(statuses) :]
            assert len(client.requests) == len(statuses) - 1
            assert b"PERMISSION_DENIED" in client.wire.sent
            assert client.wire.ended

    run(scenario)
