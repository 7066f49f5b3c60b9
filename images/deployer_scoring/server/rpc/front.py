"""A worker's gRPC server. Each worker listens on the port by itself (SO_REUSEPORT), and the kernel gives every new connection to one of them."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Any

import grpc
import grpc.aio

from deployer_scoring.server.http.site import Site
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.rpc import health, reflection
from deployer_scoring.server.rpc.calls import unary
from deployer_scoring.server.rpc.health import Health
from deployer_scoring.server.rpc.inference import InferenceService
from deployer_scoring.server.rpc.reflection import Reflection
from deployer_scoring.server.settings import ServerSettings
from deployer_scoring.wire import inference_messages
from deployer_scoring.wire.protobuf import ProtoFile

_FRAMING = 64 * 1024  # over what a request may have, so that what is a little too large is refused in our words
_IDENTITY_ALONE = 1  # the bit of messages that aren't compressed: what is, is unpacked whole before anybody can ask how large it is


class Front:
    """One server. Belongs to the event loop."""

    def __init__(self, settings: ServerSettings, catalog: Catalog, site: Site) -> None:
        """Make it; `start` has it listen.

        Args:
            settings: Where to listen, and what it takes.
            catalog: The models.
            site: Counts and bounds calls together with HTTP's requests.
        """
        self._settings, self._stopping = settings, False
        self._server = grpc.aio.server(options=_options(settings))
        inference = inference_messages.MESSAGES
        name = inference.full(inference_messages.SERVICE)
        methods = InferenceService(catalog).methods
        self._serve(inference, {method: unary(site, f"/{name}/{method}", answer) for method, answer in methods.items()})
        self._serve(health.MESSAGES, Health(catalog, frozenset({name}), lambda: self._stopping).handlers())
        files = (inference, health.MESSAGES, *reflection.VERSIONS)
        services = sorted(service for file in files for service in file.services)
        for version in reflection.VERSIONS:
            self._serve(version, Reflection(version, files, services).handlers())

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: The port can't be had.
        """
        host = self._settings.host
        self._server.add_insecure_port(f"[{host}]:{self._settings.grpc_port}" if ":" in host else f"{host}:{self._settings.grpc_port}")
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no more, and end once what was begun is answered, or its time is over."""
        self._stopping = True
        await self._server.stop(seconds)

    def let_go(self) -> None:
        """In a process that was forked from here: close the sockets, which would outlive the worker otherwise."""
        for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (names alone)
            with contextlib.suppress(OSError):
                if _port(descriptor) == self._settings.grpc_port:
                    os.close(descriptor)

    def _serve(self, messages: ProtoFile, handlers: dict[str, Any]) -> None:
        (service,) = messages.services
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _options(settings: ServerSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", settings.max_request_bytes + _FRAMING),
        ("grpc.max_send_message_length", -1),
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ALONE),
    ]


def _port(descriptor: int) -> int:
    """The port of this machine's end of a socket; -1 of anything else."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return -1
    with socket.socket(fileno=os.dup(descriptor)) as there:
        return there.getsockname()[1] if there.family in {socket.AF_INET, socket.AF_INET6} else -1
