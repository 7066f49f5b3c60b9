"""One deployment as callers see it: attributes for us, keys for code that came from MLflow; nothing secret in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from deployer.core import notebook
from deployer.core.generations import ALL, lineage
from deployer.core.state import Observed, Record, Status
from deployer.core.target import Summary, TargetUri
from deployer.words import flat, rfc3339, shown

HIDDEN = "(hidden)"
_SECRET_KEYS = frozenset({"env", "environment", "environmentvariables", "environment_variables"})


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """One generation in a deployment's history.

    Attributes:
        percent: of the traffic that it takes.
        time: when it was made, RFC 3339.
    """

    generation: str
    model: str
    digest: str = ""
    framework: str = ""
    python_version: str = ""
    size: int = 0
    image: str = ""
    percent: int = 0
    replaces: str = ""
    registered_name: str = ""
    version: str = ""
    run_id: str = ""
    user: str = ""
    job: str = ""
    commit: str = ""
    time: str = ""
    tool: str = ""

    @property
    def author(self) -> str:
        """Who made it: a user, a job, a commit, as far as they are known."""
        return ", ".join(part for part in (self.user, self.job, f"commit {self.commit[:10]}" if self.commit else "") if part)


class History(tuple[GenerationFacts, ...]):
    """All generations that have a record, the one in service first, then by descent; a table in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [(each.generation, each.model, each.version, f"{each.percent} %" if each.percent else "", each.time, each.author) for each in self]
        return notebook.table(("Generation", "Model", "Version", "Traffic", "Time", "By"), rows) or "no generations"


