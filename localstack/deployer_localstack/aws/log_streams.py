"""Container output into CloudWatch logs, a batch at a time, so that a talkative container doesn't slow down its own requests."""

from __future__ import annotations

import logging
import threading
from collections import deque

from deployer_localstack.aws import ground
from deployer_localstack.aws.account import AccountRegion

_EVERY_SECONDS = 0.1


class LogStream:
    """Takes lines; `flush` writes them. One per container."""

    def __init__(self, place: AccountRegion, group: str, stream: str) -> None:
        self.name = stream
        self._place, self._group = place, group
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()

    def __call__(self, line: bytes) -> None:
        if text := line.decode(errors="replace").rstrip("\r\n"):
            self._waiting.append(text)

    def flush(self) -> None:
        with self._lock:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if lines:
                ground.write_log(self._place, self._group, self.name, lines)


class LogStreams:
    """All streams that are written to, flushed by one thread."""

    def __init__(self) -> None:
        self._streams: set[LogStream] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._flush_for_ever, name="container logs", daemon=True).start()

    def open(self, place: AccountRegion, group: str, stream: str) -> LogStream:
        made = LogStream(place, group, stream)
        with self._lock:
            self._streams.add(made)
        return made

    def close(self, stream: LogStream) -> None:
        stream.flush()
        with self._lock:
            self._streams.discard(stream)

    def forget(self) -> None:
        with self._lock:
            self._streams.clear()

    def _flush_for_ever(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            with self._lock:
                streams = list(self._streams)
            for stream in streams:
                try:
                    stream.flush()
                except Exception:
                    logging.getLogger(__name__).exception("container output could not be written to %s", stream.name)
