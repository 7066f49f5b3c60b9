"""Servers that a test starts beside itself."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A process that listens on a port, for as long as the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def aws(host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a stand-in for AWS's APIs, S3 and STS among them; nothing is there in the beginning."""
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    address = f"http://{host}:{server.get_host_and_port()[1]}"
    try:
        yield address
    finally:
        # Its buckets are the process's: those of one test would be there for the next.
        urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")).close()
        server.stop()
