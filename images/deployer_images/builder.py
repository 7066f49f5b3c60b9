"""`deploy build-and-push-container`: the scoring image, built once for a registry and found there by its tag ever after.

What an image is made from has a digest, which its label carries: a second run with the same inputs finds it in the registry and does
nothing. A base image counts by its name, with a digest if that has one: a tag that has moved on is no reason to build. `rebuild` takes
what the name stands for now, and the newest versions of what isn't pinned. What it stood for is in the labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.core.requirements import python_too_old, refuse_old_python
from deployer.errors import ConfigInvalid
from deployer.events import Noticed, Report, StepFinished, stepping
from deployer.oci import Image, ModelFacts, Repository, general_tag, inputs_tag, labels, lock_digest, model_tag, python_of
from deployer.oci.manifest import sha256
from deployer_images import cache, context, dockerbuild, engine, scoring, standin
from deployer_images import wanted as packages
from deployer_images.environments import minor_of
from deployer_images.locks import Lock, locked
from deployer_images.runtimes import DOCKER, PROCESS
from deployer_images.uv import OURS
from deployer_scoring import OLDEST_PYTHON

PLATFORMS = ("linux/amd64", "linux/arm64")
LAYERS = "layers"
RUNTIMES = (DOCKER, LAYERS, PROCESS)
CONTAINER_NAME = "deployer-scoring"
_ON_THIS_MACHINE = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What to build.

    Attributes:
        push: send it to the registry; without, it stays with the docker engine.
        base_image: what it stands on, with a Python of the right minor: a reference, or, without an engine, the path of an OCI archive or of
            a root directory; default: the official slim Python image.
        python: minor version; default: the model's, else that of this process.
        requirements: packages to add (`--with`), PEP 508.
        model: build for everything that this model pins (`--for`).
        directory: that model's, with its own packages and constraints; without it, its requirements alone count.
        ca_bundle: certificates that package indexes are trusted by; they never enter the image.
        container_name: what the image is called where it isn't pushed.
        runtime: docker builds an image by an engine, layers puts one together without; process: a stand-in (the local cloud alone takes one).
            None: docker where an engine answers, else layers, or a stand-in where the registry is on this machine.
        rebuild: build though the registry has an image of the same inputs.
    """

    push: bool = True
    base_image: str | None = None
    python: str | None = None
    platform: str = "linux/amd64"
    requirements: tuple[str, ...] = ()
    model: ModelFacts | None = None
    directory: Path | None = None
    ca_bundle: Path | None = None
    container_name: str = CONTAINER_NAME
    runtime: str | None = None
    rebuild: bool = False


