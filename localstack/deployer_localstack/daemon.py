"""The local cloud as one process: builds its parts, serves until told to stop, and takes everything it started down with it."""

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

from deployer.private import own_directory
from deployer_localstack import ground
from deployer_localstack.children import kill_leftovers
from deployer_localstack.control_api import ControlApi
from deployer_localstack.dataplane import Dataplane
from deployer_localstack.ecr import Ecr
from deployer_localstack.faults import Faults
from deployer_localstack.front import Front
from deployer_localstack.images import Images
from deployer_localstack.invocations import Invocations
from deployer_localstack.journal import Journal
from deployer_localstack.log_streams import LogStreams
from deployer_localstack.options import ELSEWHERE, Options, new_token
from deployer_localstack.registry.backends import start_backend
from deployer_localstack.registry.front import Passwords, RegistryFront
from deployer_localstack.registry.index import ImageIndex
from deployer_localstack.runtime_api import Runtimes
from deployer_localstack.sagemaker.api import SageMaker
from deployer_localstack.sagemaker.rollout import Rollouts
from deployer_localstack.sagemaker.store import Store
from deployer_localstack.server import Server
from deployer_localstack.settings import Settings

STATE_FILE = "state.json"


class Cloud:
    """All parts of a running local cloud."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.began = time.time()
        self.settings = Settings()
        self.settings.change(dict(options.settings))
        self._first_settings = self.settings.as_dict()
        self.journal, self.faults, self.store = Journal(), Faults(), Store()
        self.index, self.passwords = ImageIndex(), Passwords()
        self.registry = start_backend(options)
        self.ecr = Ecr(self.settings, self.passwords, self.index, self.registry.upstream)
        self.logs = LogStreams()
        images = Images(self.ecr, self.index)
        dataplane = Dataplane(options.directory, self.settings, images, Runtimes(options, self.passwords), self.logs)
        self.rollouts = Rollouts(self.settings, dataplane)
        self.invocations = Invocations(self.settings, self.store)
        ground.create_default_role()
        self.registry_front = Server(options.registry_port, RegistryFront(self.registry.upstream, self.passwords, self.ecr, self.index))
        self.ecr.host = f"127.0.0.1:{self.registry_front.port}"
        control = ControlApi(
            token=new_token(options.directory),
            settings=self.settings,
            journal=self.journal,
            faults=self.faults,
            health=self.health,
            reset=self.reset,
            create_role=ground.create_role,
            holds=self.holds,
        )
        front = Front(
            settings=self.settings,
            journal=self.journal,
            faults=self.faults,
            store=self.store,
            sagemaker=SageMaker(self.settings, self.store, images, self.rollouts),
            invocations=self.invocations,
            ecr=self.ecr,
            control=control,
            directory=options.directory,
        )
        self.endpoint = Server(options.port, front)

    def start(self) -> None:
        self.registry_front.start("registry front")
        self.endpoint.start("aws endpoint")
        threading.Thread(target=ground.warm, name="warm", daemon=True).start()

    def health(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "url": f"http://127.0.0.1:{self.endpoint.port}",
            "registry": self.ecr.host,
            "registry_kind": self.registry.kind,
            "runtime": self.options.runtime,
            "directory": str(self.options.directory),
            "since": self.began,
        }

    def holds(self) -> dict[str, int]:
        """What going down or a reset forgets, by kind."""
        shelves = self.store.shelves()
        return {
            "endpoints": sum(len(shelf.endpoints) for shelf in shelves),
            "endpoint configurations": sum(len(shelf.configs) for shelf in shelves),
            "models": sum(len(shelf.models) for shelf in shelves),
            **ground.holds(),
        }

    def reset(self) -> dict[str, int]:
        """Everything forgotten; settings as at the start."""
        held = self.holds()
        self.rollouts.close(self.store.shelves())
        self.store.clear()
        self.logs.forget()
        self.ecr.clear()
        ground.reset()
        self.faults.remove()
        self.journal.clear()
        self.settings.change(self._first_settings)
        return held

    def stop(self) -> None:
        for server in (self.endpoint, self.registry_front):
            server.shutdown()
        self.rollouts.close(self.store.shelves())
        self.invocations.close()
        self.registry.stop()
        kill_leftovers(self.options.directory)


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
    _write(state, {**cloud.health(), "ports": [cloud.endpoint.port, cloud.registry_front.port]})
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
