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
from deployer_localstack.azure.cloud import Azure
from deployer_localstack.control.api import ControlApi
from deployer_localstack.control.faults import FaultRules
from deployer_localstack.control.gate import Gate
from deployer_localstack.control.journal import Journal
from deployer_localstack.control.settings import AllSettings
from deployer_localstack.http.server import Server
from deployer_localstack.options import ELSEWHERE, StartOptions, new_token
from deployer_localstack.processes.children import kill_leftovers

STATE_FILE = "state.json"


class Cloud:
    """A local AWS behind its gate, and a local Azure where it is asked for."""

    def __init__(self, options: StartOptions) -> None:
        self._options, self._began = options, time.time()
        self._journal, self._faults = Journal(), FaultRules()
        self._aws = Aws(options)
        self._azure = Azure(options, self._aws.registry.upstream, self._journal, self._faults) if options.azure else None
        self._settings = AllSettings(self._aws.settings, *([self._azure.settings] if self._azure else []))
        self._settings.change(dict(options.settings))
        self._first_settings = self._settings.as_dict()
        control = ControlApi(
            token=new_token(options.directory),
            settings=self._settings,
            journal=self._journal,
            faults=self._faults,
            health=self.health,
            reset=self.reset,
            holds=self.holds,
            posts=self._aws.posts,
        )
        self._endpoint = Server(options.port, Gate(self._aws.api, journal=self._journal, faults=self._faults, control=control))

    @property
    def ports(self) -> list[int]:
        return [self._endpoint.port, self._aws.registry_front.port, *(self._azure.ports if self._azure else [])]

    def start(self) -> None:
        self._aws.start()
        if self._azure:
            self._azure.start()
        self._endpoint.start("aws endpoint")

    def health(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "url": f"http://127.0.0.1:{self._endpoint.port}",
            "runtime": self._options.runtime,
            "directory": str(self._options.directory),
            "since": self._began,
            **self._aws.health(),
            **(self._azure.health() if self._azure else {}),
        }

    def holds(self) -> dict[str, int]:
        return {**self._aws.holds(), **(self._azure.holds() if self._azure else {})}

    def reset(self) -> dict[str, int]:
        """Everything forgotten; what was held, by kind."""
        held = self.holds()
        self._aws.reset()
        if self._azure:
            self._azure.reset()
        self._settings.change(self._first_settings)
        self._faults.remove()
        self._journal.clear()
        return held

    def stop(self) -> None:
        self._endpoint.shutdown()
        if self._azure:
            self._azure.stop()
        self._aws.stop()
        kill_leftovers(self._options.directory)


def serve(options: StartOptions) -> int:
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
