"""The registry client against Debian's docker-registry, and which image a model gets from one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import socket
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deployer.core.accelerators import Accelerator
from deployer.errors import ConfigInvalid, CredentialsInvalid, Refused, TargetUnavailable
from deployer.events import Event, StepFinished, silent
from deployer.oci import (
    DOCKER_MANIFEST,
    Compression,
    Credentials,
    Descriptor,
    Manifest,
    ModelFacts,
    Repository,
    choose,
    configured,
    docker_manifest,
    general_tag,
    labels,
    model_tag,
    uploads,
)
from deployer.oci.manifest import DOCKER_CONFIG, OCI_INDEX, OCI_MANIFEST, sha256
from deployer_images.builder import BuildOptions, build_and_push
from tests.docker import registry, serving_registry  # noqa: F401
from tests.doors import Before, standing

FACTS = ModelFacts("models:/churn/3", sha256(b"m"), python_version="3.11.7", requirements=("numpy==2.1.0",))


@pytest.fixture
def repository(registry: str) -> Iterator[Repository]:  # noqa: F811
    found = Repository(registry, "team/scoring", deadline_seconds=5)
    yield found
    found.close()


def push_image(repository: Repository, *tags: str, python: str = "3.11", packages: tuple[str, ...] = (), platform: str = "amd64") -> Manifest:
    """An image of labels alone."""
    label = {labels.PYTHON: python, labels.PACKAGES: labels.packages_label(packages), labels.RUNTIME: "0.1.0"}
    config = json.dumps({"os": "linux", "architecture": platform, "config": {"Labels": label}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    manifest = docker_manifest(Descriptor(DOCKER_CONFIG, repository.upload(config), len(config)), ())
    repository.put_manifest(manifest, *tags)
    return manifest


def test_an_image_is_described_by_its_labels(repository: Repository) -> None:
    manifest = push_image(repository, "one", packages=("numpy==2.1.0",))
    found = repository.describe("one")
    assert found.reference == f"{repository.uri}@{manifest.digest}"
    assert (found.digest, found.tag, found.platform) == (manifest.digest, "one", "linux/amd64")
    assert (found.python_version, found.runtime, found.packages, found.stand_in) == ("3.11", "0.1.0", {"numpy": "2.1.0"}, False)
    assert repository.describe(manifest.digest).digest == repository.exists("one") == manifest.digest


def test_what_is_not_there_is_told_from_what_is(repository: Repository) -> None:
    assert repository.tags() == ()
    assert repository.exists("one") is None
    with pytest.raises(ConfigInvalid, match="there is no image"):
        repository.describe("one")


def test_all_tags_are_listed(repository: Repository) -> None:
    push_image(repository, *(f"tag-{number}" for number in range(5)))
    assert sorted(repository.tags()) == [f"tag-{number}" for number in range(5)]


def test_a_large_blob_is_sent_in_bounded_memory_once(repository: Repository, tmp_path: Path) -> None:
    size = 200 * 1024 * 1024
    file = tmp_path / "layer"
    with file.open("wb") as target:
        target.truncate(size)
    digest = "sha256:" + hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent: list[int] = []
    assert repository.upload_blob(digest, size, lambda: file.open("rb"), sent.append)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
    assert sent[-1] == size
    assert sent == sorted(sent)
    assert not repository.upload_blob(digest, size, lambda: file.open("rb"))
    with repository.stream_blob(digest) as pieces:
        assert sum(len(piece) for piece in pieces) == size


def test_a_blob_that_is_not_what_was_said_is_refused(repository: Repository) -> None:
    with pytest.raises(Refused, match="refuses PUT"):
        repository.upload_blob("sha256:" + "0" * 64, 3, lambda: io.BytesIO(b"abc"))
    assert not repository.has_blob("sha256:" + "0" * 64)


def test_a_blob_is_mounted_from_another_repository_without_being_sent(repository: Repository) -> None:
    digest = Repository(repository.registry, "other").upload(b"layer")
    assert repository.mount(digest, "other")
    assert repository.read_blob(digest) == b"layer"
    assert not repository.mount("sha256:" + "0" * 64, "other")  # the caller sends it then


def test_an_index_is_refused_or_one_of_its_images_taken(repository: Repository) -> None:
    images = {platform: push_image(repository, platform, platform=platform) for platform in ("amd64", "arm64")}
    entries = [
        {"mediaType": DOCKER_MANIFEST, "digest": image.digest, "size": len(image.body), "platform": {"os": "linux", "architecture": platform}}
        for platform, image in images.items()
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    repository.put_manifest(Manifest(OCI_INDEX, body), "both")
    with pytest.raises(ConfigInvalid, match="an index of several images") as refused:
        repository.describe("both")
    assert "linux/amd64, linux/arm64" in refused.value.why
    assert repository.describe("both", platform="linux/arm64").digest == images["arm64"].digest


def test_an_oci_image_is_refused_where_only_dockers_will_do(repository: Repository) -> None:
    document = push_image(repository, "docker").document
    document["mediaType"] = OCI_MANIFEST
    document["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    repository.put_manifest(Manifest(OCI_MANIFEST, json.dumps(document).encode()), "oci")
    assert repository.describe("oci").python_version == "3.11"
    with pytest.raises(ConfigInvalid, match="another format"):
        repository.describe("oci", formats={DOCKER_MANIFEST})


def test_a_registry_that_does_not_answer_is_told_in_a_sentence(repository: Repository) -> None:
    with pytest.raises(TargetUnavailable, match="does not answer"):
        Repository("localhost:9", "scoring", deadline_seconds=0.5).tags()


# Credentials

# Of "hunter2", by bcrypt: all that docker-registry knows of passwords.
HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n"


@pytest.fixture
def private_registry(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    with serving_registry(tmp_path, f"auth:\n  htpasswd:\n    realm: test\n    path: {tmp_path / 'htpasswd'}\n") as host:
        yield host


def test_a_registry_with_passwords_is_logged_in_to(private_registry: str) -> None:
    asked: list[str] = []

    def login() -> Credentials:
        asked.append("")
        return Credentials("me", "hunter2")

    repository = Repository(private_registry, "scoring", login)
    push_image(repository, "one", "two")
    assert sorted(repository.tags()) == ["one", "two"]
    assert len(asked) == 1


def test_wrong_and_missing_credentials_are_told_apart(private_registry: str) -> None:
    with pytest.raises(CredentialsInvalid, match="wants credentials, and there are none"):
        Repository(private_registry, "scoring").tags()
    with pytest.raises(CredentialsInvalid, match="does not accept the credentials"):
        Repository(private_registry, "scoring", Credentials("me", "hunter3")).tags()


@pytest.fixture
def token_registry(registry: str) -> Iterator[tuple[str, list[str]]]:  # noqa: F811
    """A door before the registry that sends for tokens, as docker.io does; a token is good for three requests. Also what was asked of it."""
    asked: list[str] = []
    uses = {"left": 0}

    class Door(Before):
        def do(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            if path == "/token":
                form = urllib.parse.parse_qs(query or body.decode())
                asked.append(" ".join(form["scope"]))
                uses["left"] = 3
                exchanged = (self.command, form.get("grant_type"), form.get("refresh_token")) == ("POST", ["refresh_token"], ["long-lived"])
                known = exchanged or self.headers.get("Authorization", "").startswith("Basic ")
                return self.answer(200 if known else 401, {}, json.dumps({"token": "opaque"}).encode())
            if self.headers.get("Authorization") != "Bearer opaque" or not uses["left"]:
                realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="test"'
                return self.answer(401, {"WWW-Authenticate": realm}, b"")
            uses["left"] -= 1
            return self.pass_on(body)

    Door.registry = registry
    with standing(Door) as host:
        yield host, asked


def test_a_token_is_fetched_used_and_fetched_anew_when_it_runs_out(token_registry: tuple[str, list[str]]) -> None:
    host, asked = token_registry
    repository = Repository(host, "scoring", Credentials("me", "x"))
    push_image(repository, "one", "two", "three")
    assert sorted(repository.tags()) == ["one", "three", "two"]
    assert set(asked) == {"repository:scoring:pull,push"}
    assert len(asked) > 1


def test_an_identity_token_is_exchanged_for_one(token_registry: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `az acr login` leaves it in docker's config."""
    host, _ = token_registry
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": "MDAwMDo=", "identitytoken": "long-lived"}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    push_image(Repository(host, "scoring", configured(host)), "one")
    with pytest.raises(CredentialsInvalid):
        Repository(host, "scoring", Credentials("<token>", "another")).tags()


