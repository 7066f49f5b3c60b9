"""What an environment should have: what a model's own files ask for, or a list of requirements."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployer.core.requirements import digested, need, stated_links
from deployer.errors import ModelInvalid
from deployer_images import cache
from deployer_scoring.errors import ScoringError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.own_paths import on_this_machine, path_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an environment should have.

    Attributes:
        requirements: PEP 508 requirements; their order means nothing. What lies in the model's directory is `name @ file:code/x.whl#sha256=…`.
        constraints: versions to keep to without requiring the packages.
        build: what python_env.yaml has installed before all else; where the requirements bring one of these, theirs counts.
        links: folders of the model's to look for packages in, as `code#sha256=…`.
        hashes: digests that a requirement's file must have one of, by the requirement.
        conda: names of those requirements that conda.yaml lists as packages of conda's.
        directory: the model's, where those paths lead.
        sources: directories on this machine that stand for requirements of repositories and of source, by the requirement.
        pages: addresses of pages to look for packages on beside the indexes.
        excluded: names of packages that are left out though others require them.
    """

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conda: frozenset[str] = frozenset()
    directory: Path | None = None
    sources: Mapping[str, Path] = field(default_factory=dict)
    pages: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @classmethod
    def of_model(cls, directory: Path, more: Sequence[str] = ()) -> Wanted:
        """What a model asks for.

        Args:
            more: requirements beside the model's; one for a package that the model requires too replaces it.

        Raises:
            ModelInvalid: its files can't be read.
        """
        try:
            needs, build = required.needs(directory), required.build_dependencies(directory)
            of_conda = required.conda_packages(directory)
        except ScoringError as fault:
            raise ModelInvalid(f"the model's requirements can't be read: {fault}") from fault
        replaced = {need(line).name for line in more}
        listed = [(line, digested(line, directory)) for line in needs.requirements if need(line).name not in replaced]
        return cls(
            requirements=(*(line for _, line in listed), *more),
            constraints=tuple(digested(line, directory) for line in needs.constraints),
            build=build,
            links=stated_links(needs.links, directory),
            hashes={line: needs.hashes[given] for given, line in listed if given in needs.hashes},
            conda=frozenset(need(line).name for line in of_conda),
            directory=directory,
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from others, wherever the model lies."""
        return (
            sorted(self.constraints),
            sorted(self.build),
            sorted(self.links),
            sorted((line, sorted(given)) for line, given in self.hashes.items()),
            *([self.pages, self.excluded] if self.pages or self.excluded else ()),
        )

    def with_requirements(self, *more: str) -> Wanted:
        return replace(self, requirements=(*self.requirements, *more))

    def without(self, names: Collection[str]) -> Wanted:
        """The same without the requirements of these canonical names; what else requires them still brings them."""
        return replace(self, requirements=tuple(line for line in self.requirements if need(line).name not in names))

    def installable(self, line: str) -> str:
        """A requirement as uv and pip install it on this machine.

        Raises:
            ModelInvalid: it is of the model's own directory, and that isn't here.
        """
        if source := self.sources.get(line):
            return " @ ".join(filter(None, (need(line).name, source.as_uri())))
        path = path_of(line)
        if path is None:
            return line
        if self.directory is None:
            raise ModelInvalid(f"{path} is in the model's directory, which is not here", advice="name the model")
        place = self.directory / path
        return on_this_machine(line, self._copied(place, digested(line, self.directory)) if place.is_dir() else place)

    def _copied(self, source: Path, digest: str) -> Path:
        """A copy of a directory of source: its build writes into it, and the model's directory stays as it is."""

        def copy(target: Path) -> None:
            shutil.copytree(source, target / "source")

        return cache.made(cache.root() / "sources" / cache.key(digest), copy) / "source"

    @property
    def folders(self) -> tuple[str, ...]:
        """Options that name the model's folders of packages."""
        return tuple(
            part for link in self.links if self.directory for part in ("--find-links", str(self.directory.resolve() / link.partition("#")[0]))
        )

    def listed(self, lines: Iterable[str]) -> str:
        """Lines of requirements as uv reads them, with the pages: their addresses may have credentials, which no argument list shows."""
        return "\n".join((*(f"--find-links {page}" for page in self.pages), *lines))