def build_and_push(options: BuildOptions, repository: Repository | None, report: Report) -> Image:
    """Build the image unless it is there, and push it.

    Args:
        repository: where to; None only where nothing is pushed.

    Raises:
        ConfigInvalid: options that don't go together. ModelInvalid: no versions satisfy the requirements.
        TargetUnavailable: no docker engine, no registry or no package index answers. PermissionDenied, Refused: the registry says no.
    """
    wanted = _Wanted.of(options, _runtime(options, repository))
    if options.push and repository and not options.rebuild and (there := _pushed(wanted, repository)):
        report(StepFinished(step="image", label="image", resource=there.reference, changed=False, detail="in the registry, nothing to push"))
        return there
    if wanted.runtime == PROCESS:
        assert repository is not None  # _runtime saw to it
        return _push_stand_in(wanted, repository, report)
    if wanted.runtime == LAYERS:
        assert repository is not None  # _runtime saw to it
        return _put_together(wanted, repository, report)
    return _build(wanted, repository if options.push else None, report)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options with their defaults filled in."""

    options: BuildOptions
    runtime: str
    python: str
    base_image: str

    @classmethod
    def of(cls, options: BuildOptions, runtime: str) -> _Wanted:
        if options.platform not in PLATFORMS:
            raise ConfigInvalid(f"no image is built for the platform {options.platform!r}", advice=f"take one of {', '.join(PLATFORMS)}")
        python = minor_of(options.python) if options.python else python_of(options.model) if options.model else OURS
        if options.model:
            refuse_old_python(python_of(options.model))
        if python_too_old(python):
            raise ConfigInvalid(f"the server doesn't run on Python {python}", advice=f"take {OLDEST_PYTHON} or later")
        if options.model and python != python_of(options.model):
            raise ConfigInvalid(
                f"the model was saved by Python {python_of(options.model)}, and would not load in an image with {python}", advice="leave --python out"
            )
        return cls(options, runtime, python, options.base_image or f"python:{python}-slim")

    @property
    def whole_python(self) -> str:
        """Its version as the model or the options have it, with its patch where they say."""
        return self.options.python or (self.options.model.python_version if self.options.model else "") or self.python

    @property
    def packages(self) -> packages.Wanted:
        """What is to be installed."""
        model, directory = self.options.model, self.options.directory
        of_model = packages.Wanted.of_model(directory) if directory else packages.Wanted(model.requirements if model else ())
        return of_model.with_requirements(*self.options.requirements)

    @property
    def inputs(self) -> str:
        """The digest of what the image is made from; the same whatever the order of the requirements, and without credentials of theirs."""
        asked = (*(self.options.model.requirements if self.options.model else ()), *self.options.requirements)
        beside = self.options.model.beside if self.options.model else ()
        made_of = [self.runtime, self.base_image, self.python, self.options.platform, lock_digest((*asked, *beside), self.python)]
        return sha256(cache.key(*made_of, scoring.requirements(), scoring.digest(), context.DOCKERFILE.read_text()).encode())

    @property
    def tags(self) -> tuple[str, ...]:
        """Under which targets look for it first."""
        if self.options.model:
            return (model_tag(self.options.model),)
        return (general_tag(self.python), inputs_tag(self.python, self.inputs))

    def labels(self, lock: Lock) -> dict[str, str]:
        return {
            labels.RUNTIME: scoring.VERSION,
            labels.PYTHON: self.python,
            labels.PACKAGES: labels.packages_label(lock.all),
            labels.INPUTS: self.inputs,
        }


def _runtime(options: BuildOptions, repository: Repository | None) -> str:
    if options.runtime not in (None, *RUNTIMES):
        raise ConfigInvalid(f"{options.runtime!r} is not a runtime", advice=f"take one of {', '.join(RUNTIMES)}")
    if options.push and repository is None:
        raise ConfigInvalid("there is no registry to push to", advice="name one with --registry, or take --no-push")
    here = options.push and repository is not None and _ON_THIS_MACHINE.fullmatch(repository.registry) is not None
    if options.runtime == PROCESS and not here:
        raise ConfigInvalid("a stand-in holds no files, and nothing but the local cloud can run it", advice="leave --runtime process out")
    if options.runtime == LAYERS and not options.push:
        raise ConfigInvalid("what is put together without an engine has nowhere to stay but a registry", advice="leave --no-push out")
    if options.runtime:
        return options.runtime
    if options.base_image and options.base_image.startswith(("/", ".")):
        return LAYERS
    if not options.push or engine.answers():
        return DOCKER
    return PROCESS if here else LAYERS


def _pushed(wanted: _Wanted, repository: Repository) -> Image | None:
    """The image in the registry, if it was made from these inputs and has all of its tags."""
    found = {repository.exists(tag) for tag in wanted.tags}
    if len(found) != 1 or None in found:
        return None
    try:
        config = repository.config(repository.manifest(wanted.tags[0]))
    except (ConfigInvalid, KeyError):
        return None  # somebody else's, or an index
    return repository.describe(wanted.tags[0]) if config.labels.get(labels.INPUTS) == wanted.inputs else None


def _push_stand_in(wanted: _Wanted, repository: Repository, report: Report) -> Image:
    report(Noticed(message="a stand-in is pushed instead of an image: the local cloud will run the scoring runtime as a process"))
    # It names what will be installed on this machine, whatever the platform that it gives out.
    lock = _locked(wanted, "", report)
    with stepping(report, "push_image", "stand-in", repository.reference(wanted.tags[0])) as outcome:
        standin.push(repository, wanted.labels(lock), wanted.options.platform, *wanted.tags)
        image = repository.describe(wanted.tags[0])
        outcome.resource, outcome.detail = image.reference, f"for {repository.uri}"
    return image


def _build(wanted: _Wanted, repository: Repository | None, report: Report) -> Image:
    client = engine.connect()
    name = repository.uri if repository else wanted.options.container_name
    builder = dockerbuild.DockerBuild(client, name, wanted.tags, report)
    built = None if wanted.options.rebuild else builder.find(wanted.inputs)
    if built is None:
        base = builder.base(wanted.base_image, wanted.options.platform, fresh=wanted.options.rebuild)
        lock = _locked(wanted, wanted.options.platform, report)
        with context.context(lock, wanted.packages, wanted.options.ca_bundle, shared=wanted.options.model is None) as archive:
            arguments = {"BASE_IMAGE": base.source, "PYTHON": wanted.python}
            built = builder.build(archive, arguments, wanted.labels(lock) | base.labels, wanted.options.platform)
    if repository is None:
        return built
    builder.push(repository)
    return repository.describe(wanted.tags[0], platform=wanted.options.platform)


def _put_together(wanted: _Wanted, repository: Repository, report: Report) -> Image:
    """Without an engine: the shared image, and on it the model's packages where it is for one."""
    from deployer_images.layers.bases import opened
    from deployer_images.layers.images import Destination, push_shared, push_with_packages
    from deployer_images.layers.package_set import packages_of, runtime_packages

    options = wanted.options
    made_with = {labels.INPUTS: wanted.inputs}
    if options.model:
        shared = build_and_push(replace(options, model=None, directory=None, requirements=(), runtime=LAYERS), repository, report)
        chosen = packages_of(wanted.packages, wanted.whole_python, options.platform, ca_bundle=options.ca_bundle)
        return push_with_packages(shared, chosen, wanted.packages, Destination(repository, wanted.tags, made_with, report))
    base = opened(wanted.base_image, options.platform)
    chosen = runtime_packages(wanted.packages, wanted.whole_python, options.platform, ca_bundle=options.ca_bundle)
    said = {labels.RUNTIME: scoring.VERSION, labels.PYTHON: wanted.python, labels.PACKAGES: labels.packages_label(chosen.lines)}
    return push_shared(base, chosen, wanted.packages, Destination(repository, wanted.tags, said | made_with | base.base.labels, report))


def _locked(wanted: _Wanted, platform: str, report: Report) -> Lock:
    with stepping(report, "resolve_packages", "packages") as outcome:
        lock = locked(wanted.packages, wanted.whole_python, platform=platform, ca_bundle=wanted.options.ca_bundle)
        outcome.detail = f"{len(lock.packages)} of the model's, {len(lock.runtime)} of the runtime's"
    return lock
