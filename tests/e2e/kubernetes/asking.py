"""Clients of a deployment that keep their connections as long as the server does."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

BODY = b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}'
PLACE, HEADERS = "/invocations", {"Content-Type": "application/json"}


class Ends(Protocol):
    """An event of threads or of processes."""

    def wait(self, timeout: float) -> bool:
        """Whether it is set by then."""


@dataclass
class Asked:
    """What came of it: how often each answer came, by its predictions; how many connections it took; what failed."""

    answers: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    failures: list[str] = field(default_factory=list)


def keep_asking(port: int, over: Ends, asked: Asked) -> None:
    """Four clients at a port of this machine, until it is over."""

    def client() -> None:
        connection: http.client.HTTPConnection | None = None
        while not over.wait(0.02):
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                asked.connections += 1
            try:
                connection.request("POST", PLACE, BODY, HEADERS)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status == 200:
                    asked.answers[str(json.loads(said)["predictions"])] += 1
                else:
                    asked.failures.append(f"{answer.status} {said[:200]!r}")
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                asked.failures.append(repr(error))
                connection = None

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


def answer_of(port: int) -> str:
    """The predictions of one request, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", PLACE, BODY, HEADERS)
        return str(json.loads(connection.getresponse().read())["predictions"])
    finally:
        connection.close()
