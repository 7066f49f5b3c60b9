"""`deploy images list` and `prune`: what a registry holds, who uses it, and that nothing goes that somebody uses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

import deployer
from deployer.cli.program import program
from deployer.errors import ConfigInvalid, Conflict, Refused
from deployer.oci import Descriptor, Manifest, Repository, docker_manifest, general_tag, labels, oci_manifest
from deployer.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, sha256
from deployer.verbs.images import ImageListing, Use, list_images, prune_images
from tests.docker import serving_registry
from tests.e2e.sagemaker.cloud import REGION, ROLE, AwsHere, running
from tests.local_clouds import MINOR, QUESTION, model_in

LAYER = labels.LAYER
BASE, ADDRESS, OTHER = b"base" * 1000, "sha256:" + "a" * 64, "sha256:" + "b" * 64


def push(repository: Repository, *tags: str, layers: tuple[bytes, ...] = (BASE,), said: Mapping[str, str] | None = None) -> str:
    """An image with these layers and labels; its digest."""
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "config": {"Labels": said or {}}, "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    descriptors = tuple(Descriptor(DOCKER_LAYER, repository.upload(each), len(each)) for each in layers)
    return repository.put_manifest(docker_manifest(Descriptor(DOCKER_CONFIG, repository.upload(config), len(config)), descriptors), *tags)


def push_layer(repository: Repository, tag: str, address: str, content: bytes) -> str:
    """A layer of packages under a manifest of its own."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": {LAYER: address}}}).encode()
    said = {LAYER: address, labels.DIFF_ID: sha256(content), labels.UNPACKED: str(len(content))}
    described = Descriptor(OCI_CONFIG, repository.upload(config), len(config))
    return repository.put_manifest(oci_manifest(described, (Descriptor(OCI_LAYER, repository.upload(content), len(content)),), said), tag)


def push_index(repository: Repository, tag: str, *images: str) -> str:
    entries = [
        {"mediaType": OCI_MANIFEST, "digest": each, "size": 1, "platform": {"os": "linux", "architecture": name}}
        for each, name in zip(images, ("amd64", "arm64"), strict=False)
    ]
    return repository.put_manifest(Manifest(OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()), tag)


def ours(**more: str) -> dict[str, str]:
    return {labels.RUNTIME: "0.1.0", labels.PYTHON: "3.11", **more}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that removes what it is told to."""
    with serving_registry(tmp_path_factory.mktemp("registry"), delete=True) as host:
        yield host


class Stock:
    """One of each kind."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.shared = push(repository, "0.1.0-py311", said=ours())
        self.used_layer = push_layer(repository, "packages-a", ADDRESS, b"packages a" * 100)
        self.used = push(repository, "0.1.0-py311-aaaaaaaaaa", layers=(BASE, b"packages a" * 100), said=ours(**{LAYER: ADDRESS}))
        self.idle_layer = push_layer(repository, "packages-b", OTHER, b"packages b" * 200)
        self.idle = push(repository, "0.1.0-py311-bbbbbbbbbb", "again", layers=(BASE, b"packages b" * 200), said=ours(**{LAYER: OTHER}))
        self.whole = push(repository, "churn", said=ours(**{labels.MODEL: "sha256:" + "c" * 64}))
        self.pods = push(repository, "pods-cccccccccc", said=ours(**{labels.OWN: "true"}))
        self.foreign = push(repository, "theirs", layers=(b"theirs",))
        self.uses = {"sagemaker": [Use(f"{repository.uri}@{self.used}", "churn, generation 1")]}

    def listing(self) -> ImageListing:
        return list_images(self.repository, self.uses)

    def remove(self, *digests: str) -> set[str]:
        return {str(each.digest) for each in prune_images(self.repository, self.uses, digests).removed}


@pytest.fixture
def stock(host: str, request: pytest.FixtureRequest) -> Stock:
    return Stock(Repository(host, f"of-{sha256(request.node.name.encode()).removeprefix('sha256:')[:12]}"))