@dataclass(frozen=True, slots=True, eq=False)
class Deployment(Mapping[str, Any]):
    """A deployment in service, or on its way there. Also a mapping of its fields by name: `deployment["name"]`.

    Attributes:
        endpoint: the one that it is behind, where a target has endpoints apart from deployments.
        model: the URI that the generation in service was deployed from.
        traffic: generation to percent.
        options: as the record has them: without env and other secrets.
        history: see `History`.
        columns: what the target shows in a list ("INSTANCES": "2 ml.m5.large").
        detail: the cloud's own description; values of environment variables are hidden.
    """

    name: str
    target: str
    status: Status
    flavor: str = "python_function"
    model: str = ""
    generation: str = ""
    incoming: str = ""
    reason: str = ""
    url: str = ""
    created: datetime | None = None
    traffic: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    owned_elsewhere: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    columns: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)
    endpoint: str = ""

    @property
    def page(self) -> str:
        """Where a browser tries it, if the scoring server itself is what the URL leads to; else empty."""
        return f"{self.url}/docs" if re.fullmatch(r"http://[^/]+", self.url) else ""

    @classmethod
    def observed(cls, observed: Observed, uri: TargetUri) -> Deployment:
        """What `get` shows."""
        current = observed.records.get(observed.serving or observed.incoming or "") or next(iter(observed.records.values()), None)
        return cls(
            name=observed.name,
            target=str(uri),
            status=observed.status,
            model=current.model.uri if current else "",
            generation=observed.serving or "",
            incoming=observed.incoming or observed.candidate or "",
            reason=observed.reason,
            url=observed.url,
            created=current.provenance.made if current else None,
            traffic={share.generation: share.percent for share in observed.traffic},
            options=current.options if current else {},
            owned_elsewhere=observed.owned_elsewhere,
            history=_history(observed),
            detail=without_secrets(observed.detail),
            endpoint=observed.endpoint or "",
        )

    @classmethod
    def summarized(cls, summary: Summary, uri: TargetUri) -> Deployment:
        """One row of `list`."""
        return cls(
            name=summary.name,
            target=str(uri if summary.path is None else TargetUri(uri.scheme, summary.path)),
            status=summary.status,
            model=summary.model,
            generation=summary.generation,
            reason=summary.reason,
            created=summary.created,
            columns=summary.columns,
            endpoint=summary.endpoint or "",
        )

    def __getitem__(self, key: str) -> Any:
        if key in self.__dataclass_fields__:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (each.name for each in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def __repr__(self) -> str:
        said = {"name": self.name, "target": self.target, "status": str(self.status), "generation": self.generation, "model": self.model}
        return f"Deployment({', '.join(f'{key}={value!r}' for key, value in said.items() if value)})"

    def __str__(self) -> str:
        serving = f", generation {self.generation} of {self.model}" if self.generation else ""
        coming = f", {self.incoming} is on its way" if self.incoming else ""
        return f"{self.name} on {self.target}: {self._state()}{serving}{coming}" + (f", at {self.url}" if self.url else "")

    def _state(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else str(self.status)

    def _repr_html_(self) -> str:
        known = {
            "Status": self._state(),
            "Model": self.model,
            "Generation": self.generation,
            "Incoming": self.incoming,
            "Traffic": ", ".join(f"{generation} {percent} %" for generation, percent in self.traffic.items()) if len(self.traffic) > 1 else "",
            "URL": self.url,
            "Created": rfc3339(self.created) if self.created else "",
            **self.columns,
        }
        options = notebook.facts({key: shown(value) for key, value in flat(self.options).items()})
        history = notebook.folded("History", self.history._repr_html_()) if self.history else ""
        return notebook.page(f"{self.name} on {self.target}", notebook.facts(known), notebook.folded("Options", options), history)

    def document(self) -> dict[str, Any]:
        """JSON-ready, empty fields left out."""
        whole = {
            **self,
            "status": str(self.status),
            "created": rfc3339(self.created) if self.created else "",
            "history": [_facts(each) for each in self.history],
        }
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in whole.items() if value not in ("", None, {}, [], ())}


class Deployments(list[Deployment]):
    """Deployments of one target, by name: a list, and a table in a notebook."""

    def _repr_html_(self) -> str:
        own = list(dict.fromkeys(column for each in self for column in each.columns))
        rows = [
            (
                each.name,
                each._state(),
                each.model,
                each.generation,
                *(each.columns.get(column, "") for column in own),
                rfc3339(each.created) if each.created else "",
            )
            for each in self
        ]
        return notebook.table(("Name", "Status", "Model", "Generation", *own, "Created"), rows) or "no deployments"


def without_secrets(value: Any, *, hide: bool = False) -> Any:
    """The same, with the values below any key that holds environment variables hidden: a second fence, should a target show them."""
    if isinstance(value, Mapping):
        return {key: without_secrets(each, hide=hide or str(key).lower() in _SECRET_KEYS) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        named = hide and all(isinstance(each, Mapping) and {"name", "value"} <= {str(key).lower() for key in each} for each in value)
        return [_hide_value(each) if named else without_secrets(each, hide=hide) for each in value]
    return HIDDEN if hide and value is not None else value


def _hide_value(variable: Mapping[str, Any]) -> dict[str, Any]:
    """Kubernetes' form of a variable: its name stays."""
    return {key: each if str(key).lower() == "name" else HIDDEN for key, each in variable.items()}


def _history(observed: Observed) -> History:
    descent = lineage(observed, ALL)
    others = sorted(set(observed.records) - set(descent), key=lambda each: observed.records[each].provenance.time, reverse=True)
    percents = {share.generation: share.percent for share in observed.traffic}
    return History(_generation(observed.records[each], percents.get(each, 0)) for each in (*descent, *others) if each in observed.records)


def _generation(record: Record, percent: int) -> GenerationFacts:
    model, provenance = record.model, record.provenance
    return GenerationFacts(
        generation=record.generation,
        model=model.uri,
        digest=model.digest,
        framework=model.framework,
        python_version=model.python_version,
        size=model.size,
        image=record.image,
        percent=percent,
        replaces=record.replaces or "",
        registered_name=model.registered_name,
        version=model.version,
        run_id=model.run_id,
        user=provenance.user,
        job=provenance.job,
        commit=provenance.commit,
        time=provenance.time,
        tool=provenance.tool,
    )


def _facts(generation: GenerationFacts) -> dict[str, Any]:
    return {key: value for key, value in asdict(generation).items() if value not in ("", 0)}
