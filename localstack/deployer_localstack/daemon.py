"""The local cloud as one process: builds it, serves until told to stop, and takes everything it started down with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from deployer.core.private import own_directory
from deployer_localstack.aws.cloud import Aws
from deployer_localstack.control.api import ControlApi
from deployer_localstack.control.faults import Faults
from deployer_localstack.control.gate import Gate
from deployer_localstack.control.journal import Journal
from deployer_localstack.http.server import Server
from deployer_localstack.options import ELSEWHERE, Options, new_token
from deployer_localstack.processes.children import kill_leftovers

STATE_FILE = "state.json"


class Cloud:
    """A local cloud behind its gate."""

    def __init__(self, options: Options) -> None:
        self._options, self._began = options, time.time()
        self._journal, self._faults = Journal(), Faults()
        self._aws = Aws(options)
        control = ControlApi(
            token=new_token(options.directory),
            settings=self._aws.settings,
            journal=self._journal,
            faults=self._faults,
            health=self.health,
            reset=self.reset,
            holds=self._aws.holds,
            posts=self._aws.posts,
        )
        self._endpoint = Server(options.port, Gate(self._aws.api, journal=self._journal, faults=self._faults, control=control))

    @property
    def ports(self) -> list[int]:
        return [self._endpoint.port, self._aws.registry_front.port]

    def start(self) -> None:
        self._aws.start()
        self._endpoint.start("aws endpoint")

    def health(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "url": f"http://127.0.0.1:{self._endpoint.port}",
            "runtime": self._options.runtime,
            "directory": str(self._options.directory),
            "since": self._began,
            **self._aws.health(),
        }

    def reset(self) -> dict[str, int]:
        """Everything forgotten; what was held, by kind."""
        held = self._aws.holds()
        self._aws.reset()
        self._faults.remove()
        self._journal.clear()
        return held

    def stop(self) -> None:
        self._endpoint.shutdown()
        self._aws.stop()
        kill_leftovers(self._options.directory)


def serve(options: Options) -> int:
    """Serve until SIGTERM or SIGINT. Says where it is in DIRECTORY/state.json once it answers."""
    own_directory(options.directory, advice=ELSEWHERE)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    cloud = Cloud(options)
    cloud.start()
    state = options.directory / STATE_FILE
    _write(state, {**cloud.health(), "ports": cloud.ports})
    told.wait()
    # A second signal must not leave half of it running.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    cloud.stop()
    state.unlink(missing_ok=True)
    return 0


def _write(path: Path, document: dict[str, Any]) -> None:
    """Readers see the old file or the new one, never half of one."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(document))
    draft.replace(path)