def test_each_image_is_listed_with_its_kind_and_who_uses_it(stock: Stock) -> None:
    found = {str(each.digest): each for each in stock.listing().images}
    assert {digest: (each.kind, bool(each.stays)) for digest, each in found.items()} == {
        stock.shared: ("shared", True),
        stock.used: ("model", True),
        stock.used_layer: ("packages", True),
        stock.idle: ("model", False),
        stock.idle_layer: ("packages", False),
        stock.whole: ("whole", True),
        stock.pods: ("pods", True),
        stock.foreign: ("foreign", True),
    }
    assert found[stock.used].used_by == ("churn, generation 1",)
    assert found[stock.idle].tags == ("0.1.0-py311-bbbbbbbbbb", "again")
    assert found[stock.idle].platform == "linux/amd64"


def test_what_is_freed_is_what_nothing_else_has(stock: Stock) -> None:
    """The base is in other images, the packages are in both that go."""
    idle, layer = (next(each for each in stock.listing().images if each.digest == digest) for digest in (stock.idle, stock.idle_layer))
    assert stock.listing().freed == idle.size - len(BASE) + layer.size - len(b"packages b" * 200)


def test_prune_removes_what_nothing_uses_and_nothing_else(stock: Stock) -> None:
    before = {str(each.digest) for each in stock.listing().images}
    assert prune_images(stock.repository, stock.uses, dry_run=True).freed == stock.listing().freed
    assert {str(each.digest) for each in stock.listing().images} == before
    assert stock.remove() == {stock.idle, stock.idle_layer}
    assert {str(each.digest) for each in stock.listing().images} == before - {stock.idle, stock.idle_layer}
    assert stock.remove() == set()
    assert stock.listing().freed == 0


@pytest.mark.parametrize("kind", ["shared", "whole", "pods", "foreign", "used_layer"])
def test_what_others_may_use_goes_by_its_digest_alone(stock: Stock, kind: str) -> None:
    digest = getattr(stock, kind)
    assert stock.remove(digest) == {digest}
    assert stock.repository.find_manifest(digest) is None
    assert stock.repository.find_manifest(stock.idle) is not None  # nothing beside it


def test_what_a_record_names_never_goes(stock: Stock) -> None:
    with pytest.raises(Conflict, match="in use by churn, generation 1"):
        stock.remove(stock.used)
    with pytest.raises(Conflict):
        stock.remove(stock.idle, stock.used)
    assert stock.repository.find_manifest(stock.idle) is not None


@pytest.mark.parametrize("form", ["digest elsewhere", "tag", "config"])
def test_a_record_may_name_it_in_any_way(stock: Stock, form: str) -> None:
    """By another name of the same registry, by a tag, or as docker does, by its config."""
    config = stock.repository.manifest(stock.idle).config.digest
    name = {"digest elsewhere": f"mirror.example.com/x@{stock.idle}", "tag": f"{stock.repository.uri}:again", "config": config}[form]
    stock.uses["local"] = [Use(name, "churn, generation 2")]
    assert not stock.listing().unused
    with pytest.raises(Conflict):
        stock.remove(stock.idle)


def test_an_index_and_its_images_stay_and_go_together(stock: Stock) -> None:
    index = push_index(stock.repository, "both", stock.idle)
    assert stock.remove() == set()
    with pytest.raises(Conflict, match="the index"):
        stock.remove(stock.idle)
    stock.uses["local"] = [Use(index, "churn, generation 2")]
    with pytest.raises(Conflict, match="in use"):
        stock.remove(index, stock.idle)
    stock.uses["local"] = [Use(stock.idle, "churn, generation 2")]
    with pytest.raises(Conflict, match="in use"):
        stock.remove(index)
    del stock.uses["local"]
    assert stock.remove(index, stock.idle) == {index, stock.idle}


@pytest.mark.parametrize("digest", ["latest", "sha256:12", "sha256:" + "0" * 64])
def test_a_digest_that_is_none_is_refused(stock: Stock, digest: str) -> None:
    with pytest.raises(ConfigInvalid):
        stock.remove(digest)


