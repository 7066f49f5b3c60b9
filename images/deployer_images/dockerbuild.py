"""Building and pushing with a docker engine: its classic builder, which every engine has, and docker's SDK."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from deployer.core.state import Digest
from deployer.errors import ConfigInvalid, DeployerError, MachineFault, Refused, TargetUnavailable
from deployer.events import Report, StepFinished, StepProgressed, stepping
from deployer.oci import DOCKER_MANIFEST, INDEXES, OCI_MANIFEST, Descriptor, Image, Manifest, Reference, Repository, docker_manifest, labels
from deployer.oci.credentials import IDENTITY_TOKEN
from deployer.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_LAYER, platform_of
from deployer_images import engine
from deployer_images.base import Base, registry_digest

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image as DockerImage

_BUILD_SECONDS = 3600
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PACKAGES_STAGE = "io.deployer.stage=packages"
_OF_BUILD = "io.deployer.build"
_LEFT_HOURS = 24
"""After which what a build has left of its stages is nobody's any more."""


class DockerBuild:
    """One image under its name and tags in a docker engine."""

    def __init__(self, client: DockerClient, name: str, tags: tuple[str, ...], report: Report) -> None:
        self._client, self._name, self._tags, self._report = client, name, tags, report

    def find(self, inputs: str) -> Image | None:
        """The image, if the engine has one of these inputs; it gets the tags that it lacks."""
        from docker.errors import DockerException

        try:
            found = self._client.images.list(filters={"label": f"{labels.INPUTS}={inputs}"})
            for tag in self._tags if found else ():
                found[0].tag(self._name, tag)
        except DockerException as fault:
            raise engine.fault("looking for the image", fault) from fault
        return self._described(found[0]) if found else None

    def base(self, name: str, platform: str, *, fresh: bool) -> Base:
        """What the name of a base image stands for; of a tag, the image is fetched where the engine has none.

        Args:
            fresh: fetch it though the engine has one, unless that came from no registry.

        Raises:
            ConfigInvalid: it isn't there. TargetUnavailable, MachineFault: it could not be fetched.
        """
        from docker.errors import DockerException

        begun = time.monotonic()
        if not (found := Base.named(name)):
            try:
                attributes = self._attributes(name)
                here = attributes is not None and _platform(attributes) == platform
                if attributes is None or not here or (fresh and registry_digest(name, attributes)):
                    self._pull(name, platform)
                    attributes = self._client.images.get(name).attrs
            except (DockerException, OSError) as fault:
                raise _base_error(engine.words(fault), name, ()) or engine.fault("fetching the base image", fault) from fault
            found = Base.of_engine(name, attributes)
        detail, seconds = found.digest, time.monotonic() - begun
        self._report(StepFinished(step="base_image", label="base image", resource=found.name, detail=detail, seconds=seconds))
        return found

    def build(self, context: IO[bytes], arguments: Mapping[str, str], made_with: Mapping[str, str], platform: str) -> Image:
        """Build the context's Dockerfile.

        Args:
            made_with: labels, with those of the base.

        Raises:
            ConfigInvalid: the base image isn't there, or won't do. TargetUnavailable, MachineFault: the engine failed.
        """
        from docker.errors import DockerException

        number = secrets.token_hex(8)
        with stepping(self._report, "build_image", "image", f"{self._name}:{self._tags[0]}") as outcome:
            try:
                events = self._client.api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=f"{self._name}:{self._tags[0]}",
                    buildargs={**arguments, "BUILD": number},
                    labels=dict(made_with),
                    platform=self._other_platform(platform),
                    rm=True,
                    forcerm=True,
                    decode=True,
                    timeout=_BUILD_SECONDS,
                )
                self._follow_build(events, made_with[labels.BASE_NAME])
                built = self._client.images.get(f"{self._name}:{self._tags[0]}")
                for tag in self._tags[1:]:
                    built.tag(self._name, tag)
                # Of the first stages the runtime's is of use to the next build; the packages' is not. Another build may be in the midst of its own.
                self._client.images.prune(filters={"dangling": True, "label": f"{_OF_BUILD}={number}"})
                self._client.images.prune(filters={"dangling": True, "label": _PACKAGES_STAGE, "until": f"{_LEFT_HOURS}h"})
            except (DockerException, OSError) as fault:
                raise engine.fault("building the image", fault) from fault
            image = self._described(built)
            if image.platform != platform:
                raise ConfigInvalid(
                    f"the base image {made_with[labels.BASE_NAME]} is for {image.platform}, not {platform}", advice="name one with --base-image"
                )
            outcome.resource, outcome.detail = image.reference, f"{built.attrs['Size'] / 1e6:.0f} MB"
        return image

    def push(self, repository: Repository) -> None:
        """Push all tags, and see to it that what is there is a Docker schema 2 image.

        Raises:
            PermissionDenied, Refused: the registry says no. TargetUnavailable: it doesn't answer.
        """
        from docker.errors import DockerException

        with stepping(self._report, "push_image", "push", repository.reference(self._tags[0])) as outcome:
            credentials = repository.login()
            # Without any, docker wants some all the same for its header.
            login = {"username": credentials.username, "password": credentials.password} if credentials else {"username": "", "password": ""}
            if credentials and credentials.username == IDENTITY_TOKEN:
                login = {"identitytoken": credentials.password}
            sent = 0
            for tag in self._tags:
                try:
                    sent += self._follow_push(self._client.api.push(self._name, tag, stream=True, decode=True, auth_config=login))
                except (DockerException, OSError) as fault:
                    raise engine.fault(f"pushing to {repository.uri}", fault) from fault
                _as_docker_image(repository, tag)
            outcome.detail = f"{sent} layer{'s' if sent != 1 else ''} sent, tags {', '.join(self._tags)}"

    def _attributes(self, name: str) -> Mapping[str, Any] | None:
        from docker.errors import ImageNotFound

        try:
            attributes: Mapping[str, Any] = self._client.images.get(name).attrs
        except ImageNotFound:
            return None
        return attributes

    def _pull(self, name: str, platform: str) -> None:
        reference = Reference.parse(name)
        pulled = self._client.api.pull(reference.name, reference.which, stream=True, decode=True, platform=self._other_platform(platform))
        for event in pulled:
            if error := event.get("error"):
                raise _base_error(str(error), name, ()) or engine.fault("fetching the base image", RuntimeError(error))
            if event.get("id"):
                self._layer("pull_layer", f"base layer {event['id']}", event, finished="Pull complete")

    def _follow_build(self, events: Iterable[Mapping[str, Any]], base_image: str) -> None:
        said: list[str] = []
        for event in events:
            if text := _COLOURS.sub("", str(event.get("stream", ""))).strip():
                said.append(text)
            if step := re.match(r"Step (\d+)/(\d+) : (\w+)", text):
                done, total, note = int(step[1]), int(step[2]), step[3]
                self._report(StepProgressed(step="build_image", label="image", done=done, total=total, unit="steps", note=note))
            if event.get("id") and event.get("status"):
                self._layer("pull_layer", f"base layer {event['id']}", event, finished="Pull complete")
            if error := event.get("error"):
                raise _build_error(str(error), tuple(said), base_image)

    def _follow_push(self, events: Iterable[Mapping[str, Any]]) -> int:
        sent = 0
        for event in events:
            if error := event.get("error"):
                raise engine.fault(f"pushing to {self._name}", RuntimeError(error))
            if event.get("status") == "Pushed":
                sent += 1
            if event.get("id"):
                self._layer("push_layer", f"layer {event['id']}", event, finished="Pushed")
        return sent

    def _layer(self, step: str, label: str, event: Mapping[str, Any], *, finished: str) -> None:
        """What the engine says of one layer that moves; of those that needn't move, nothing."""
        detail = event.get("progressDetail") or {}
        if event.get("status") == finished:
            self._report(StepFinished(step=step, label=label))
        elif detail.get("current"):
            # The engine counts a tar's padding in what is done, but not in the total.
            total = max(detail.get("total") or 0, detail["current"])
            self._report(StepProgressed(step=step, label=label, done=detail["current"], total=total, unit="bytes"))

    def _described(self, image: DockerImage) -> Image:
        attributes, known = image.attrs, image.labels
        return Image(
            reference=f"{self._name}:{self._tags[0]}",
            digest=Digest(str(image.id)),
            tag=self._tags[0],
            platform=_platform(attributes),
            python_version=known.get(labels.PYTHON, ""),
            runtime=known.get(labels.RUNTIME, ""),
            packages=labels.package_versions(known),
        )

    def _other_platform(self, platform: str) -> str | None:
        """What to ask the engine for where it isn't its own."""
        version = self._client.version()
        return None if platform == f"{version['Os']}/{version['Arch']}" else platform


