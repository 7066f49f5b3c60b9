"""gRPC's standard health service, which probes and balancers ask. Rules: https://github.com/grpc/grpc/blob/master/doc/health-checking.md"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Callable

import grpc

from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.wire.protobuf import ProtoFile

SERVICE = "Health"
MESSAGES = ProtoFile(
    "grpc/health/v1/health.proto",
    "grpc.health.v1",
    {
        "HealthCheckRequest": "string service = 1",
        "HealthCheckResponse": "HealthCheckResponse.ServingStatus status = 1",
        "HealthCheckResponse.ServingStatus": "enum UNKNOWN SERVING NOT_SERVING SERVICE_UNKNOWN",
    },
    {SERVICE: {"Check": "HealthCheckRequest HealthCheckResponse", "Watch": "HealthCheckRequest stream HealthCheckResponse"}},
)
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_Request, _Response = MESSAGES["HealthCheckRequest"], MESSAGES["HealthCheckResponse"]
_LOOK_SECONDS = 0.2


class Health:
    """The state of one server, told when asked and whenever it changes."""

    def __init__(self, catalog: Catalog, services: frozenset[str], ended: Callable[[], bool]) -> None:
        """Make it.

        Args:
            catalog: Knows whether requests should come.
            services: The names that are known, beside the empty one, which is the server's.
            ended: Whether nobody is to be told any more.
        """
        self._catalog, self._services, self._ended = catalog, services, ended

    def handlers(self) -> dict[str, Any]:
        """Not logged or counted: probes ask every few seconds."""
        forms = {"request_deserializer": _Request.FromString, "response_serializer": _Response.SerializeToString}
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **forms),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **forms),
        }

    async def _check(self, request: Any, context: Any) -> Any:
        status = self._status(request.service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r} here; there is {', '.join(sorted(self._services))}"
            )
        return _Response(status=status)

    async def _watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        told = None
        while not self._ended():
            status = self._status(request.service)
            if status != told:
                told = status
                yield _Response(status=status)
            await asyncio.sleep(_LOOK_SECONDS)

    def _status(self, service: str) -> int:
        if service and service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self._catalog.unavailable() is None else _NOT_SERVING
