"""The public socket of a deployment, between real clients and small servers that stand where containers do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx

from deployer_targets.local.proxy import Proxy, Unavailable
from deployer_targets.local.shares import Answers

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Container:
    """A server at the end of one handler, with the count that who drains it looks at."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.in_progress = 0
        self.answers = Answers()

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1


@dataclass(frozen=True, slots=True)
class Listening:
    """A proxy, and the port at which it accepts."""

    proxy: Proxy
    port: int


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Container]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        yield Container(server.sockets[0].getsockname())


@asynccontextmanager
async def listening(route: Callable[[], Container]) -> AsyncIterator[Listening]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(route)
        proxy.accept("127.0.0.1", [listener])
        try:
            yield Listening(proxy, listener.getsockname()[1])
        finally:
            proxy.close()
            proxy.abort()


def saying(text: bytes, *headers: bytes) -> Handler:
    """Reads a head and answers with a text."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = b"".join(header + b"\r\n" for header in headers)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(text), lines, text))
        await writer.drain()

    return handle


async def raw(proxy: Listening, *sent: bytes) -> bytes:
    """All that comes back for these bytes, until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.writelines(sent)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def refuse(reason: str) -> Callable[[], Container]:
    def route() -> Container:
        raise Unavailable(reason)

    return route


def test_a_connection_that_is_kept_alive_moves_with_its_next_request() -> None:
    async def run() -> list[str]:
        async with serving(saying(b"old")) as old, serving(saying(b"new")) as new:
            current = old
            async with listening(lambda: current) as proxy, httpx.AsyncClient(trust_env=False) as http:
                before = await http.get(f"http://127.0.0.1:{proxy.port}/")
                current = new
                after = await http.get(f"http://127.0.0.1:{proxy.port}/")
                same = before.extensions["network_stream"].get_extra_info("client_addr") == after.extensions["network_stream"].get_extra_info(
                    "client_addr"
                )
                return [before.text, after.text, str(same)]

    assert asyncio.run(run()) == ["old", "new", "True"]