def test_a_mount_asks_for_a_token_of_both_repositories(token_registry: tuple[str, list[str]]) -> None:
    host, asked = token_registry
    digest = Repository(host, "other", Credentials("me", "x")).upload(b"layer")
    assert Repository(host, "scoring", Credentials("me", "x")).mount(digest, "other")
    assert asked[-1] == "repository:scoring:pull,push repository:other:pull"


# Uploads that break, and registries that want to be left alone for a while


@dataclass
class Line:
    """What comes between a client and the registry, and what went through.

    Attributes:
        cuts: how many of the next bodies are lost on the way.
        limits: how many of the next requests are answered by 429.
    """

    host: str = ""
    cuts: int = 0
    limits: int = 0
    bodies: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


@pytest.fixture
def line(registry: str) -> Iterator[Line]:  # noqa: F811
    found = Line()

    class Between(Before):
        def do(self, body: bytes) -> None:
            found.times.append(time.monotonic())
            if body and found.cuts:
                found.cuts -= 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif found.limits:
                found.limits -= 1
                self.answer(429, {"Retry-After": "1"}, b"")
            else:
                found.bodies.append(len(body))
                self.pass_on(body)

    Between.registry = registry
    with standing(Between) as found.host:
        yield found


@pytest.mark.parametrize("cuts", [1, 2, 3])
def test_an_upload_that_breaks_goes_on_with_the_piece_that_was_lost(line: Line, monkeypatch: pytest.MonkeyPatch, cuts: int) -> None:
    content = os.urandom(5_000_000)
    digest, repository, sent = sha256(content), Repository(line.host, "scoring"), list[int]()
    line.cuts = 1

    def progress(count: int) -> None:
        sent.append(count)
        if count == 2_000_000 and len(line.bodies) and line.cuts == 0 and cuts > 1 and not lost:
            lost.append(count)
            line.cuts = cuts - 1

    lost = list[int]()
    monkeypatch.setattr(uploads, "PIECE", 1_000_000)
    assert repository.upload_blob(digest, len(content), lambda: io.BytesIO(content), progress)
    assert repository.read_blob(digest) == content
    assert sum(line.bodies) == len(content)  # none of it went through twice


