"""`deploy build-and-push-container`: the scoring image, built once for a registry and found there by its tag ever after.

What an image is made from has a digest, which its label carries: a second run with the same inputs finds it in the registry and does
nothing. A base image counts by its name, with a digest if that has one: a tag that has moved on is no reason to build. `rebuild` takes
what the name stands for now, and the newest versions of what isn't pinned. What it stood for is in the labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.core.accelerators import Accelerator
from deployer.core.requirements import python_too_old, refuse_old_python
from deployer.errors import ConfigInvalid
from deployer.events import Noticed, Report, StepFinished, stepping
from deployer.oci import Image, ModelFacts, Repository, general_tag, inputs_tag, labels, lock_digest, model_tag, python_of
from deployer.oci.manifest import index_manifest, sha256
from deployer_images import cache, context, cuda, dockerbuild, engine, scoring, standin
from deployer_images.builds import builds_for, noticed
from deployer_images.environments import minor_of
from deployer_images.locks import Lock, locked
from deployer_images.runtimes import DOCKER, PROCESS
from deployer_images.uv import OURS
from deployer_images.wanted import Wanted
from deployer_scoring import OLDEST_PYTHON
from deployer_scoring.masking import without_secrets

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
        accelerator: what that model will run on, where it is known: its packages are built for that.
        indexed: the tag where targets look first is that of an index of several platforms (`build_index`).
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
    accelerator: Accelerator | None = None
    indexed: bool = False


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
    wanted = wanted.with_builds(report)
    if wanted.runtime == PROCESS:
        assert repository is not None  # _runtime saw to it
        return _push_stand_in(wanted, repository, report)
    if wanted.runtime == LAYERS:
        assert repository is not None  # _runtime saw to it
        return _put_together(wanted, repository, report)
    to = repository if options.push else None
    return _from_source(wanted, to, report) or _build(wanted, to, report)


def build_index(options: BuildOptions, platforms: Sequence[str], repository: Repository | None, report: Report) -> tuple[Image, ...]:
    """The shared image for each of these platforms, and an index of them where targets look first; for a model, on each of them the model's own.

    Nothing is run for it: what an engine runs would be of its own processor's.

    Raises:
        ConfigInvalid: it isn't to be pushed, or built by docker. What `build_and_push` raises.
    """
    if repository is None or not options.push:
        raise ConfigInvalid("an index of several platforms goes to a registry", advice="leave --no-push out, or name one --platform")
    if options.runtime == DOCKER:
        raise ConfigInvalid("docker builds for one platform at a time", advice="leave --runtime docker out: several are put together without it")
    runtime = PROCESS if _runtime(options, repository) == PROCESS else LAYERS
    own = replace(options, runtime=runtime)
    shared = _of_every_model(own) if options.model else own
    images = [build_and_push(replace(shared, platform=each, indexed=True), repository, report) for each in platforms]
    index = index_manifest({each.platform: repository.manifest(each.digest) for each in images})
    tag = general_tag(images[0].python_version)
    with stepping(report, "push_index", "index", repository.reference(tag)) as outcome:
        outcome.changed = repository.exists(tag) != index.digest
        if outcome.changed:
            repository.put_manifest(index, tag)
        outcome.detail = f"of {' and '.join(platforms)}"
    if options.model:
        return tuple(build_and_push(replace(own, platform=each), repository, report) for each in platforms)
    return tuple(replace(each, tag=tag) for each in images)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options with their defaults filled in."""

    options: BuildOptions
    runtime: str
    python: str
    base_image: str
    packages: Wanted

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
        asked = Wanted.of_model(options.directory) if options.directory else Wanted(options.model.requirements if options.model else ())
        return cls(options, runtime, python, options.base_image or f"python:{python}-slim", asked.with_requirements(*options.requirements))

    def with_builds(self, report: Report) -> _Wanted:
        """The same with the builds of the model's packages for where it will run."""
        # A stand-in's are installed on this machine, whatever the platform that it gives out.
        platform = "" if self.runtime == PROCESS else self.options.platform
        return replace(self, packages=noticed(builds_for(self.packages, self.whole_python, platform, self.options.accelerator), report))

    @property
    def whole_python(self) -> str:
        """Its version as the model or the options have it, with its patch where they say."""
        return self.options.python or (self.options.model.python_version if self.options.model else "") or self.python

    @property
    def inputs(self) -> str:
        """The digest of what the image is made from; the same whatever the order of the requirements, and without credentials of theirs."""
        asked = (*(self.options.model.requirements if self.options.model else ()), *self.options.requirements)
        beside = self.options.model.beside if self.options.model else ()
        made_of = [self.runtime, self.base_image, self.python, self.options.platform, lock_digest((*asked, *beside), self.python)]
        if (place := self.options.accelerator) is not None:
            made_of.append(f"driver {place.driver}" if place.gpu else "no GPU")
        return sha256(cache.key(*made_of, scoring.requirements(), scoring.digest(), context.DOCKERFILE.read_text()).encode())

    @property
    def tags(self) -> tuple[str, ...]:
        """Under which targets look for it first."""
        if self.options.model:
            place = self.options.accelerator
            return (model_tag(self.options.model, gpu=place is not None and place.gpu, platform=self.options.platform),)
        own = inputs_tag(self.python, self.inputs)
        return (own,) if self.options.indexed else (general_tag(self.python), own)

    def labels(self, lock: Lock) -> dict[str, str]:
        return {
            labels.RUNTIME: scoring.VERSION,
            labels.PYTHON: self.python,
            labels.PACKAGES: labels.packages_label(lock.all),
            labels.INPUTS: self.inputs,
            **self.added,
            **cuda.label(lock.all),
        }

    @property
    def added(self) -> dict[str, str]:
        """What a shared image was asked to have beside the runtime, for whoever makes one like it."""
        lines = [without_secrets(line) for line in self.options.requirements]
        return {labels.ADDED: json.dumps(lines)} if lines and not self.options.model else {}


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
    *more, own = wanted.tags
    there, platform = repository.find_manifest(own), wanted.options.platform
    if there is None:
        return None
    for tag in more:
        top = repository.find_manifest(tag)
        if top is None or there.digest not in (top.digest, top.platforms.get(platform)):
            return None
    try:
        config = repository.config(there)
    except (ConfigInvalid, KeyError):
        return None  # somebody else's, or an index
    return repository.describe(wanted.tags[0], platform=platform) if config.labels.get(labels.INPUTS) == wanted.inputs else None


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
    from deployer_images.layers.package_set import runtime_packages

    client = engine.connect()
    name = repository.uri if repository else wanted.options.container_name
    builder = dockerbuild.DockerBuild(client, name, wanted.tags, report)
    built = None if wanted.options.rebuild else builder.find(wanted.inputs)
    if built is None:
        base = builder.base(wanted.base_image, wanted.options.platform, fresh=wanted.options.rebuild)
        if wanted.options.model is None:
            runtime_packages(wanted.packages, wanted.whole_python, wanted.options.platform, ca_bundle=wanted.options.ca_bundle)  # or none has a wheel
        lock = _locked(wanted, wanted.options.platform, report)
        with context.context(lock, wanted.packages, wanted.options.ca_bundle, shared=wanted.options.model is None) as archive:
            arguments = {"BASE_IMAGE": base.source, "PYTHON": wanted.python}
            built = builder.build(archive, arguments, wanted.labels(lock) | base.labels, wanted.options.platform)
    if repository is None:
        return built
    builder.push(repository)
    return repository.describe(wanted.tags[0], platform=wanted.options.platform)