def test_bodies_go_both_ways_whole_and_headers_are_kept() -> None:
    seen: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        body = await reader.readexactly(3_000_000)
        writer.write(b"HTTP/1.1 201 Made\r\nX-Custom: \xc3\xa9\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async def run() -> httpx.Response:
        async with serving(echo) as container, listening(lambda: container) as proxy, httpx.AsyncClient(trust_env=False) as http:
            return await http.post(f"http://127.0.0.1:{proxy.port}/invocations?a=b", content=bytes(3_000_000), headers={"X-Amzn-Trace": "1"})

    answer = asyncio.run(run())
    assert (answer.status_code, len(answer.content), answer.headers["x-custom"]) == (201, 3_000_000, "é")
    assert seen[0].startswith(b"POST /invocations?a=b HTTP/1.1\r\n")
    assert b"X-Amzn-Trace: 1" in seen[0]


def test_pieces_arrive_as_they_are_made() -> None:
    go_on = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await asyncio.wait_for(go_on.wait(), 10)
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async def run() -> list[bytes]:
        pieces = []
        async with (
            serving(slowly) as container,
            listening(lambda: container) as proxy,
            httpx.AsyncClient(trust_env=False) as http,
            http.stream("GET", f"http://127.0.0.1:{proxy.port}/") as answer,
        ):
            async for piece in answer.aiter_raw():
                pieces.append(piece)
                go_on.set()
        return pieces

    assert asyncio.run(run()) == [b"one", b"two"]


def test_a_body_of_unknown_length_and_a_client_that_waits_for_100_continue() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"expect" not in head.lower()
        body = await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def run() -> tuple[bytes, bytes]:
        async with serving(echo) as container, listening(lambda: container) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
            interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write(b"5\r\nhello\r\n0\r\n\r\n")
            return interim, await asyncio.wait_for(reader.read(), 10)

    interim, answer = asyncio.run(run())
    assert interim.startswith(b"HTTP/1.1 100")
    assert b"5\r\nhello\r\n0\r\n\r\n" in answer


def test_an_answer_before_the_request_is_whole_reaches_who_still_sends() -> None:
    async def too_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async def run() -> int:
        async with serving(too_large) as container, listening(lambda: container) as proxy, httpx.AsyncClient(trust_env=False) as http:
            return (await http.post(f"http://127.0.0.1:{proxy.port}/", content=bytes(20_000_000))).status_code

    assert asyncio.run(run()) == 413


def test_old_clients_and_heads_are_served() -> None:
    async def run() -> tuple[bytes, bytes]:
        async with serving(saying(b"text")) as container, listening(lambda: container) as proxy:
            return await raw(proxy, b"GET / HTTP/1.0\r\n\r\n"), await raw(proxy, b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    old, head = asyncio.run(run())
    assert old.endswith(b"\r\n\r\ntext")
    assert b"content-length: 4" in head.lower()
    assert head.endswith(b"\r\n\r\n")


def test_what_is_not_http_is_refused_and_two_lengths_are_not_passed_on() -> None:
    reached: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(100))

    async def run() -> list[bytes]:
        async with serving(note) as container, listening(lambda: container) as proxy:
            return [
                await raw(proxy, b"\x16\x03\x01 hello\r\n\r\n"),
                await raw(proxy, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            ]

    assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in asyncio.run(run()))
    assert reached == []


def test_nobody_to_serve_is_503_and_a_container_that_breaks_off_502() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def run() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(trust_env=False) as http:
            async with listening(refuse("nothing serves yet")) as proxy:
                absent = await http.get(f"http://127.0.0.1:{proxy.port}/")
            async with serving(hang_up) as container, listening(lambda: container) as proxy:
                broken = await http.get(f"http://127.0.0.1:{proxy.port}/")
            gone = Container(container.address)
            async with listening(lambda: gone) as proxy:
                refused = await http.get(f"http://127.0.0.1:{proxy.port}/")
        return absent, broken, refused

    absent, broken, refused = asyncio.run(run())
    assert (absent.status_code, absent.json()["message"], absent.headers["retry-after"]) == (503, "nothing serves yet", "1")
    assert (broken.status_code, broken.json()["error_code"]) == (502, "CONTAINER_FAILED")
    assert refused.status_code == 502


def test_an_answer_that_breaks_off_in_the_middle_is_not_passed_for_whole() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()

    async def run() -> str:
        async with serving(half) as container, listening(lambda: container) as proxy, httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{proxy.port}/")).text
            except httpx.HTTPError as error:
                return type(error).__name__

    assert asyncio.run(run()) in ("RemoteProtocolError", "ReadError")


def test_requests_in_progress_are_counted_and_outlive_the_listener() -> None:
    go_on = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(go_on.wait(), 10)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def run() -> tuple[int, str, int]:
        async with serving(slowly) as container, listening(lambda: container) as proxy, httpx.AsyncClient(trust_env=False) as http:
            asking = asyncio.create_task(http.get(f"http://127.0.0.1:{proxy.port}/"))
            while not container.in_progress:
                await asyncio.sleep(0.01)
            during = container.in_progress
            proxy.proxy.close()
            go_on.set()
            answer = await asking
            return during, answer.text, container.in_progress

    assert asyncio.run(run()) == (1, "ok", 0)


def test_a_caller_who_breaks_off_while_sending_frees_the_container() -> None:
    async def run() -> int:
        ended = asyncio.Event()

        async def read_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readexactly(10_000_000)
            finally:
                ended.set()

        async with serving(read_all) as container, listening(lambda: container) as proxy:
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nsome")
            await writer.drain()
            writer.close()
            await asyncio.wait_for(ended.wait(), 10)
            while container.in_progress:
                await asyncio.sleep(0.01)
            return container.in_progress

    assert asyncio.run(run()) == 0
