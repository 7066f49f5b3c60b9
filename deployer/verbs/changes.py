"""What a plan says to people and programs: what differs, what will be done, what somebody else changed, whether the image fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deployer.core import notebook
from deployer.core.compatibility import Fit
from deployer.core.plan import Effect, Plan, Step
from deployer.core.schema import SchemaChanges
from deployer.core.state import ModelFacts, Observed, Record, short
from deployer.core.target import Intent
from deployer.errors import DeployerError
from deployer.verbs.lifecycle import Prospect
from deployer.words import flat, shown


@dataclass(frozen=True, slots=True)
class Change:
    """One line: `+` comes, `~` changes, `-` goes."""

    sign: str
    subject: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.subject}" + (f"  {self.text}" if self.text else "")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a run would do, and nothing of it done.

    Attributes:
        before: the generation that serves, if any; `after` the one that would, "" where that is known once its image is made.
        differences: between what was asked for then and what is now: model, image, options.
        intent: the verb whose run this is.
        steps: what will be made, changed and removed in the cloud, in order; what is there already is not made again.
        refusal: the error with which that run would end before anything is changed; None where there is none.
        warnings: what the run would warn of.
        elsewhere: what somebody else took over since, and is kept.
    """

    name: str
    target: str
    before: str
    after: str
    differences: tuple[Change, ...]
    steps: tuple[Change, ...]
    elsewhere: tuple[str, ...]
    fit: Fit
    schema: SchemaChanges
    intent: Intent = Intent.APPLY
    empty: bool = False
    refusal: DeployerError | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Prospect[Any, Any], target: str, refusal: DeployerError | None = None, warnings: tuple[str, ...] = ()) -> Changes:
        """The changes that a prospect stands for."""
        observed, spec = found.observed, found.spec
        before = observed.record if observed else None
        return cls(
            name=spec.name,
            target=target,
            before=(observed.serving or "") if observed else "",
            after="" if spec.image.planned else spec.generation,
            differences=tuple(_differences(before, spec.record, observed)),
            steps=tuple(_steps(found.plan, observed)),
            elsewhere=tuple(_elsewhere(observed, before)),
            fit=found.fit,
            schema=found.schema,
            intent=found.intent,
            empty=found.plan.empty,
            refusal=refusal,
            warnings=warnings,
        )

    @property
    def differs(self) -> bool:
        """True where what is asked for, or what somebody else did, isn't what was asked for last."""
        return bool(self.differences or self.elsewhere)

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "target": self.target,
            "intent": str(self.intent),
            "before": self.before,
            "after": self.after,
            "changes": not self.empty,
            "differences": [asdict(each) for each in self.differences],
            "steps": [asdict(each) for each in self.steps],
            "changed_by_somebody_else": list(self.elsewhere),
            "image_fits": self.fit.fits,
            "image_fit": {**asdict(self.fit), "rows": [asdict(row) for row in self.fit.rows]},
            "schema": asdict(self.schema),
            "warnings": list(self.warnings),
            **({"error": self.refusal.document()} if self.refusal else {}),
        }

    def lines(self, *, steps: bool = True) -> Iterator[str]:
        """As people read it; without `steps` only what differs."""
        yield self._title()
        width = max((len(each.subject) for each in self.differences), default=0)
        yield from (f"  {each.sign} {each.subject:<{width}}  {each.text}".rstrip() for each in self.differences)
        if steps and not self.empty:
            yield from (f"  {each}" for each in self.steps)
            if not any(each.sign == "-" for each in self.steps):
                yield "  - nothing is deleted"
        yield from self._remarks(fit=steps)

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *self._refused()])

    def __repr__(self) -> str:
        return f"Changes({self._title()!r}, {len(self.steps)} {'step' if len(self.steps) == 1 else 'steps'})"

    def _repr_html_(self) -> str:
        def rows(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
            return [(each.sign, each.subject, each.text) for each in changes]

        return notebook.page(
            self._title(),
            notebook.table(("", "What differs", "How"), rows(self.differences)),
            notebook.table(("", "What is done", ""), rows(self.steps)),
            notebook.lines([*self._remarks(), *self._refused()]),
        )

    def _remarks(self, *, fit: bool = True) -> Iterator[str]:
        """What the signature's changes break, whether the image fits, what somebody else did."""
        yield from (f"  ! breaks callers: {each}" for each in self.schema.breaking)
        yield from (f"  ~ signature: {each}" for each in self.schema.compatible)
        if fit:
            yield from self._fit()
            yield from (f"  ! {warning}" for warning in self.warnings)
        yield from (f"Changed by somebody else since the last deploy: {each}" for each in self.elsewhere)

    def _refused(self) -> Iterator[str]:
        if self.refusal:
            yield f"Error [{self.refusal.code}]: {self.refusal}"

    def _title(self) -> str:
        place = f"{self.name} on {self.target}: "
        if not self.before:
            return place + (f"new, generation {self.after}" if self.after else "new")
        if self.before == self.after:
            return place + f"{self.after}, " + ("nothing to do" if self.empty else "the same generation")
        return place + f"{self.before} -> {self.after or 'another'}"

    def _fit(self) -> Iterator[str]:
        """The verdict package by package."""
        if self.fit.summary:
            yield f"Image: {self.fit.summary}"
        widest = max((len(row.package) for row in self.fit.rows), default=0)
        for row in self.fit.rows:
            yield f"  {'✓' if row.fits else '✗'} {row.package:<{widest}}  model {row.wanted or 'any'}, image {row.found or 'none'}"
        yield from (f"  ✗ {reason}" for reason in self.fit.reasons)
        yield from (f"  ! {warning}" for warning in self.fit.warnings)


def _differences(before: Record | None, after: Record, observed: Observed | None) -> Iterator[Change]:
    if before is None:
        yield Change("+", "model", model_name(after.model))
        yield Change("+", "image", after.image)
    else:
        if before.model.digest != after.model.digest:
            yield Change("~", "model", _between(*_told_apart(before.model, after.model)))
        if before.image != after.image:
            yield Change("~", "image", _between(before.image, after.image))
        if before.packages != after.packages:
            yield Change("~", "packages", _between(before.packages, after.packages))
    yield from _options(flat(before.options) if before else {}, flat(after.options), set(flat(observed.owned_elsewhere)) if observed else set())
    if before is not None and before.secrets != after.secrets:
        yield Change("~", "env", "changed (values are never shown)")


def _options(before: Mapping[str, Any], after: Mapping[str, Any], elsewhere: set[str]) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key) or key in elsewhere:
            continue
        if key not in before:
            yield Change("+", key, shown(after[key]))
        elif key not in after:
            yield Change("-", key, shown(before[key]))
        else:
            yield Change("~", key, _between(shown(before[key]), shown(after[key])))


