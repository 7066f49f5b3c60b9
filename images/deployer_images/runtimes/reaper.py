"""Removes a container once whoever started it is gone without a word, be it by kill -9. A script of its own: it imports nothing of ours.

    python -I -S reaper.py SOCKET CONTAINER

Standard input is the lifeline: any byte on it is the word, its end without one is the end of the other side.
"""

import http.client
import os
import signal
import socket
import sys


class Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def main() -> None:
    path, container = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not os.read(0, 1):
        engine = Engine(path)
        engine.request("DELETE", f"/containers/{container}?force=1&v=1")
        engine.getresponse().read()


if __name__ == "__main__":
    main()
