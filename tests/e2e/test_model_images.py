"""What a model's image is made of, by the command line and by API, in Debian's docker-registry: looked up, made ahead of time, shared."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packaging.requirements import Requirement

from deployer.artifacts import fetch
from deployer.checks import with_mlflow_said
from deployer.cli.program import program
from deployer.core.compatibility import fit
from deployer.core.state import PackagedModel
from deployer.errors import ModelInvalid
from deployer.events import Event, StepProgressed, silent
from deployer.oci import Descriptor, NoSharedImage, Repository, choose, docker_manifest, general_tag, labels, model_tag
from deployer.oci.manifest import DOCKER_CONFIG
from deployer_images import scoring, standin
from deployer_images.builds import VARIABLE
from deployer_images.layers.planning import base_for, make, planned, shared_planned
from deployer_targets.local.accelerators import of_processes
from deployer_targets.local.images import stand_in
from tests.docker import serving_registry
from tests.index import Index, index_of_arrays

index = index_of_arrays
RAN = "open({!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='evil', version='1.0')\n"


@dataclass
class Counted:
    """A registry, and what it was asked."""

    host: str
    log: Path

    @property
    def asked(self) -> list[str]:
        """Method and path of each request so far."""
        return re.findall(r'"((?:GET|HEAD|POST|PUT|PATCH|DELETE) /v2/\S+)', self.log.read_text())

    def since(self, before: int) -> list[str]:
        return self.asked[before:]


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None answers here, whatever another module of the same process has started: it would build what has no wheel."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    (tmp_path / "registry").mkdir()
    with serving_registry(tmp_path / "registry") as host:
        yield Counted(host, tmp_path / "registry" / "registry.log")


@pytest.fixture
def shared(counted: Counted) -> Repository:
    """The repository of a shared image that is labels alone."""
    repository = Repository(counted.host, "deployer-scoring")
    said = {labels.PYTHON: "3.11", labels.PACKAGES: "[]", labels.RUNTIME: scoring.VERSION}
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": said}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    repository.put_manifest(docker_manifest(Descriptor(DOCKER_CONFIG, repository.upload(config), len(config)), ()), general_tag("3.11"))
    return repository


def model(directory: Path, *requirements: str, data: str = "") -> Path:
    """A model of its own loader."""
    directory.mkdir()
    (directory / "requirements.txt").write_text("".join(f"{each}\n" for each in requirements))
    (directory / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: churn\n    data: data\n    python_version: 3.11.7\n")
    (directory / "data").write_text(data)
    return directory


def fetched(directory: Path) -> PackagedModel:
    return with_mlflow_said(fetch(str(directory), silent))


def deploy(*arguments: str) -> Result:
    return CliRunner().invoke(program, arguments)


def test_a_model_s_packages_are_listed_and_made_ahead_of_time(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    index.json = True  # says how large files are
    index.wheel("churn", "1.0", ["scaled"], churn="x = 1\n" * 2000)
    index.wheel("scaled", "2.1")
    saved = str(model(tmp_path / "model", "churn"))
    listed = deploy("models", "packages", saved)
    assert listed.exit_code == 0
    assert "4 packages" in listed.output
    assert "not asked" in listed.output
    assert [line.split()[0] for line in listed.output.splitlines()[5:7]] == ["PACKAGE", "churn"]  # the largest first
    there = ("--registry", counted.host, "-o", "json")
    before = json.loads(deploy("models", "packages", "-m", saved, *there).stdout)
    assert (before["in_registry"], before["layer_size"]) == (False, None)
    assert {each["name"]: each["version"] for each in before["packages"]} == {"churn": "1.0", "numpy": "2.0", "pandas": "3.0", "scaled": "2.1"}
    assert before["size"] == sum(each["size"] for each in before["packages"])
    made = json.loads(deploy("models", "packages", "-m", saved, *there, "--build").stdout)
    assert made["in_registry"]
    assert made["address"] == before["address"]
    manifest = shared.manifest(made["tag"])
    assert [layer.size for layer in manifest.layers] == [made["layer_size"]]
    found = choose(shared, fetched(Path(saved)).facts, recorded=None, named=None, packages="auto")
    assert fit(fetched(Path(saved)).facts, found, "auto").fits


def test_what_has_no_wheel_is_told_and_nothing_is_made(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    index.wheel("churn", "1.0", ["evil"])
    index.sdist("evil", "1.0", RAN.format(str(tmp_path / "ran")))
    saved = str(model(tmp_path / "model", "churn"))
    before = len(counted.asked)
    told = deploy("models", "packages", "-m", saved, "--registry", counted.host, "--build")
    assert told.exit_code == 2
    assert "✗ evil is only a source distribution" in told.output
    assert not (tmp_path / "ran").exists()
    assert not [each for each in counted.since(before) if not each.startswith(("GET", "HEAD"))]
    nowhere = deploy("models", "packages", "-m", saved, "--build")
    assert nowhere.exit_code == 2
    assert "none is named" in nowhere.output


def test_a_second_model_with_the_same_packages_sends_none(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    index.wheel("churn", "1.0")
    first, same, other = (
        fetched(model(tmp_path / name, line, data=name)) for name, line in (("first", "churn"), ("same", "churn"), ("other", "churn==1.0"))
    )
    general = shared.describe(general_tag("3.11"))
    will = planned(shared, general, first)
    assert will.planned is not None
    assert (will.planned.count, will.planned.there) == (3, False)
    make(shared, first, silent)

    before = len(counted.asked)
    found = choose(shared, same.facts, recorded=None, named=None, packages="auto")
    assert fit(same.facts, found, "auto").fits
    assert len(counted.since(before)) < 10
    assert all(each.startswith(("GET", "HEAD")) for each in counted.since(before))

    before, heard = len(counted.asked), list[Event]()
    will = planned(shared, general, other)
    assert will.planned is not None
    assert will.planned.there
    assert len(counted.since(before)) == 1
    before = len(counted.asked)
    make(shared, other, heard.append)
    assert not [event for event in heard if isinstance(event, StepProgressed)]
    sent = [each for each in counted.since(before) if not each.startswith(("GET", "HEAD"))]
    assert all("/manifests/" in each for each in sent)  # no blob: packages, config and all are there
    assert len(counted.since(before)) < 8


def test_packages_that_nothing_is_left_out_of_have_an_image_of_their_own(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    """Found again by the same mode, of the record as of the command line; the trimmed one stays what `auto` finds."""
    index.wheel("churn", "1.0")
    saved = fetched(model(tmp_path / "model", "churn"))
    trimmed = make(shared, saved, silent)
    general = choose(shared, saved.facts, recorded=trimmed.reference, named=None, packages="untrimmed")
    assert general.tag == general_tag("3.11")
    assert any("tests, headers" in each for each in fit(saved.facts, trimmed, "untrimmed").reasons)
    will = planned(shared, general, saved, trimmed=False)
    assert fit(saved.facts, will, "untrimmed").fits
    listed = deploy("models", "packages", str(saved.path), "--registry", counted.host, "--no-trim", "--build", "-o", "json")
    assert json.loads(listed.stdout)["address"] == getattr(will.planned, "address", None)
    whole = choose(shared, saved.facts, recorded=trimmed.reference, named=None, packages="untrimmed")
    assert (whole.trimmed, whole.tag) == (False, will.tag)
    assert fit(saved.facts, whole, "untrimmed").fits
    assert choose(shared, saved.facts, recorded=whole.reference, named=None, packages="auto") == replace(whole, tag="")
    assert choose(shared, saved.facts, recorded=None, named=None, packages="auto") == trimmed


def test_an_image_of_one_model_is_pushed_without_an_engine(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    index.wheel("churn", "1.0")
    first, second = (model(tmp_path / name, "churn", data=name * 1000) for name in ("first", "second"))
    made = deploy("models", "build-docker", "-m", str(first), "-n", "churn:3", "--push", "--registry", counted.host, "-q")
    assert made.exit_code == 0, made.output
    repository = Repository(counted.host, "churn")
    manifest = repository.manifest("3")
    assert made.output.strip() == repository.reference(manifest.digest)
    config = repository.config(manifest)
    assert config.labels[labels.MODEL] == fetched(first).digest
    assert set(labels.package_versions(config.labels) or {}) == {"churn", "numpy", "pandas"}
    assert files_of(repository, manifest.layers[-1].digest)["opt/ml/model/data"] == b"first" * 1000

    before = len(counted.asked)
    again = deploy("models", "build-docker", "-m", str(second), "-n", f"{counted.host}/churn:4", "--push", "--registry", counted.host)
    assert again.exit_code == 0, again.output
    newer = repository.manifest("4")
    assert newer.layers[:-1] == manifest.layers[:-1]
    uploads = [each for each in counted.since(before) if each.startswith("POST")]
    assert len(uploads) == 2  # the model and the config
    assert len(counted.since(before)) <= 12
    assert deploy("models", "build-docker", "-m", str(first), "-n", "churn", "--push").output.count("--push needs a registry") == 1


def test_an_archive_of_it_is_the_same_whoever_makes_it(
    index: Index, counted: Counted, shared: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("churn", "1.0")
    saved = str(model(tmp_path / "model", "churn"))
    base = shared.reference(general_tag("3.11"))
    contents = []
    for name in ("here", "there"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        made = deploy("models", "build-docker", "-m", saved, "-n", "churn:3", "--output", str(tmp_path / f"{name}.tar"), "--base", base)
        assert made.exit_code == 0, made.output
        contents.append((tmp_path / f"{name}.tar").read_bytes())
    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "here.tar") as tar:
        for member in tar:
            if member.name.startswith("blobs/"):
                content = tar.extractfile(member)
                assert content is not None
                assert hashlib.sha256(content.read()).hexdigest() == member.name.rpartition("/")[2]
    assert not list(tmp_path.glob(".*"))


def test_an_archive_that_can_t_be_written_is_not_left_half(index: Index, shared: Repository, tmp_path: Path) -> None:
    saved = str(model(tmp_path / "model"))
    base = shared.reference(general_tag("3.11"))
    made = deploy("models", "build-docker", "-m", saved, "-n", "churn", "--output", str(tmp_path / "nowhere" / "image.tar"), "--base", base)
    assert "could not be written" in made.output
    made = deploy("models", "build-docker", "-m", saved, "-n", "Churn:3:4", "--output", str(tmp_path / "image.tar"), "--base", base)
    assert made.exit_code == 2
    assert "is not an image reference" in made.output
    assert not (tmp_path / "image.tar").exists()


def test_where_it_can_t_go_is_told_before_anything_is_fetched(index: Index, tmp_path: Path) -> None:
    saved = str(model(tmp_path / "model"))
    for where, said in (
        ((), "no docker engine answers, which would keep the image"),
        (("--output", str(tmp_path / "nowhere" / "image.tar")), "could not be written"),
        (("--push",), "--push needs a registry"),
    ):
        refused = deploy("models", "build-docker", "-m", saved, "-n", "churn", "--base", "localhost:1/base", *where)
        assert said in refused.output
    assert not index.asked
    gone = deploy("models", "build-docker", "-m", saved, "--output", str(tmp_path / "image.tar"), "--base", str(tmp_path / "gone"))
    assert (gone.exit_code, f"there is no base image {tmp_path / 'gone'}" in gone.output) == (2, True)
    unknown = model(tmp_path / "unknown", "no-such-package")
    refused = deploy("models", "build-docker", "-m", str(unknown), "--output", str(tmp_path / "image.tar"), "--base", "localhost:1/base")
    assert "no index has a package no-such-package" in refused.output  # and not that the base can't be had


def test_a_base_of_another_python_or_without_files_is_refused(index: Index, counted: Counted, shared: Repository, tmp_path: Path) -> None:
    index.wheel("numpy", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    saved = model(tmp_path / "model")
    (saved / "MLmodel").write_text((saved / "MLmodel").read_text().replace("3.11.7", "3.12.1"))
    base = shared.reference(general_tag("3.11"))
    made = deploy("models", "build-docker", "-m", str(saved), "-n", "churn", "--output", str(tmp_path / "image.tar"), "--base", base)
    assert made.exit_code == 2, made.output
    assert "has Python 3.11, and the model was saved by 3.12" in made.output
    assert not (tmp_path / "image.tar").exists()


def test_a_dockerfile_comes_with_all_that_it_copies(index: Index, tmp_path: Path) -> None:
    for each in scoring.requirements():
        if (name := Requirement(each).name) not in ("numpy", "pandas"):
            index.wheel(name, "99.0")
    index.wheel("churn", "1.0")
    saved, out = model(tmp_path / "model", "churn", data="$HOME"), tmp_path / "out"
    made = deploy("models", "generate-dockerfile", "-m", str(saved), "-d", str(out))
    assert made.exit_code == 0, made.output
    assert (out / "packages/churn.py").read_text() == "VERSION = '1.0'\n"
    assert (out / "runtime/deployer_scoring/__main__.py").is_file()
    assert (out / "model/data").read_text() == "$HOME"
    text = (out / "Dockerfile").read_text()
    assert "ARG BASE_IMAGE=python:3.11-slim\n" in text
    assert text.endswith("COPY model/ /opt/ml/model/\n")
    again = deploy("models", "generate-dockerfile", "-m", str(saved), "-d", str(out))
    assert again.exit_code == 2
    assert "is not empty" in again.output
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_built_for_a_dockerfile(index: Index, tmp_path: Path) -> None:
    index.sdist("evil", "1.0", RAN.format(str(tmp_path / "ran")))
    made = deploy("models", "generate-dockerfile", "-m", str(model(tmp_path / "model", "evil")), "-d", str(tmp_path / "out"))
    assert made.exit_code == ModelInvalid.exit_code
    assert "evil is only a source distribution" in made.output
    assert "deploy models build-docker builds it by a docker engine" in made.output
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def of_torch(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model on a framework of which the index has the build with CUDA, and pages as PyTorch's have that for processors."""
    for each in scoring.requirements():
        if (name := Requirement(each).name) not in ("numpy", "pandas"):
            index.wheel(name, "99.0")
    index.wheel("nvidia_cuda_runtime_cu12", "12.4.127")
    index.wheel("torch", "2.5.1", ["nvidia-cuda-runtime-cu12==12.4.127"])
    index.build("cpu", "torch", "2.5.1+cpu")
    monkeypatch.setenv(VARIABLE, index.url.removesuffix("/simple"))
    return model(tmp_path / "of-torch", "torch==2.5.1")


