"""The local AWS, built: its API and the registry of its images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.aws import ground
from deployer_localstack.aws.dataplane import Dataplane
from deployer_localstack.aws.ecr import Ecr
from deployer_localstack.aws.gateway import Gateway
from deployer_localstack.aws.images import Images
from deployer_localstack.aws.invocations import Invocations
from deployer_localstack.aws.log_streams import LogStreams
from deployer_localstack.aws.sagemaker.api import SageMaker
from deployer_localstack.aws.sagemaker.rollout import Rollouts
from deployer_localstack.aws.sagemaker.store import SageMakerStore
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.containers.runtimes import Runtimes
from deployer_localstack.http.server import Server
from deployer_localstack.options import StartOptions
from deployer_localstack.registry.backends import start_backend
from deployer_localstack.registry.front import Passwords, RegistryFront
from deployer_localstack.registry.index import ImageIndex


class Aws:
    """All parts of a running local AWS but the endpoint that its API is behind."""

    def __init__(self, options: StartOptions) -> None:
        self.settings = AwsSettings()
        self._store, index, passwords = SageMakerStore(), ImageIndex(), Passwords()
        self.registry = start_backend(options)
        self._ecr = Ecr(self.settings, passwords, index, self.registry.upstream)
        self._logs = LogStreams()
        images = Images(self._ecr, index)
        dataplane = Dataplane(options.directory, self.settings, images, Runtimes(options, passwords), self._logs)
        self._rollouts = Rollouts(self.settings, dataplane)
        self._invocations = Invocations(self.settings, self._store)
        ground.create_default_role()
        self.registry_front = Server(options.registry_port, RegistryFront(self.registry.upstream, passwords, self._ecr, index, "ecr.amazonaws.com"))
        self._ecr.host = f"127.0.0.1:{self.registry_front.port}"
        self.api = Gateway(
            settings=self.settings,
            store=self._store,
            sagemaker=SageMaker(self.settings, self._store, images, self._rollouts),
            invocations=self._invocations,
            ecr=self._ecr,
            directory=options.directory,
        )

    def start(self) -> None:
        self.registry_front.start("registry front")
        threading.Thread(target=ground.warm, name="warm", daemon=True).start()

    def health(self) -> dict[str, Any]:
        return {"registry": self._ecr.host, "registry_kind": self.registry.kind}

    @property
    def posts(self) -> Mapping[str, Callable[[Any], Any]]:
        """What its control API has beside that of every cloud: roles in accounts that nobody here has keys of."""
        return {"roles": lambda document: ground.create_role(document["arn"], document.get("trust"))}

    def holds(self) -> dict[str, int]:
        """What going down or a reset forgets, by kind."""
        shelves = self._store.shelves()
        return {
            "endpoints": sum(len(shelf.endpoints) for shelf in shelves),
            "endpoint configurations": sum(len(shelf.configs) for shelf in shelves),
            "models": sum(len(shelf.models) for shelf in shelves),
            **ground.holds(),
        }

    def reset(self) -> None:
        """Everything forgotten but the settings."""
        self._rollouts.close(self._store.shelves())
        self._store.clear()
        self._logs.forget()
        self._ecr.clear()
        ground.reset()

    def stop(self) -> None:
        self.registry_front.shutdown()
        self._rollouts.close(self._store.shelves())
        self._invocations.close()
        self.registry.stop()
