"""What the event loop and a model's process say to each other over a socket pair: pickled tuples, each after its length."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any, Optional

from deployer_scoring.errors import ModelFailure

_LENGTH = struct.Struct("!Q")

# To the model's process, each with the number of the job it is about.
ANSWERS = "answers"
"""(ANSWERS, job, asks): answer requests that may be joined; DONE brings an `Answers`."""
RUN = "run"
"""(RUN, job, function, arguments): call function(scorer, *arguments); DONE brings what it returns."""
ITERATE = "iterate"
"""(ITERATE, job, function, arguments): the same, of what it returns each item in a PIECE, then END."""
TAKEN = "taken"
"""(TAKEN, job): a piece was taken; another may be made."""
LEAVE = "leave"
"""(LEAVE, job): nobody takes any more pieces."""

# From it.
READY = "ready"
"""(READY, 0, streams, joins): the model is loaded; whether it streams, and whether requests may be joined."""
UNFIT = "unfit"
"""(UNFIT, 0, error): the model can't be loaded; the process ends."""
DONE = "done"
FAILED = "failed"
"""(FAILED, job, error)."""
PIECE = "piece"
END = "end"


def packed(message: tuple[Any, ...]) -> bytes:
    """A message as bytes; an exception that can't travel goes as its words."""
    try:
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        job = message[1]
        body = pickle.dumps((FAILED, job, ModelFailure(f"what the model gave can't be handed over: {type(error).__name__}: {error}")))
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> Optional[tuple[Any, ...]]:
    """The next message, waited for; None where the other end is closed."""
    head = _exactly(connection, _LENGTH.size)
    body = None if head is None else _exactly(connection, *_LENGTH.unpack(head))
    return None if body is None else pickle.loads(body)


def _exactly(connection: socket.socket, size: int) -> Optional[bytearray]:
    whole = bytearray(size)
    view, at = memoryview(whole), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if not got:
            return None
        at += got
    return whole


class Unpacking:
    """Messages out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """The messages that are whole now."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as view:
                message = pickle.loads(view[_LENGTH.size : end])
            del self._buffer[:end]
            yield message
