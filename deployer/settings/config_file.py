"""churn.yaml: a model and its options by target, or several such, read so that each option knows its line; and the JSON schema for editors."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid, MachineFault

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig

KEYS = {
    "name": "The deployment's name; default: the model's.",
    "model": "The model's URI: a path (from this file's directory), s3:, runs:/, models:/name/version, models:/name@alias, ...",
    "flavor": "The model's flavor; python_function is the only one.",
    "targets": "Options by target: a whole URI (sagemaker:/us-west-2), or a scheme (sagemaker) for all of its targets; the whole URI's win.",
}
STANDARD_INPUT = Path("standard input")
SUFFIXES = (".yaml", ".yml", ".json")
"""Of the files that a directory of deployments is made of."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One deployment of such a file, read; most files have one.

    Attributes:
        line: where it begins, of several in one file; 0 where it is alone there.
        targets: as the file has them, in order: the URI as written, then option to (value, line).
    """

    path: Path
    name: str | None = None
    model: str | None = None
    flavor: str | None = None
    targets: Mapping[str, Mapping[str, tuple[Any, int]]] = field(default_factory=dict, repr=False)
    line: int = 0

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Read a file of one deployment; `-` is standard input, and a path in it one from the working directory.

        Raises:
            MachineFault: it can't be read.
            ConfigInvalid: it isn't YAML, or not of this form, with the line; or it has several.
        """
        first, *more = cls.read_all([path])
        if more:
            raise ConfigInvalid(f"{path} has {len(more) + 1} deployments where one is meant", advice="name a file of one")
        return first

    @classmethod
    def read_all(cls, paths: Iterable[Path]) -> tuple[ConfigFile, ...]:
        """The deployments of all these, in order: YAML documents, or a list of them, in files; of a directory, the files right in it.

        Raises:
            MachineFault, ConfigInvalid: as of `read`; or a directory has no such file.
        """
        return tuple(deployment for path in paths for file in _files(path) for deployment in _Reader(file).read(_text(file)))

    @property
    def place(self) -> str:
        """Where it stands: "churn.yaml", or "models.yaml:12" of several."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)

    @property
    def called(self) -> str:
        """What it is called: its name, else its model's; "" where neither is said."""
        from deployer.artifacts import candidate_name

        return self.name or (candidate_name(self.model_uri) if self.model_uri else "")

    def uris(self) -> tuple[str, ...]:
        """The targets that the file names, as it writes them; a bare scheme beside whole URIs of it stands for options that these share."""
        parsed = {each: TargetUri.parse(each) for each in self.targets}
        whole = {uri.scheme for uri in parsed.values() if uri.path}
        return tuple(each for each, uri in parsed.items() if uri.path or uri.scheme not in whole)

    def options(self, uri: TargetUri, *, required: bool = True) -> tuple[dict[str, Any], dict[str, str]]:
        """The options for one target, and where each stands ("churn.yaml:5").

        Raises:
            ConfigInvalid: `required`, and the file names targets, but not this one.
        """
        sections = [each for each in self.targets if TargetUri.parse(each) in (uri, TargetUri(uri.scheme))]
        if required and self.targets and not sections:
            raise ConfigInvalid(f"{self.place} has no options for {uri}", advice=f"it has them for {', '.join(self.targets)}")
        values, origins = {}, {}
        for section in sorted(sections, key=lambda each: TargetUri.parse(each) == uri):
            for key, (value, line) in self.targets[section].items():
                values[key], origins[key] = value, f"{self.path}:{line}"
        return values, origins

    @property
    def is_standard_input(self) -> bool:
        return self.path == STANDARD_INPUT

    @property
    def model_uri(self) -> str | None:
        """The model's URI; a relative path is one from this file's directory."""
        if self.model is None or ":" in self.model or Path(self.model).is_absolute():
            return self.model
        return str(self.path.parent / self.model)