def test_a_registry_that_asks_for_patience_gets_it(line: Line) -> None:
    line.limits = 1
    assert Repository(line.host, "scoring").tags() == ()
    assert line.times[1] - line.times[0] >= 1


# Which image a model gets


def chosen(repository: Repository, facts: ModelFacts = FACTS, **how: str) -> str:
    return choose(repository, facts, recorded=how.get("recorded"), named=how.get("named"), packages="compatible").tag


def test_no_image_names_the_command_that_builds_one(repository: Repository) -> None:
    with pytest.raises(ConfigInvalid, match=r"no scoring image for Python 3\.11") as refused:
        chosen(repository)
    assert "build-and-push-container --for models:/churn/3" in refused.value.advice


def test_the_image_for_the_models_requirements_goes_before_the_general_one(repository: Repository) -> None:
    push_image(repository, general_tag("3.11"))
    assert chosen(repository) == general_tag("3.11")
    push_image(repository, model_tag(FACTS))
    assert chosen(repository) == model_tag(FACTS)


def test_a_gpu_gets_no_image_whose_pytorch_is_for_processors(repository: Repository) -> None:
    facts, there = replace(FACTS, requirements=("torch==2.5.1",)), Accelerator("ml.g6.xlarge", gpu=True)

    def taken(accelerator: Accelerator | None, recorded: str | None = None) -> str:
        return choose(repository, facts, recorded=recorded, named=None, packages="auto", accelerator=accelerator).tag

    push_image(repository, general_tag("3.11"))
    own = push_image(repository, model_tag(facts), packages=("torch==2.5.1+cpu",))
    assert taken(Accelerator("ml.m5.large", gpu=False)) == taken(None) == model_tag(facts)
    assert taken(there) == taken(there, repository.reference(own.digest)) == general_tag("3.11")
    push_image(repository, model_tag(facts, gpu=True), packages=("torch==2.5.1+cu124",))
    assert taken(there) == model_tag(facts, gpu=True)
    assert taken(Accelerator("ml.m5.large", gpu=False)) == model_tag(facts)