def _platform(attributes: Mapping[str, Any]) -> str:
    return platform_of({key.lower(): attributes.get(key) or "" for key in ("Os", "Architecture", "Variant")})


def _as_docker_image(repository: Repository, tag: str) -> None:
    """Engines that keep images as containerd does push them in OCI's form, which SageMaker refuses: the same blobs under Docker's names."""
    manifest = repository.manifest(tag)
    if manifest.media_type == DOCKER_MANIFEST:
        return
    if manifest.media_type in INDEXES:
        platforms = manifest.platforms
        if len(platforms) != 1:
            raise Refused(f"{repository.reference(tag)} was pushed for {len(platforms)} platforms instead of one")
        manifest = repository.manifest(next(iter(platforms.values())))
    repository.put_manifest(_in_dockers_words(manifest), tag)


def _in_dockers_words(manifest: Manifest) -> Manifest:
    if manifest.media_type != OCI_MANIFEST or any(layer.media_type not in (OCI_LAYER, DOCKER_LAYER) for layer in manifest.layers):
        raise Refused(
            "docker pushed the image with layers that are not compressed by gzip, which SageMaker refuses",
            advice="switch the engine's default compression back to gzip",
        )
    layers = tuple(Descriptor(DOCKER_LAYER, layer.digest, layer.size) for layer in manifest.layers)
    return docker_manifest(Descriptor(DOCKER_CONFIG, manifest.config.digest, manifest.config.size), layers)


