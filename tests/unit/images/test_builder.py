"""What is decided before anything is built: tags, the digest of inputs, the labels, the stand-in."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import replace

import pytest

from deployer.errors import ConfigInvalid, MachineFault, Refused, TargetUnavailable
from deployer.events import silent
from deployer.oci import ModelFacts, Repository, labels, model_tag
from deployer.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    sha256,
)
from deployer_images import builder, dockerbuild
from deployer_images.base import Base
from deployer_images.builder import BuildOptions, build_and_push
from deployer_images.locks import Lock
from deployer_images.standin import stand_in

MODEL = ModelFacts("models:/churn/3", sha256(b"m"), python_version="3.12.1", requirements=("numpy==2.1.0",))
AWAY = Repository("registry.example.com", "scoring")


def wanted(options: BuildOptions, runtime: str = "docker") -> builder._Wanted:
    return builder._Wanted.of(options, runtime)


def test_the_python_and_the_base_image_follow_from_the_model() -> None:
    found = wanted(BuildOptions(model=MODEL))
    assert (found.python, found.base_image, found.tags) == ("3.12", "python:3.12-slim", (model_tag(MODEL),))


def test_the_general_image_has_a_tag_that_moves_and_one_that_stays() -> None:
    general, exact = wanted(BuildOptions(python="3.11.9")).tags
    assert general.endswith("-py311")
    assert exact.startswith(general + "-")


def test_the_same_inputs_have_the_same_digest_in_any_order() -> None:
    one = BuildOptions(python="3.11", requirements=("lightgbm==4.5", "xgboost"))
    assert wanted(one).inputs == wanted(replace(one, requirements=("xgboost", "lightgbm==4.5"), push=False, rebuild=True)).inputs


@pytest.mark.parametrize(
    "change",
    [
        {"requirements": ("xgboost",)},
        {"base_image": "other"},
        {"python": "3.12"},
        {"platform": "linux/arm64"},
        {"model": replace(MODEL, python_version="3.11")},
    ],
)
def test_another_input_is_another_digest(change: dict[str, object]) -> None:
    general = BuildOptions(python="3.11")
    assert wanted(replace(general, **change)).inputs != wanted(general).inputs  # type: ignore[arg-type]
    assert wanted(general, "process").inputs != wanted(general, "docker").inputs


def test_credentials_in_a_requirement_do_not_change_the_digest() -> None:
    def inputs(user: str) -> str:
        return wanted(BuildOptions(python="3.11", requirements=(f"ours @ https://{user}packages.example.com/ours.whl",))).inputs

    assert inputs("me:hunter2@") == inputs("") == inputs("you:hunter3@")


def test_an_image_with_another_python_than_the_models_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"saved by Python 3\.12"):
        build_and_push(BuildOptions(model=MODEL, python="3.11", runtime="docker"), AWAY, silent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BuildOptions(platform="linux/riscv64", runtime="docker"), "no image is built for the platform"),
        (BuildOptions(python="three", runtime="docker"), "not a version of Python"),
        (BuildOptions(runtime="podman"), "is not a runtime"),
        (BuildOptions(runtime="process"), "nothing but the local cloud can run it"),
        (BuildOptions(runtime="process", push=False), "nothing but the local cloud can run it"),
    ],
)
def test_options_that_cannot_be_met_are_refused_before_anything_is_asked(options: BuildOptions, message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        build_and_push(options, AWAY, silent)


def test_a_push_without_a_registry_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="no registry to push to"):
        build_and_push(BuildOptions(), None, silent)


def test_the_labels_say_all_that_is_inside() -> None:
    found = wanted(BuildOptions(python="3.11")).labels(Lock("3.11", ("numpy==2.1.0",), ("uvicorn==0.30.0",)))
    assert labels.package_versions(found) == {"numpy": "2.1.0", "uvicorn": "0.30.0"}
    assert found[labels.PYTHON] == "3.11"


ID, DIGEST = sha256(b"id"), sha256(b"manifest")


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        (f"python@{DIGEST}", "docker.io/library/python", f"docker.io/library/python@{DIGEST}"),
        (f"python:3.11-slim@{DIGEST}", "docker.io/library/python:3.11-slim", f"docker.io/library/python@{DIGEST}"),
        (f"localhost:5000/a/b:1@{DIGEST}", "localhost:5000/a/b:1", f"localhost:5000/a/b@{DIGEST}"),
    ],
)
def test_a_base_image_with_a_digest_is_taken_as_it_is(text: str, name: str, source: str) -> None:
    found = Base.named(text)
    assert found == Base(name, DIGEST, source)
    assert found.labels == {"org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": DIGEST}


@pytest.mark.parametrize(
    ("text", "known", "base"),
    [
        ("python:3.11-slim", [f"python@{DIGEST}"], Base("docker.io/library/python:3.11-slim", DIGEST, f"docker.io/library/python@{DIGEST}")),
        ("python", [f"docker.io/library/python@{DIGEST}"], Base("docker.io/library/python:latest", DIGEST, f"docker.io/library/python@{DIGEST}")),
        ("r.example.com/b:1", [f"b@{ID}", f"r.example.com/b@{DIGEST}"], Base("r.example.com/b:1", DIGEST, f"r.example.com/b@{DIGEST}")),
        ("ours:1", [f"registry.example.com/ours@{DIGEST}"], Base("ours:1", ID, ID)),
        ("ours:1", [], Base("ours:1", ID, ID)),
        ("ours:1", None, Base("ours:1", ID, ID)),
        (ID, [], Base(ID, ID, ID)),
    ],
)
def test_a_base_image_by_tag_is_what_the_engine_has_under_it(text: str, known: list[str] | None, base: Base) -> None:
    assert Base.named(text) is None
    assert Base.of_engine(text, {"Id": ID, "RepoDigests": known}) == base


def test_a_base_image_that_is_no_reference_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="is not a digest"):
        Base.named("python@sha256:abc")


def test_a_stand_in_is_a_valid_image_that_says_what_it_is() -> None:
    config, layer, manifest = stand_in({labels.PYTHON: "3.11"}, "linux/arm64")
    document = json.loads(config)
    assert manifest.media_type == DOCKER_MANIFEST
    assert manifest.config == Descriptor(DOCKER_CONFIG, sha256(config), len(config))
    assert manifest.layers == (Descriptor(DOCKER_LAYER, sha256(layer), len(layer)),)
    assert document["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()]
    assert (document["os"], document["architecture"]) == ("linux", "arm64")
    assert document["config"]["Labels"] == {labels.PYTHON: "3.11", labels.STAND_IN: "process", labels.ACCEPTS_BIND_TO_PORT: "true"}
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getnames() == ["README"]


def test_the_same_stand_in_has_the_same_digest() -> None:
    digests = {stand_in(each, "linux/amd64")[2].digest for each in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})}
    assert len(digests) == 1


def test_an_image_that_docker_pushed_in_oci_form_is_said_in_dockers_words() -> None:
    config, layer = {"digest": "sha256:c", "size": 1}, {"mediaType": OCI_LAYER, "digest": "sha256:l", "size": 2}
    found = dockerbuild._in_dockers_words(Manifest(OCI_MANIFEST, json.dumps({"config": config, "layers": [layer]}).encode()))
    assert found.media_type == DOCKER_MANIFEST
    assert [(each.media_type, each.digest, each.size) for each in (found.config, *found.layers)] == [
        (DOCKER_CONFIG, "sha256:c", 1),
        (DOCKER_LAYER, "sha256:l", 2),
    ]


def test_layers_that_sagemaker_cannot_read_are_refused() -> None:
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": "sha256:l", "size": 2}
    manifest = Manifest(OCI_MANIFEST, json.dumps({"config": {"digest": "sha256:c", "size": 1}, "layers": [layer]}).encode())
    with pytest.raises(Refused, match="not compressed by gzip"):
        dockerbuild._in_dockers_words(manifest)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("manifest for python:3.99-slim not found: manifest unknown", ConfigInvalid),
        ("pull access denied for nowhere, repository does not exist or may require 'docker login'", ConfigInvalid),
        ("Get https://registry.example.com/v2/: dial tcp: lookup registry.example.com: no such host", TargetUnavailable),
        ("standard_init_linux.go:228: exec user process caused: exec format error", MachineFault),
        ("failed to copy files: write /opt/x: no space left on device", MachineFault),
        ("The command '/bin/sh -c x' returned a non-zero code: 1", MachineFault),
    ],
)
def test_what_the_engine_says_of_a_failed_build_becomes_one_of_our_errors(error: str, kind: type[Exception]) -> None:
    assert type(dockerbuild._build_error(error, ("Step 1/3 : FROM x",), "python:3.99-slim")) is kind


def test_a_base_image_with_another_python_is_named() -> None:
    found = dockerbuild._build_error("returned a non-zero code: 1", ("Step 4", "the base image has Python 3.12, not 3.11"), "x")
    assert (type(found), found.message) == (ConfigInvalid, "the base image has Python 3.12, not 3.11")
