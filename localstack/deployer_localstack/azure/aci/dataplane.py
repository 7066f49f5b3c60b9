"""What runs for a container of a group: its image, pulled by the group's credentials or identity, with the model that a stand-in's layers hold."""

from __future__ import annotations

import io
import secrets
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deployer.core.container import Container, Mount
from deployer.oci import labels
from deployer_images.runtimes import Log, RunningContainer
from deployer_localstack.azure.account import REGISTRY_PASSWORD, REGISTRY_USER
from deployer_localstack.azure.aci.groups import LocalGroup
from deployer_localstack.azure.aci.listener import Listener
from deployer_localstack.azure.aci.running import GroupContainer, Readiness
from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.images import ContainerRegistry, FoundImage
from deployer_localstack.azure.settings import AzureSettings

MODEL_PATH = "/opt/ml/model"


class GroupDataplane:
    """Starts the containers of groups."""

    def __init__(self, directory: Path, settings: AzureSettings, registry: ContainerRegistry) -> None:
        self._directory, self._settings, self._registry = directory, settings, registry

    def images(self, group: LocalGroup) -> dict[str, FoundImage]:
        """The images of a group, by container.

        Raises:
            AzureError: one can't be pulled.
        """
        return {each["name"]: self._image(group, each["properties"]["image"]) for each in group.properties["containers"]}

    def bring_up(self, group: LocalGroup, images: Mapping[str, FoundImage]) -> None:
        """Have all containers of a group run anew, behind its address."""
        kept = group.listener.ip if group.listener else ""
        group.end()
        if kept:
            time.sleep(self._settings.azure_restart_seconds)
        leading: dict[int, Any] = {}
        for given in group.properties["containers"]:
            container = self._container(group, given, images[given["name"]])
            container.start()
            group.containers[given["name"]] = container
            leading |= {int(port["port"]): container.leads_to for port in given["properties"].get("ports") or ()}
        if address := group.properties.get("ipAddress"):
            ports = {int(port["port"]): leading[int(port["port"])] for port in address["ports"]}
            group.listener = Listener(kept, ports) if kept else Listener.anywhere(ports)

    def _image(self, group: LocalGroup, reference: str) -> FoundImage:
        refusal = f"The image '{reference}' in container group '{group.name}' is not accessible. Please check the image and registry credential."
        if reference.startswith(f"{self._registry.host}/") and not self._may_pull(group):
            raise AzureError("InaccessibleImage", refusal)
        try:
            return self._registry.resolve(reference)
        except AzureError:
            raise AzureError("InaccessibleImage", refusal) from None

    def _may_pull(self, group: LocalGroup) -> bool:
        for each in group.properties.get("imageRegistryCredentials") or ():
            if each.get("server") != self._registry.host:
                continue
            if identity := each.get("identity"):
                own = {name.lower() for name in (group.document.get("identity") or {}).get("userAssignedIdentities") or {}}
                return str(identity).lower() in own
            return bool(each.get("username") == REGISTRY_USER and each.get("password") == REGISTRY_PASSWORD)
        return False

    def _container(self, group: LocalGroup, given: Mapping[str, Any], image: FoundImage) -> GroupContainer:
        properties = given["properties"]
        variables = {each["name"]: str(each.get("secureValue") or each.get("value") or "") for each in properties.get("environmentVariables") or ()}
        files = self._directory / "groups" / f"{group.name}-{given['name']}-{secrets.token_hex(6)}"
        ports = [int(each["port"]) for each in properties.get("ports") or ()]
        spec = Container(
            image=image.reference,
            command=tuple(properties.get("command") or ()),
            port=ports[0] if ports else 80,
            environment=variables,
            mounts=self._model(image, files),
            labels=image.labels,
        )

        def run(log: Log) -> RunningContainer:
            return self._registry.runtimes.start(spec, image.repository, name=f"{group.name}/{given['name']}", log=log)

        return GroupContainer(f"{group.name}/{given['name']}", run, _readiness(properties), self._settings.azure_backoff_seconds, files)

    def _model(self, image: FoundImage, files: Path) -> tuple[Mount, ...]:
        """What an image that stands for a process has of a model in its layers, as a folder: no engine unpacks it."""
        if labels.STAND_IN not in image.labels:
            return ()
        inside = PurePosixPath(MODEL_PATH).relative_to("/")
        for layer in self._registry.layers(image):
            with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
                for member in archive:
                    place = PurePosixPath(member.name)
                    if member.isfile() and place.is_relative_to(inside) and ".." not in place.parts:
                        target = files / place.relative_to(inside)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]  # it is a file
        return (Mount(files, MODEL_PATH),) if files.is_dir() else ()


def _readiness(properties: Mapping[str, Any]) -> Readiness:
    probe = properties.get("readinessProbe") or {}
    asked = probe.get("httpGet") or {}
    return Readiness(str(asked.get("path") or ""), float(probe.get("initialDelaySeconds") or 0), float(probe.get("periodSeconds") or 10))