PLACES = [((), "2.5.1"), (("-t", "sagemaker:/us-west-2"), "2.5.1+cpu"), (("-t", "sagemaker:/us-west-2", "-C", "instance_type=ml.g6.xlarge"), "2.5.1")]


@pytest.mark.parametrize(("place", "torch"), PLACES)
def test_every_verb_that_makes_an_image_makes_it_for_where_it_runs(
    of_torch: Path, counted: Counted, shared: Repository, place: tuple[str, ...], torch: str
) -> None:
    there = ("-m", str(of_torch), "--registry", counted.host, *place)
    assert deploy("models", "build-docker", *there, "-n", "churn:1", "--push").exit_code == 0
    has = Repository(counted.host, "churn").describe("1").packages or {}
    assert (has["torch"], "nvidia-cuda-runtime-cu12" in has) == (torch, torch == "2.5.1")

    assert deploy("models", "generate-dockerfile", "-m", str(of_torch), "-d", str(of_torch.parent / "out"), *place).exit_code == 0
    assert f'\\"torch=={torch}\\"' in (of_torch.parent / "out/Dockerfile").read_text()

    container = ("build-and-push-container", "--for", str(of_torch), "--registry", counted.host, "--runtime", "process", *place)
    assert "nothing to push" not in deploy(*container).output
    tag = model_tag(fetched(of_torch).facts, gpu="instance_type=ml.g6.xlarge" in place)
    assert (shared.describe(tag).packages or {})["torch"] == torch
    assert "nothing to push" in deploy(*container).output


