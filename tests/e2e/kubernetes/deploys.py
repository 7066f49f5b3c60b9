"""Runs of one deployment in a namespace of a real cluster, and what is there of it."""

from __future__ import annotations

from typing import Any

from deployer.artifacts import fetch
from deployer.conformance.clients import Ended, UserCommand, run
from deployer.core.state import DeploymentName, PackagedModel
from deployer.core.target import TargetUri
from deployer.oci import Repository
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.target import Kubernetes
from tests.kubernetes import kubectl
from tests.models import saved_model

NAME = DeploymentName("churn")
TARGET = Kubernetes()
SMALL: dict[str, Any] = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}


class Deploys:
    """Somebody who deploys there, with these options in each command."""

    def __init__(self, namespace: str, repository: Repository, **given: Any) -> None:
        self.namespace, self._given = namespace, {"image_repository": repository.uri, **given}

    def __call__(self, verb: str, model: str | PackagedModel = "", packages: str = "image", **options: Any) -> Ended:
        return run(TARGET, self.cloud(**options), self.command(verb, model, packages, **options))

    def command(self, verb: str, model: str | PackagedModel = "", packages: str = "image", **options: Any) -> UserCommand:
        """`model`: one that is there, or the name of a saved one; "" for none."""
        packaged = fetch(str(saved_model(model))) if model and isinstance(model, str) else model or None
        return UserCommand(verb, NAME, packaged, {**self._given, **options}, packages)

    def cloud(self, **options: Any) -> Kube:
        config = TARGET.config.parse({**self._given, **options}, target="kubernetes")
        return TARGET.connect(TargetUri("kubernetes", f"/{self.namespace}"), config)

    def observed(self) -> Any:
        return TARGET.observe(NAME, self.cloud())

    def get(self, kind: str, name: str = NAME) -> Any:
        return kubectl("get", kind, name, "-n", self.namespace, "-o", "json")

    def names(self, kind: str) -> list[str]:
        return [each["metadata"]["name"] for each in kubectl("get", kind, "-n", self.namespace, "-o", "json")["items"]]

    def pods(self) -> list[Any]:
        """Those that aren't on their way out."""
        found = kubectl("get", "pods", "-n", self.namespace, "-o", "json")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]
