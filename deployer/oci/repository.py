"""One repository of a registry: its images, manifests and blobs."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import quote, urlencode, urljoin

from deployer.core.retry import DEADLINE_SECONDS, retried
from deployer.core.state import Digest, Image
from deployer.errors import ConfigInvalid, CredentialsInvalid, PermissionDenied, Refused, TargetUnavailable
from deployer.oci import labels
from deployer.oci.client import Answer, RegistryClient
from deployer.oci.credentials import Credentials, Login, configured
from deployer.oci.manifest import IMAGES, INDEXES, Compression, Manifest, platform_of, sha256
from deployer.oci.reference import Reference
from deployer.oci.uploads import Progress, Upload

if TYPE_CHECKING:
    import ssl

_REMOVAL = frozenset({202, 204, 404, 405})
_AT_ONCE = 8
_ACCEPT = ", ".join(sorted(IMAGES | INDEXES))


@dataclass(frozen=True, slots=True)
class ImageConfiguration:
    """An image's config: what it runs and the labels that say what it is."""

    document: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, str]:
        return (self.document.get("config") or {}).get("Labels") or {}

    @property
    def platform(self) -> str:
        return platform_of(self.document)


class Repository:
    """A repository, named as images are: `registry/name`.

    All methods raise CredentialsInvalid, PermissionDenied, QuotaExceeded or Refused for a definite no, and TargetUnavailable where the
    registry doesn't answer for `deadline_seconds`. Safe for several threads.
    """

    def __init__(
        self,
        registry: str,
        name: str,
        credentials: Credentials | Login | None = None,
        *,
        verify: ssl.SSLContext | bool = True,
        deadline_seconds: float = DEADLINE_SECONDS,
        compression: Compression = Compression.GZIP,
    ) -> None:
        """Name a repository; nothing is asked yet.

        Args:
            registry: a host ("123.dkr.ecr.us-west-2.amazonaws.com", "localhost:5000"), or a URL; http only on this machine.
            credentials: or a function that gives them, asked again when they have run out; None for none.
            verify: certificates to trust; SSL_CERT_FILE is honoured.
            compression: of the layers that are made for it: one that all who pull from there read.
        """
        login = credentials if callable(credentials) else lambda: credentials
        self._client = RegistryClient(registry, login, verify=verify, deadline_seconds=deadline_seconds)
        self.login: Login = login
        self.compression = compression
        self.platform = ""
        self._deadline_seconds = deadline_seconds
        self._read: dict[str, bytes] = {}
        self.registry, self.name = self._client.host, name

    @classmethod
    def at(cls, place: str, name: str) -> Repository:
        """The repository of a name below a place as people write it ("ghcr.io/team"), with what `docker login` left for it.

        Raises:
            ConfigInvalid: it isn't a registry's host, or not a name.
        """
        host, _, path = place.removeprefix("https://").removesuffix("/").partition("/")
        parsed = Reference.parse(f"{host}/{f'{path}/' if path else ''}{name}")
        if parsed.registry != host:
            raise ConfigInvalid(f"{host} is not a registry's host", advice="--registry registry.example.com/path, or localhost:5000")
        return cls(parsed.registry, parsed.repository, partial(configured, parsed.registry))

    def on(self, platform: str) -> Self:
        """The same, seen by who runs that platform; "" for who doesn't know yet."""
        seen = copy.copy(self)
        seen.platform = platform
        return seen

    @property
    def uri(self) -> str:
        """The name that an image of it begins with."""
        return f"{self.registry}/{self.name}"

    def reference(self, which: str) -> str:
        """The full reference of a tag or digest."""
        return f"{self.uri}@{which}" if which.startswith("sha256:") else f"{self.uri}:{which}"

    def holds(self, reference: Reference) -> bool:
        """Whether a reference is one of an image in this repository."""
        return reference.name == self.uri

    def describe(self, which: str, *, platform: str | None = None, formats: Collection[str] = IMAGES) -> Image:
        """What a tag or digest stands for, by digest, with what its labels say.

        Args:
            platform: the one to take of an index ("linux/amd64"); without it an index is refused.
            formats: media types of manifests that will do.

        Raises:
            ConfigInvalid: there is none, or it isn't one image in such a format.
        """
        manifest = self._image(which, platform)
        if manifest.media_type not in formats:
            raise ConfigInvalid(
                f"{self.reference(which)} is an image of another format: {manifest.media_type}",
                why=f"what can be used here is {', '.join(sorted(formats))}",
                advice="deploy build-and-push-container pushes one that will do; of docker build, one without attestations, for a single platform",
            )
        return self.described(manifest, self.config(manifest), tag="" if which.startswith("sha256:") else which)

    def described(self, manifest: Manifest, config: ImageConfiguration, *, tag: str = "") -> Image:
        """What `describe` says of an image that is known here already."""
        return Image(
            reference=self.reference(manifest.digest),
            digest=manifest.digest,
            tag=tag,
            platform=config.platform,
            python_version=config.labels.get(labels.PYTHON, ""),
            runtime=config.labels.get(labels.RUNTIME, ""),
            packages=labels.package_versions(config.labels),
            trimmed=config.labels.get(labels.TRIMMED) == "true",
            stand_in=labels.STAND_IN in config.labels,
        )

    def exists(self, which: str) -> Digest | None:
        """The digest of the manifest that a tag or digest stands for, or None."""
        answer = self._ask("HEAD", f"manifests/{which}", expect=frozenset({200, 404}), headers={"Accept": _ACCEPT})
        if answer.status == 404:
            return None
        said = answer.headers.get("docker-content-digest")
        return Digest(said) if said else self.manifest(which).digest

    def tags(self) -> tuple[str, ...]:
        """All tags, in the registry's order; none where the repository doesn't exist."""
        found: list[str] = []
        path: str | None = "tags/list?n=1000"
        while path:
            answer = self._ask("GET", path, expect=frozenset({200, 404}))
            if answer.status == 404:
                break
            found.extend(json.loads(answer.body).get("tags") or ())
            following = re.match(r'\s*<([^>]+)>\s*;\s*rel="?next', answer.headers.get("link", ""))
            path = urljoin(answer.url, following[1]) if following else None
        return tuple(found)

    def images(self) -> dict[Digest, tuple[str, ...]]:
        """All manifests that the registry names, with their tags: those that have one, where a registry tells no others."""
        found: dict[Digest, tuple[str, ...]] = {}
        tags = self.tags()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tags") as pool:
            for tag, digest in zip(tags, pool.map(self.exists, tags), strict=True):
                if digest is not None:
                    found[digest] = (*found.get(digest, ()), tag)
        return found

    def remove(self, digests: Sequence[Digest]) -> None:
        """Take manifests away, with all their tags; one that isn't there is no matter. Blobs go when the registry next collects them.

        Raises:
            Refused: the registry removes nothing.
        """
        for digest in digests:
            said = self._client.ask("DELETE", self._path(f"manifests/{digest}"), scope=f"repository:{self.name}:pull,delete", expect=_REMOVAL)
            if said.status == 405:
                raise Refused(
                    f"the registry {self.registry} does not let images be removed",
                    why="HTTP 405 for DELETE",
                    advice="docker-registry and distribution: REGISTRY_STORAGE_DELETE_ENABLED=true; Docker Hub and GHCR: on their own pages",
                )

    def manifest(self, which: str) -> Manifest:
        """The manifest of a tag or digest, as it is there.

        Raises:
            ConfigInvalid: there is none.
        """
        found = self.find_manifest(which)
        if found is None:
            raise ConfigInvalid(f"there is no image {self.reference(which)}", advice="deploy build-and-push-container makes the scoring image")
        return found

    def find_manifest(self, which: str) -> Manifest | None:
        """The same, or None where there is none."""
        answer = self._ask("GET", f"manifests/{which}", expect=frozenset({200, 404}), headers={"Accept": _ACCEPT})
        if answer.status == 404:
            return None
        found = Manifest(answer.headers.get("content-type", "").partition(";")[0].strip(), answer.body)
        if which.startswith("sha256:") and found.digest != which:
            raise TargetUnavailable(f"the registry {self.registry} gave another manifest than {which}")
        return found

    def config(self, manifest: Manifest) -> ImageConfiguration:
        """The config that a manifest of one image refers to."""
        return ImageConfiguration(json.loads(self.read_blob(manifest.config.digest)))

    def has_blob(self, digest: str) -> bool:
        return self._ask("HEAD", f"blobs/{digest}", expect=frozenset({200, 404})).status == 200

    def read_blob(self, digest: str) -> bytes:
        """A small blob, held against its digest; asked for once."""
        if known := self._read.get(digest):
            return known
        content = self._ask("GET", f"blobs/{digest}", expect=frozenset({200})).body
        if sha256(content) != digest:
            raise TargetUnavailable(f"the registry {self.registry} gave another blob than {digest}")
        self._read[digest] = content
        return content

    def stream_blob(self, digest: str) -> AbstractContextManager[Iterator[bytes]]:
        """A blob of any size, piece by piece; whoever reads it holds it against its digest."""
        return self._client.stream(self._path(f"blobs/{digest}"), scope=self._scope)

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of this registry, without sending it. False where the registry would rather have it sent."""
        query = urlencode({"mount": digest, "from": source})
        expect, scope = frozenset({201, 202, 400, 403, 404, 405}), f"{self._scope} repository:{source}:pull"
        try:
            answer = self._client.ask("POST", self._path(f"blobs/uploads/?{query}"), scope=scope, expect=expect, headers={"Content-Length": "0"})
        except (CredentialsInvalid, PermissionDenied):
            return False  # no token to read there and write here
        if answer.status == 202 and (location := answer.headers.get("location")):
            self._ask("DELETE", urljoin(answer.url, location), expect=frozenset({200, 202, 204, 404, 405}))
        return answer.status == 201

    def upload_blob(
        self, digest: str, size: int, source: Callable[[], BinaryIO], progress: Progress = lambda _: None, *, absent: bool = False
    ) -> bool:
        """Send a blob unless it is there; the memory used does not depend on its size.

        Args:
            absent: it is known not to be there.
            source: opens the content from its beginning, in which it can be sought; called again for a retry.

        Returns:
            Whether it had to be sent.
        """
        if not absent and self.has_blob(digest):
            return False

        upload = Upload(self._ask, digest, size, source, progress)
        retried(upload.go_on, lambda error: isinstance(error, TargetUnavailable), deadline_seconds=self._deadline_seconds)
        return True

    def upload(self, content: bytes) -> Digest:
        """Send a small blob unless it is there; its digest."""
        digest = sha256(content)
        self.upload_blob(digest, len(content), lambda: io.BytesIO(content))
        return digest

    def put_manifest(self, manifest: Manifest, *tags: str) -> Digest:
        """Put a manifest in place under its digest, or under each of the tags."""
        for which in tags or (manifest.digest,):
            self._ask(
                "PUT",
                f"manifests/{which}",
                expect=frozenset({200, 201}),
                headers={"Content-Type": manifest.media_type, "Content-Length": str(len(manifest.body))},
                body=lambda: (manifest.body,),
            )
        return manifest.digest

    def close(self) -> None:
        self._client.close()

    def _image(self, which: str, platform: str | None) -> Manifest:
        """The manifest of one image: that of the platform where it is an index."""
        manifest = self.manifest(which)
        if manifest.media_type not in INDEXES:
            return manifest
        found = manifest.platforms
        if platform is None or platform not in found:
            there = ", ".join(sorted(found)) or "none"
            raise ConfigInvalid(
                f"{self.reference(which)} is an index of several images, not one" + (f" for {platform}" if platform else ""),
                why=f"its platforms are {there}",
                advice="name the image of one platform by its digest, or build one with deploy build-and-push-container",
            )
        return self.manifest(found[platform])

    def _ask(self, method: str, path: str, **how: Any) -> Answer:
        return self._client.ask(method, path if "://" in path else self._path(path), scope=self._scope, **how)

    def _path(self, path: str) -> str:
        return f"/v2/{quote(self.name)}/{path}"

    @property
    def _scope(self) -> str:
        return f"repository:{self.name}:pull,push"
