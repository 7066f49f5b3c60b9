"""Work that goes on after a call was answered, each in a thread of its own, and what pollers are told of it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deployer_localstack.azure.answers import AzureError


@dataclass(slots=True)
class LongOperation:
    """One of them. Status: documented, "Track asynchronous Azure operations" (InProgress, Succeeded, Failed, Canceled)."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    error: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.id, "status": self.status, **({"error": self.error} if self.error else {})}


class Operations:
    """Runs the threads; `close` tells them to end, and waits for them.

    Attributes:
        closing: set while all is to end.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._known: dict[str, LongOperation] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self, name: str, work: Callable[[], None], failed: Callable[[], None]) -> LongOperation:
        """Begin some work; where it raises, `failed` is called before pollers are told."""
        operation = LongOperation()

        def run() -> None:
            error: AzureError | None = None
            try:
                work()
            except AzureError as refused:
                error = refused
            except Exception:
                logging.getLogger(__name__).exception("%s broke", name)
                error = AzureError("InternalServerError", "The local Azure broke; see its log.", 500)
            if error:
                failed()
                operation.error = error.document()
            operation.status = "Failed" if error else "Succeeded"
            with self._lock:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            self._known[operation.id] = operation
            self._threads.add(thread)
        thread.start()
        return operation

    def wait(self, seconds: float, since: float) -> None:
        """Wait until so long after a moment of `time.monotonic`, or until all is to end."""
        self.closing.wait(max(0.0, since + seconds - time.monotonic()))

    def find(self, identity: str) -> LongOperation | None:
        with self._lock:
            return self._known.get(identity)

    def close(self) -> None:
        """End what is under way; nothing waits from then on, until `reopen`."""
        self.closing.set()
        with self._lock:
            threads = [*self._threads]
        for thread in threads:
            thread.join(15)
        with self._lock:
            self._known.clear()

    def reopen(self) -> None:
        self.closing.clear()