def _from_source(wanted: _Wanted, repository: Repository | None, report: Report) -> Image | None:
    """By an engine, for a model of whose packages some have no wheel: these are built in the shared image, and all of them put on it."""
    from deployer_images.layers.built_inside import from_wheels, packages_inside
    from deployer_images.layers.on_engine import put_on_engine

    options = wanted.options
    if options.model is None or from_wheels(wanted.packages, wanted.whole_python, options.platform, ca_bundle=options.ca_bundle):
        return None
    if repository is not None:
        return _put_together(wanted, repository, report)
    shared = build_and_push(_of_every_model(options), None, report)
    packages = packages_inside(shared, wanted.packages, wanted.whole_python, report, ca_bundle=options.ca_bundle, accelerator=options.accelerator)
    said = {labels.INPUTS: wanted.inputs}
    return put_on_engine(shared, packages, wanted.packages, report, name=options.container_name, tags=wanted.tags, said=said)


def _put_together(wanted: _Wanted, repository: Repository, report: Report) -> Image:
    """In a registry: the shared image, and on it the model's packages where it is for one."""
    from deployer_images.layers.bases import opened
    from deployer_images.layers.built_inside import chosen_packages
    from deployer_images.layers.images import ImageDestination, push_shared, push_with_packages
    from deployer_images.layers.package_set import runtime_packages

    options = wanted.options
    made_with = {labels.INPUTS: wanted.inputs}
    if options.model:
        shared = build_and_push(replace(_of_every_model(options), runtime=wanted.runtime), repository, report)
        place, bundle = options.accelerator, options.ca_bundle
        chosen = chosen_packages(shared, wanted.packages, wanted.whole_python, report, repository=repository, ca_bundle=bundle, accelerator=place)
        return push_with_packages(shared, chosen, wanted.packages, ImageDestination(repository, wanted.tags, made_with, report))
    base = opened(wanted.base_image, options.platform)
    chosen = runtime_packages(wanted.packages, wanted.whole_python, options.platform, ca_bundle=options.ca_bundle)
    said = {labels.RUNTIME: scoring.VERSION, labels.PYTHON: wanted.python, labels.PACKAGES: labels.packages_label(chosen.lines)}
    return push_shared(
        base, chosen, wanted.packages, ImageDestination(repository, wanted.tags, said | made_with | wanted.added | base.base.labels, report)
    )


def _of_every_model(options: BuildOptions) -> BuildOptions:
    """Those of the shared image that one for a model stands on; its Python is the model's."""
    python = options.python or (python_of(options.model) if options.model else None)
    return replace(options, model=None, directory=None, requirements=(), accelerator=None, python=python)


def _locked(wanted: _Wanted, platform: str, report: Report) -> Lock:
    with stepping(report, "resolve_packages", "packages") as outcome:
        # What an image gets is never built on this machine; a stand-in's packages are this machine's own.
        build = wanted.runtime == PROCESS
        lock = locked(wanted.packages, wanted.whole_python, platform=platform, ca_bundle=wanted.options.ca_bundle, build=build)
        outcome.detail = f"{len(lock.packages)} of the model's, {len(lock.runtime)} of the runtime's"
    return lock