def _build_error(error: str, said: tuple[str, ...], base_image: str) -> DeployerError:
    lines = said[-15:]
    if wrong := next((line for line in reversed(said) if line.startswith("the base image has Python")), None):
        return ConfigInvalid(wrong, advice="name a base image with that Python (--base-image), or another Python (--python)", lines=lines)
    low = error.lower()
    if "exec format error" in low:
        return MachineFault("this docker engine can't run programs of that platform", why=error, advice="install qemu's binfmt handlers", lines=lines)
    if "no space left" in low:
        return MachineFault("the disk is full while building the image", why=error, advice="free some space (docker system prune)", lines=lines)
    return _base_error(error, base_image, lines) or MachineFault("the image could not be built", why=error, lines=lines)


def _base_error(error: str, base_image: str, lines: tuple[str, ...]) -> DeployerError | None:
    """What the engine says of a base image that it can't fetch; None if that isn't what it says."""
    low = error.lower()
    if re.search(r"manifest (for .* )?(unknown|not found)|pull access denied|repository does not exist|no such image", low):
        return ConfigInvalid(f"the base image {base_image} is not to be had", why=error, advice="name another with --base-image", lines=lines)
    if re.search(r"dial tcp|no such host|timeout|tls:|x509|connection refused", low):
        advice = "check the engine's network and proxy, or name an image that it has with --base-image"
        return TargetUnavailable(f"the base image {base_image} could not be fetched", why=error, advice=advice, lines=lines)
    return None
