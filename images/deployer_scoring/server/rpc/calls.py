"""One call as it goes through the server: counted, logged, bounded and answered as a request of HTTP is."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Awaitable, Callable

import grpc

from deployer_scoring.errors import InvalidInput
from deployer_scoring.server.http.site import Site
from deployer_scoring.server.predict.waiting import Busy
from deployer_scoring.server.protocols.failures import judged
from deployer_scoring.server.telemetry.access_log import Exchange

Answer = Callable[[bytes], Awaitable[bytes]]
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_GONE = 499  # the client has cancelled, or its deadline is over


def unary(site: Site, path: str, answer: Answer) -> Any:
    """The handler of a method that takes one message and gives one.

    Args:
        site: Where calls are counted, with HTTP's requests.
        path: The method's.
        answer: Gives the answer's bytes for the message's, and raises what a request of HTTP may raise.
    """

    async def handle(message: bytes, context: Any) -> bytes:
        return await _Call(site, path, message, context).answered(answer)

    return grpc.unary_unary_rpc_method_handler(handle)


class _Call:
    def __init__(self, site: Site, path: str, message: bytes, context: Any) -> None:
        self._site, self._path, self._message, self._context = site, path, message, context
        self._started = time.perf_counter()
        self._metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        self._id = site.request_id(self._metadata)

    async def answered(self, answer: Answer) -> bytes:
        site, size = self._site, len(self._message)
        site.begun()
        status, sent = _GONE, 0
        try:
            self._context.set_trailing_metadata((("x-request-id", self._id),))
            if not site.hold(size):
                raise Busy("the requests that are being answered hold as much memory as they may")
            refusal = site.keys and site.keys.refusal(self._path, self._metadata)
            if refusal:
                raise InvalidInput(refusal, status=401)
            if size > site.limits.request_bytes:
                raise InvalidInput(f"the message has {size} bytes; at most {site.limits.request_bytes} are taken", status=413)
            reply = await answer(self._message)
            status, sent = 200, len(reply)
            return reply
        except asyncio.CancelledError:
            raise
        except Exception as error:
            status, _, said = judged(error, self._id)
            await self._context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL if status >= 500 else grpc.StatusCode.INVALID_ARGUMENT), said)
            raise  # never: abort raises
        finally:
            site.let_go(size)
            site.ended(Exchange("POST", self._path, self._path, status, time.perf_counter() - self._started, size, sent, self._id))