def _steps(plan: Plan[Any], observed: Observed | None) -> Iterator[Change]:
    """The plan's steps, each once (they run again after serving), without those that only look or find done what they do; then what goes."""
    there = observed.resources if observed else frozenset()
    forward = [step for step in plan.forward if step.effect is not Effect.READ]
    again = [step for step in forward if step.makes in there]
    exists = bool(observed and observed.traffic)
    yield from dict.fromkeys(Change(_sign(step, exists), step.describe()) for step in forward if step not in again)
    if len(again) == len(forward):  # such as a record alone, of which only the text changes
        yield from dict.fromkeys(Change("~", step.describe()) for step in again)
    yield from dict.fromkeys(Change("~", step.describe()) for step in plan.live)
    if plan.removes:
        yield from (Change("-", str(resource)) for resource in sorted(plan.removes))
    else:
        yield from dict.fromkeys(Change("-", step.describe()) for step in plan.sweep if not plan.forward)


def _sign(step: Step[Any], exists: bool) -> str:
    match step.effect:
        case Effect.CREATE:
            return "+"
        case Effect.SWITCH:
            return "~" if exists else "+"
        case Effect.DELETE:
            return "-"
        case _:
            return "~"


def _elsewhere(observed: Observed | None, before: Record | None) -> Iterator[str]:
    if observed is None:
        return
    recorded = flat(before.options) if before else {}
    for key, value in flat(observed.owned_elsewhere).items():
        yield f"{key} {_between(shown(recorded[key]), shown(value))} (kept)" if key in recorded else f"{key} is {shown(value)} (kept)"


def _told_apart(before: ModelFacts, after: ModelFacts) -> tuple[str, str]:
    """Two models by URI; where an alias or path stayed the same, by version or digest too."""
    if before.uri != after.uri:
        return before.uri, after.uri
    return model_name(before), model_name(after)


def model_name(model: ModelFacts) -> str:
    """`models:/churn@champion (version 3, sha256:5d41402abc)`."""
    version = f"version {model.version}, " if model.version and not model.uri.endswith(f"/{model.version}") else ""
    return f"{model.uri} ({version}sha256:{short(model.digest)})"


def _between(before: str, after: str) -> str:
    return f"{before} -> {after}"