def test_a_registry_that_removes_nothing_is_told_with_the_way_out(tmp_path: Path) -> None:
    with serving_registry(tmp_path) as host:
        stock = Stock(Repository(host, "scoring"))
        with pytest.raises(Refused, match="does not let images be removed") as refused:
            stock.remove()
        assert "REGISTRY_STORAGE_DELETE_ENABLED" in refused.value.advice
        assert len(stock.listing().images) == 8


def test_an_empty_registry_has_nothing_to_list(host: str) -> None:
    assert deployer.list_images([], registry=host, container_name="none")[0].images == ()
    with pytest.raises(ConfigInvalid, match="which targets use the registry"):
        deployer.prune_images([], registry=host)
    with pytest.raises(ConfigInvalid, match="no registry is named"):
        deployer.list_images(["local"])


# The local AWS: ECR's own API, and deployments that use what is there


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsHere]:
    with running(tmp_path_factory.mktemp("aws")) as cloud:
        yield cloud


def deploy(*arguments: str) -> str:
    done = CliRunner().invoke(program, ["images", *arguments], catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_images_of_every_generation_that_is_kept_stay(here: AwsHere, tmp_path: Path) -> None:
    target = f"sagemaker:/{REGION}"
    shared = here.push(general_tag(MINOR))
    pushed = [here.push(f"{general_tag(MINOR)}-{number:010}", **{"io.deployer.inputs": str(number)}) for number in range(3)]
    untagged = here.push("moved", **{"io.deployer.inputs": "first"})
    moved = here.push("moved", **{"io.deployer.inputs": "second"})
    client = deployer.get_deploy_client(target, {"execution_role_arn": ROLE, "timeout_seconds": 180, "bucket": "own-bucket", "keep": 1})
    model = str(model_in(tmp_path / "model", 2).path)
    here.boto("s3").create_bucket(Bucket="own-bucket")
    for image in pushed[:2]:
        client.apply("churn", model, config={"image_url": image.reference}, packages="image")
    others = here.boto("sagemaker")
    others.create_model(ModelName="theirs", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": moved.reference})

    listed = json.loads(deploy("list", "-t", target, "-o", "json"))
    found = {each["digest"]: each for each in listed["images"]}
    assert set(found) == {shared.digest, *(each.digest for each in pushed), untagged.digest, moved.digest}
    assert set(listed["unused"]) == {pushed[2].digest, untagged.digest}
    assert found[moved.digest]["used_by"] == ["model theirs"]
    assert all(found[each.digest]["used_by"] for each in pushed[:2])
    assert "nothing" in deploy("list", "-t", target)
    planned = json.loads(deploy("prune", "-t", target, "--dry-run", "-o", "json"))
    assert {each["digest"] for each in planned["removed"]} == set(listed["unused"])
    assert len(here.boto("ecr").describe_images(repositoryName="deployer-scoring")["imageDetails"]) == 6

    deploy("prune", "-t", target)
    left = {each["imageDigest"] for each in here.boto("ecr").describe_images(repositoryName="deployer-scoring")["imageDetails"]}
    assert left == set(found) - set(listed["unused"])
    assert json.loads(client.query("churn", QUESTION).body) == {"predictions": [2.0, 4.0]}
    client.delete_deployment("churn")
    others.delete_model(ModelName="theirs")
    assert {each.digest for each in deployer.prune_images([target])[0].removed} == {each.digest for each in (*pushed[:2], moved)}


def test_ecr_keeps_what_a_list_of_manifests_has(here: AwsHere) -> None:
    repository = here.target.image_repository(here.connect(), "listed", create=True)
    images = [push(repository, layers=(name,), said=ours()) for name in (b"one", b"two")]
    index = push_index(repository, "both", *images)
    answer = here.boto("ecr").batch_delete_image(repositoryName="listed", imageIds=[{"imageDigest": images[0]}, {"imageDigest": OTHER}])
    assert [(each["failureCode"], each["imageId"]["imageDigest"]) for each in answer["failures"]] == [
        ("ImageReferencedByManifestList", images[0]),
        ("ImageNotFound", OTHER),
    ]
    with pytest.raises(Refused, match="ECR keeps 1 of 1 images"):
        repository.remove(images[:1])
    assert len(prune_images(repository, {}, [index, *images]).removed) == 3
    assert repository.images() == {}