def test_what_was_made_for_no_place_in_particular_is_made_anew_for_one(of_torch: Path, counted: Counted, shared: Repository) -> None:
    container = ("build-and-push-container", "--for", str(of_torch), "--registry", counted.host, "--runtime", "process")
    deploy(*container)
    deploy(*container, "-t", "sagemaker:/us-west-2")
    assert (shared.describe(model_tag(fetched(of_torch).facts)).packages or {})["torch"] == "2.5.1+cpu"


def test_a_process_of_this_machine_has_the_build_for_it(of_torch: Path) -> None:
    here = of_processes()
    has = stand_in(fetched(of_torch), "auto").packages or {}
    assert has["torch"] == ("2.5.1+cpu" if here and not here.gpu else "2.5.1")


def test_the_image_for_another_python_is_made_on_the_way(index: Index, counted: Counted, tmp_path: Path) -> None:
    repository = Repository(counted.host, "deployer-scoring")
    said = {labels.PYTHON: "3.11", labels.PACKAGES: "[]", labels.RUNTIME: scoring.VERSION}
    facts = fetched(model(tmp_path / "older", "churn")).facts
    assert shared_planned(repository, facts) is None  # nothing to go by
    standin.push(repository, said, "linux/amd64", general_tag("3.11"))
    index.wheel("numpy", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    for each in scoring.requirements():
        if (name := Requirement(each).name) not in ("numpy", "pandas"):
            index.wheel(name, "99.0")
    index.wheel("churn", "1.0")
    saved = model(tmp_path / "model", "churn")
    (saved / "MLmodel").write_text((saved / "MLmodel").read_text().replace("3.11.7", "3.12.1"))
    newer = fetched(saved)
    with pytest.raises(NoSharedImage):
        choose(repository, newer.facts, recorded=None, named=None, packages="auto")
    shared = shared_planned(repository, newer.facts)
    assert shared is not None
    will = planned(repository, shared, newer)
    assert f"deployer-scoring:{general_tag('3.12')}, made now, + packages " in str(will.planned)
    assert fit(newer.facts, will, "auto").fits
    assert repository.tags() == (general_tag("3.11"),)
    assert fit(newer.facts, make(repository, newer, silent), "auto").fits
    assert repository.describe(general_tag("3.12")).python_version == "3.12"


def test_the_image_for_another_python_has_what_was_added_to_the_first(index: Index, counted: Counted, tmp_path: Path) -> None:
    repository = Repository(counted.host, "deployer-scoring")
    for each in scoring.requirements():
        if (name := Requirement(each).name) not in ("numpy", "pandas"):
            index.wheel(name, "99.0")
    index.wheel("numpy", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    for name in ("churn", "extra", "more"):
        index.wheel(name, "1.0")
    added = ("--with", "extra", "--with", "more==1.0")
    done = deploy("build-and-push-container", "--registry", counted.host, "--runtime", "process", "--python", "3.11", *added)
    assert done.exit_code == 0, done.output
    saved = model(tmp_path / "model", "churn")
    (saved / "MLmodel").write_text((saved / "MLmodel").read_text().replace("3.11.7", "3.12.1"))
    newer = fetched(saved)
    shared = shared_planned(repository, newer.facts)
    assert shared is not None
    assert {"extra", "more", "churn"} <= (planned(repository, shared, newer).packages or {}).keys()
    made = make(repository, newer, silent)
    assert {"extra": "1.0", "more": "1.0", "churn": "1.0"}.items() <= (made.packages or {}).items()


@pytest.mark.parametrize(
    ("name", "for_other"),
    [
        ("docker.io/library/python:3.11-slim", "docker.io/library/python:3.12-slim"),
        ("registry.example.com/base-3.11:2024.3.11", "registry.example.com/base-3.12:2024.3.11"),
        ("/srv/root", "/srv/root"),
        ("", None),
    ],
)
def test_thebase_for_another_python_is_named_as_the_first(name: str, for_other: str | None) -> None:
    assert base_for(name, "3.11", "3.12") == for_other


def files_of(repository: Repository, digest: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(repository.read_blob(digest))) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