def test_layers_that_not_every_client_reads_are_for_those_that_do(repository: Repository) -> None:
    """One registry for two targets."""
    both = Repository(repository.registry, repository.name, compression=Compression.ZSTD)
    push_image(repository, model_tag(FACTS, zstd=True))
    push_image(repository, general_tag("3.11"))
    assert (chosen(repository), chosen(both)) == (general_tag("3.11"), model_tag(FACTS, zstd=True))
    push_image(repository, model_tag(FACTS))
    assert (chosen(repository), chosen(both)) == (model_tag(FACTS), model_tag(FACTS, zstd=True))


def test_the_image_in_service_stays_as_long_as_it_fits(repository: Repository) -> None:
    fits = push_image(repository, "old", packages=("numpy==2.0.0",))
    misfit = push_image(repository, "older", packages=("numpy==1.26.4",))
    push_image(repository, general_tag("3.11"), packages=("numpy==2.3.0",))
    assert choose(repository, FACTS, recorded=repository.reference(fits.digest), named=None, packages="compatible").digest == fits.digest
    assert chosen(repository, recorded=repository.reference(misfit.digest)) == general_tag("3.11")
    assert chosen(repository, recorded=repository.reference("sha256:" + "0" * 64)) == general_tag("3.11")  # it was removed


def test_the_named_image_goes_before_all_wherever_it_is(repository: Repository) -> None:
    push_image(repository, general_tag("3.11"))
    push_image(repository, "mine")
    assert chosen(repository, named="mine") == "mine"
    elsewhere = Repository(repository.registry, "elsewhere")
    push_image(elsewhere, "theirs")
    assert choose(repository, FACTS, recorded=None, named=f"{elsewhere.uri}:theirs", packages="compatible").reference.startswith(elsewhere.uri)
    with pytest.raises(ConfigInvalid, match="there is no image"):
        chosen(repository, named="nothing")


# The stand-in


def test_a_stand_in_is_pushed_once_and_chosen_for_the_model(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")  # no engine: the builder decides for itself
    facts = ModelFacts("models:/churn/3", sha256(b"m"), python_version="3.11", requirements=("click==8.1.7",))
    first = build_and_push(BuildOptions(model=facts), repository, silent)
    assert first.stand_in
    assert (first.packages or {})["click"] == "8.1.7"
    assert {"numpy", "pandas", "uvloop"} <= set(first.packages or {})
    assert choose(repository, facts, recorded=None, named=None, packages="compatible") == first
    heard: list[Event] = []
    assert build_and_push(BuildOptions(model=facts), repository, heard.append) == first
    assert [type(event) for event in heard] == [StepFinished]
    assert heard[0].changed is False  # type: ignore[attr-defined]
