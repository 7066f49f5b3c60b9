"""Typed target options: each is marked by what changing it takes; unknown keys are refused with the nearest known one."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from deployer.core import strategy_options
from deployer.core.state import Digest, Record, digest_of
from deployer.core.traffic import PARTS, Strategy
from deployer.errors import ConfigInvalid
from deployer_scoring.masking import masked


class Takes(StrEnum):
    """What a change of an option takes: a new generation, a change in place, another deployment (it holds for a deployment's life), or nothing.

    One of a rollout is kept in the record for the next ones, and changes nothing by itself.
    """

    GENERATION = "generation"
    LIVE = "live"
    ROLLOUT = "rollout"
    ANOTHER = "another"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Mark:
    """Stands in an option's annotation. Secret values are never printed, recorded or digested."""

    takes: Takes
    secret: bool = False


GENERATION = Mark(Takes.GENERATION)
LIVE = Mark(Takes.LIVE)
ROLLOUT = Mark(Takes.ROLLOUT)
ANOTHER = Mark(Takes.ANOTHER)
NOTHING = Mark(Takes.NOTHING)
SECRET = Mark(Takes.GENERATION, secret=True)


class TargetConfig(BaseModel):
    """The options that every target has; a target's own config adds to them. Each field has a mark and a description.

    Text is read once, by `parse`. From then on a value has its option's type, and its origin ("churn.yaml:5") goes with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    image_url: Annotated[str | None, NOTHING] = Field(
        None,
        description="The scoring image; default: the one that build-and-push-container pushed for this version and the model's Python.",
    )
    env: Annotated[Mapping[str, str], SECRET] = Field(
        default_factory=dict, repr=False, description="Environment variables of the container. Values are never printed."
    )
    synchronous: Annotated[bool, NOTHING] = Field(True, description="Wait until the deployment serves.")
    timeout_seconds: Annotated[int, NOTHING] = Field(1200, gt=0, description="How long to wait, in seconds.")
    keep: Annotated[int, NOTHING] = Field(1, ge=0, description="How many generations before the current one stay, for a way back.")
    archive: Annotated[bool, NOTHING] = Field(False, description="Keep all earlier generations.")

    strategy: Annotated[Strategy, strategy_options.NESTED, ROLLOUT] = Field(
        Strategy.ALL_AT_ONCE,
        description="How traffic goes to a new generation: all_at_once, blue_green, rolling, canary or shadow; in a file its parts may be below it.",
    )
    steps: Annotated[strategy_options.Steps | None, ROLLOUT] = Field(
        None, description="canary: the shares in percent, before all of it: 10,50 (the default)."
    )
    pause: Annotated[strategy_options.Pause | None, ROLLOUT] = Field(
        None,
        description="How long each share lasts (30s, 10m, 1h), or manual: until update --promote. Default: canary 5m, blue_green and shadow manual.",
    )
    checks: Annotated[strategy_options.Checks | None, ROLLOUT] = Field(
        None, description="What the new generation is held to meanwhile: error_rate, latency_p50, latency_p90, latency_p99, min_requests, alarms."
    )
    batch: Annotated[strategy_options.Batch | None, ROLLOUT] = Field(
        None, description="rolling: how many instances at once, as a number or a share (25%)."
    )
    mirror: Annotated[strategy_options.Mirror | None, ROLLOUT] = Field(
        None, description="shadow: of how many requests, in percent, the new generation gets a copy (default 10)."
    )
    allow_gap: Annotated[bool, ROLLOUT] = Field(
        False, description="all_at_once: the old generation may go before the new one serves, where there is no room for both."
    )

    @field_validator("image_url")
    @classmethod
    def _image_without_password(cls, value: str | None) -> str | None:
        if value and masked(value) != value:
            raise ValueError("an image's reference has no password in it: docker login keeps those of registries")
        return value

    @model_validator(mode="after")
    def _parts_of_this_strategy(self) -> Self:
        # Without a strategy the one in service stays, which isn't known here.
        if "strategy" in self.model_fields_set and (
            wrong := strategy_options.misplaced(self.strategy, {part: getattr(self, part) for part in PARTS})
        ):
            raise ValueError(wrong)
        return self

    @classmethod
    @functools.cache
    def marks(cls) -> Mapping[str, Mark]:
        """The mark of each option by name."""
        return {name: _mark(name, field.metadata) for name, field in cls.model_fields.items()}

    @classmethod
    @functools.cache
    def taken(cls, takes: Takes) -> frozenset[str]:
        """The names of the options that take effect so."""
        return frozenset(name for name, mark in cls.marks().items() if mark.takes is takes)

    @classmethod
    def parse(cls, options: Mapping[str, Any], origins: Mapping[str, str] | None = None, *, target: str) -> Self:
        """Validate options as a user gives them: text is read as the option's type has it ("2", "true", '{"a": 1}').

        Raises:
            ConfigInvalid: an unknown key (with the nearest known one) or a wrong value, with where it came from.
        """
        origins = dict(origins or {})
        options = _unfolded(options, origins, target)
        for key in options:
            if key not in cls.model_fields:
                raise ConfigInvalid(_unknown(key, cls.model_fields, target, origins.get(key)), advice=f"deploy help -t {target} lists the options")
        return cls._valid({key: _read(value, cls.model_fields[key].annotation) for key, value in options.items()}, origins, target)

    def completed(self, record: Record, named: Collection[str], *, target: str) -> Self:
        """An update's options: of these the `named` ones; what isn't named is as the record has it; and what a record doesn't keep is as here.

        Raises:
            ConfigInvalid: what is named doesn't go with what stays, with where each came from.
        """
        own = {name: getattr(self, name) for name in self.model_fields_set}
        replaced = PARTS.keys() if "strategy" in named else frozenset()  # another strategy comes with its own parts
        kept = {name: record.options[name] for name in record.options.keys() & type(self).model_fields.keys() - {*named, *replaced}}
        return self._valid({**own, **kept}, {**self._origins, **dict.fromkeys(kept, f"generation {record.generation}")}, target)

    @property
    def course(self) -> strategy_options.Course:
        """The strategy, with all its parts."""
        return strategy_options.course(self.strategy, **self.parts)

    @property
    def parts(self) -> dict[str, Any]:
        """Those of the strategy, as they are given."""
        return {part: getattr(self, part) for part in PARTS}

    def origin(self, name: str) -> str:
        """Where an option's value comes from, in words: a file and its line, a variable, the generation that has it; "" for a default."""
        return self._origins.get(name, "")

    @classmethod
    def _valid(cls, options: Mapping[str, Any], origins: Mapping[str, str], target: str) -> Self:
        try:
            config = cls.model_validate(options)
        except ValidationError as error:
            raise ConfigInvalid(_wrong(error, cls.marks(), target, origins), advice=f"deploy help -t {target} says what each option takes") from None
        config._origins = {name: origins[name] for name in config.model_fields_set if name in origins}
        return config

    def __eq__(self, other: object) -> bool:
        """The same values, wherever they come from."""
        return type(self) is type(other) and isinstance(other, TargetConfig) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.model_dump_json()))

    def recorded(self) -> dict[str, Any]:
        """All options that a record keeps, JSON-ready: those that only the client uses and those with secrets are left out."""
        marks = self.marks()
        kept = {name for name, mark in marks.items() if mark.takes is not Takes.NOTHING and not mark.secret}
        return self.model_dump(mode="json", include=kept)

    def revision(self, secrets: str = "") -> Digest:
        """The digest of the options that need a new generation; `secrets` is the id that stands for the secret ones."""
        marks = self.marks()
        kept = {name for name, mark in marks.items() if mark.takes is Takes.GENERATION and not mark.secret}
        return digest_of([self.model_dump(mode="json", include=kept, exclude_defaults=True), secrets])


