"""churn.yaml: a model and its options by target, read so that each option knows its line; and the JSON schema that editors check it by."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One such file, read.

    Attributes:
        targets: as the file has them, in order: the URI as written, then option to (value, line).
    """

    path: Path
    name: str | None = None
    model: str | None = None
    flavor: str | None = None
    targets: Mapping[str, Mapping[str, tuple[Any, int]]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Read a file; `-` is standard input, and a path in it one from the working directory.

        Raises:
            MachineFault: it can't be read.
            ConfigInvalid: it isn't YAML, or not of this form, with the line.
        """
        try:
            if str(path) == "-":
                return _Reader(STANDARD_INPUT).read(sys.stdin.read())
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise MachineFault(f"{path} can't be read: {error.strerror}", advice="-f names the file with the deployment's options") from error
        except UnicodeDecodeError as error:
            raise ConfigInvalid(f"{path} is not UTF-8 text") from error
        return _Reader(path).read(text)

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
            raise ConfigInvalid(f"{self.path} has no options for {uri}", advice=f"it has them for {', '.join(self.targets)}")
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
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A deployment and its options",
        "type": "object",
        "properties": {**texts, "targets": targets},
        "additionalProperties": False,
        "$defs": definitions,
    }


class _Reader:
    """Reads by YAML's nodes, which know their lines; values are made by the safe loader from these."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, text: str) -> ConfigFile:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return ConfigFile(self.path)
            top = {key: value for key, value, line in self._pairs(loader, root, "the file") if self._known(key, line)}
            texts = {key: self._text(key, top[key]) for key in ("name", "model", "flavor") if key in top}
            return ConfigFile(self.path, **texts, targets=self._targets(loader, top["targets"]) if "targets" in top else {})
        except yaml.YAMLError as error:
            raise ConfigInvalid(f"{self._at(_line(error))}: not YAML: {_problem(error)}") from error
        finally:
            loader.dispose()

    def _targets(self, loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, dict[str, tuple[Any, int]]]:
        found = {}
        for uri, options, _ in self._pairs(loader, node, "targets"):
            empty = isinstance(options, yaml.ScalarNode) and options.tag == "tag:yaml.org,2002:null"
            pairs = () if empty else self._pairs(loader, options, uri)
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

    def _text(self, key: str, node: yaml.Node) -> str:
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


def _line(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line if mark else None


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error)