def schema(configs: Mapping[str, type[TargetConfig]]) -> dict[str, Any]:
    """The JSON schema (2020-12) of the file for these target configs by scheme. Text is valid for every option: it is read as the type has it."""
    definitions: dict[str, Any] = {}
    patterns: dict[str, Any] = {}
    for scheme, config in configs.items():
        options = config.model_json_schema(ref_template=f"#/$defs/{scheme}.{{model}}")
        definitions |= {f"{scheme}.{name}": definition for name, definition in options.pop("$defs", {}).items()}
        definitions[scheme] = {**options, "title": f"Options of {scheme}", "type": ["object", "null"]}
        patterns[f"^(deployer-)?{scheme}(:.*)?$"] = {"$ref": f"#/$defs/{scheme}"}
    texts = {key: {"type": "string", "description": KEYS[key]} for key in ("name", "model", "flavor")}
    targets = {"type": "object", "description": KEYS["targets"], "patternProperties": patterns, "additionalProperties": False}
    definitions["a deployment"] = {"type": "object", "properties": {**texts, "targets": targets}, "additionalProperties": False}
    one = {"$ref": "#/$defs/a%20deployment"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A deployment and its options, or a list of them",
        "if": {"type": "array"},
        "then": {"items": one},
        "else": one,
        "$defs": definitions,
    }


def _files(path: Path) -> tuple[Path, ...]:
    """A file alone; of a directory those in it that may hold deployments."""
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and not each.name.startswith(".") and each.is_file()))
    if not found:
        raise ConfigInvalid(
            f"{path} has no file of a deployment in it", advice=f"they end in {', '.join(SUFFIXES)}; directories in it are left alone"
        )
    return found


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise MachineFault(f"{path} can't be read: {error.strerror}", advice="-f names the file with the deployment's options") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path} is not UTF-8 text") from error


class _Reader:
    """Reads by YAML's nodes, which know their lines; values are made by the safe loader from these."""

    def __init__(self, path: Path) -> None:
        self.path = STANDARD_INPUT if str(path) == "-" else path

    def read(self, text: str) -> tuple[ConfigFile, ...]:
        """The deployments, one at least: a file in which nothing is said leaves all to the command."""
        loader = yaml.SafeLoader(text)
        try:
            found = [each for root in self._documents(loader) for each in self._deployments(loader, root)]
        except yaml.YAMLError as error:
            raise ConfigInvalid(f"{self._at(_line(error))}: not YAML: {_problem(error)}") from error
        finally:
            loader.dispose()
        return tuple(found) if len(found) > 1 else tuple(replace(each, line=0) for each in found) or (ConfigFile(self.path),)

    def _documents(self, loader: yaml.SafeLoader) -> Iterator[yaml.Node]:
        """Those in which something is said."""
        while loader.check_node():
            root = loader.get_node()
            if root is not None and not _is_null(root):
                yield root

    def _deployments(self, loader: yaml.SafeLoader, root: yaml.Node) -> Iterator[ConfigFile]:
        """A document's: itself, or those that it lists."""
        listed = isinstance(root, yaml.SequenceNode)
        for node in root.value if listed else (root,):
            what = "what the list has" if listed else "the file"
            top = {key: value for key, value, line in self._pairs(loader, node, what) if self._known(key, line)}
            texts = {key: self._string(key, top[key]) for key in ("name", "model", "flavor") if key in top}
            targets = self._targets(loader, top["targets"]) if "targets" in top else {}
            yield ConfigFile(self.path, **texts, targets=targets, line=node.start_mark.line + 1)

    def _targets(self, loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, dict[str, tuple[Any, int]]]:
        found = {}
        for uri, options, _ in self._pairs(loader, node, "targets"):
            pairs = () if _is_null(options) else self._pairs(loader, options, uri)
            found[uri] = {key: (loader.construct_object(value, deep=True), line) for key, value, line in pairs}
        return found

    def _pairs(self, loader: yaml.SafeLoader, node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node, int]]:
        """A mapping's keys, values and lines; merge keys (`<<`) are resolved, own keys win over merged ones, and none stands twice."""
        if not isinstance(node, yaml.MappingNode):
            raise ConfigInvalid(f"{self._at(node.start_mark.line)}: {what} is not a mapping of keys to values")
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise ConfigInvalid(f"{self._at(key.start_mark.line)}: {key.value} stands twice in {what}")
            seen.add(key.value)
        loader.flatten_mapping(node)
        latest = {key.value: (value, key.start_mark.line + 1) for key, value in node.value}
        for key, (value, line) in latest.items():
            yield str(key), value, line

    def _string(self, key: str, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise ConfigInvalid(f"{self._at(node.start_mark.line)}: {key} is not text")
        return str(node.value)

    def _known(self, key: str, line: int) -> bool:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(KEYS)}"
            raise ConfigInvalid(
                f"{key} is not a key of this file{hint} ({self._at(line - 1)})", advice="options stand below targets, below a target's URI"
            )
        return True

    def _at(self, line: int | None) -> str:
        return str(self.path) if line is None else f"{self.path}:{line + 1}"


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _line(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line if mark else None


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error)