def _unfolded(options: Mapping[str, Any], origins: dict[str, str], target: str) -> Mapping[str, Any]:
    """With the parts of a strategy that stand below it as options of their own; one that is said by itself is nearer."""
    value = options.get("strategy")
    try:
        unfolded = strategy_options.nested(_read(value, Mapping[str, Any]) if isinstance(value, str) else value)
    except ValueError as error:
        origin = f" ({origins['strategy']})" if "strategy" in origins else ""
        raise ConfigInvalid(f"wrong options for {target}: {error}{origin}", advice=f"deploy help -t {target} says what each option takes") from None
    if unfolded is None:
        return options
    origins |= {part: origins["strategy"] for part in unfolded.keys() - options.keys() if "strategy" in origins}
    return {**unfolded, **options, "strategy": unfolded["strategy"]}


def _mark(name: str, metadata: list[Any]) -> Mark:
    for each in metadata:
        if isinstance(each, Mark):
            return each
    raise TypeError(f"option {name} has no mark")


def _unknown(key: str, known: Mapping[str, Any], target: str, origin: str | None) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"{key} is not an option of {target}" + (f"; did you mean {near[0]}?" if near else "") + (f" ({origin})" if origin else "")


def _wrong(error: ValidationError, marks: Mapping[str, Mark], target: str, origins: Mapping[str, str]) -> str:
    found = []
    for each in error.errors(include_url=False):
        key, inner = str(each["loc"][0]) if each["loc"] else "", ".".join(str(part) for part in each["loc"])
        # An error of the whole holds all options as its input, secret ones too. What we word ourselves names the value where that helps.
        silent = not key or (key in marks and marks[key].secret) or each["type"] in ("missing", "value_error")
        given = "" if silent else f", not {each['input']!r}"
        origin = f" ({origins[key]})" if key in origins else ""
        found.append(f"{inner or 'options'}: {_said(each)}{given}{origin}")
    return f"wrong options for {target}: " + "; ".join(found)


def _said(error: Any) -> str:
    """pydantic's sentence, in the words of who doesn't know pydantic."""
    if error["type"] == "string_pattern_mismatch":
        return f"must have the form {error['ctx']['pattern']}"
    text: str = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").partition(", unable to parse")[0]
    return text.replace("Input should be", "must be").replace("Extra inputs are not permitted", "is not known").replace("dictionary", "mapping")


def _read(value: Any, annotation: Any) -> Any:
    """Text for a mapping, a list or a nested model is YAML (JSON is that too); other text is left to pydantic."""
    if not isinstance(value, str) or not _structured(annotation):
        return value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return value if isinstance(read, (str, int, float, bool)) and str in get_args(annotation) else read


def _structured(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, (Mapping, list, tuple)):
        return True
    return any(_structured(each) for each in get_args(annotation))
