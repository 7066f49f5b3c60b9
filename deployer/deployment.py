"""One deployment as callers see it: attributes for us, keys for code that came from MLflow; nothing secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from deployer.state import Observed, Record, Status
from deployer.target import Summary, TargetUri

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


@dataclass(frozen=True, slots=True, eq=False)
class Deployment(Mapping[str, Any]):
    """A deployment in service, or on its way there. Also a mapping of its fields by name: `deployment["name"]`.

    Attributes:
        model: the URI that the generation in service was deployed from.
        traffic: generation to percent.
        options: as the record has them: without env and other secrets.
        history: all generations that have a record, the one in service first, then by descent.
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
    history: tuple[GenerationFacts, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)

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
            incoming=observed.incoming or "",
            reason=observed.reason,
            url=observed.url,
            created=_time(current.provenance.time) if current else None,
            traffic={share.generation: share.percent for share in observed.traffic},
            options=current.options if current else {},
            owned_elsewhere=observed.owned_elsewhere,
            history=_history(observed),
            detail=without_secrets(observed.detail),
        )

    @classmethod
    def summarized(cls, summary: Summary, uri: TargetUri) -> Deployment:
        """One row of `list`."""
        return cls(
            name=summary.name,
            target=str(uri),
            status=summary.status,
            model=summary.model,
            generation=summary.generation,
            reason=summary.reason,
            created=summary.created,
            columns=summary.columns,
        )

    def __getitem__(self, key: str) -> Any:
        if key in self.__dataclass_fields__:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (each.name for each in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def document(self) -> dict[str, Any]:
        """JSON-ready, empty fields left out."""
        whole = {
            **self,
            "status": str(self.status),
            "created": rfc3339(self.created) if self.created else "",
            "history": [_facts(each) for each in self.history],
        }
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in whole.items() if value not in ("", None, {}, [], ())}


def without_secrets(value: Any, *, hide: bool = False) -> Any:
    """The same, with the values below any key that holds environment variables hidden: a second fence, should a target show them."""
    if isinstance(value, Mapping):
        return {key: without_secrets(each, hide=hide or str(key).lower() in _SECRET_KEYS) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        named = hide and all(isinstance(each, Mapping) and {"name", "value"} <= {str(key).lower() for key in each} for each in value)
        return [_hide_value(each) if named else without_secrets(each, hide=hide) for each in value]
    return HIDDEN if hide and value is not None else value


def rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _hide_value(variable: Mapping[str, Any]) -> dict[str, Any]:
    """Kubernetes' form of a variable: its name stays."""
    return {key: each if str(key).lower() == "name" else HIDDEN for key, each in variable.items()}


def _history(observed: Observed) -> tuple[GenerationFacts, ...]:
    descent = observed.lineage(len(observed.records))
    others = sorted(set(observed.records) - set(descent), key=lambda each: observed.records[each].provenance.time, reverse=True)
    percents = {share.generation: share.percent for share in observed.traffic}
    return tuple(_generation(observed.records[each], percents.get(each, 0)) for each in (*descent, *others) if each in observed.records)


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


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
