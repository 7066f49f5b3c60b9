"""Misbehaviour on order: rules that say which calls are throttled, broken, slow, or answered into the void."""

from __future__ import annotations

import fnmatch
import itertools
import threading
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from deployer_localstack.control.calls import Call

Kind = Literal["throttle", "error", "slow", "hold", "drop", "lose-answer"]
KINDS: tuple[str, ...] = ("throttle", "error", "slow", "hold", "drop", "lose-answer")


@dataclass(slots=True)
class FaultRule:
    """One fault.

    Attributes:
        kind: "throttle" refuses in the service's own words; "error" refuses with `code`, `message` and `status`; "slow" waits first, "hold" until the
            rule is removed; "drop" closes the connection before anything happens; "lose-answer" lets the call have its effect, then closes it.
        service, operation: shell patterns ("sagemaker", "Create*").
        skip: let so many matching calls pass first.
        every: of those that follow, hit the first and then each so-manieth: 5 for one in five.
        count: hit so many; None hits without end.
        per_call: count each distinct call (same operation, same parameters) for itself: "everything once".
        seconds: waited before the fault (and by "slow" instead of one).
    """

    kind: str
    service: str = "*"
    operation: str = "*"
    skip: int = 0
    every: int = 1
    count: int | None = 1
    per_call: bool = False
    seconds: float = 0.0
    code: str = "InternalFailure"
    message: str = "The request processing has failed because of an unknown error, exception or failure."
    status: int = 500
    id: int = 0
    hits: int = 0
    _seen: dict[str, int] = field(default_factory=dict, repr=False)

    def matches(self, call: Call) -> bool:
        return fnmatch.fnmatchcase(call.service, self.service) and fnmatch.fnmatchcase(call.operation, self.operation)

    def strikes(self, call: Call) -> bool:
        """Whether this call is hit; counts it."""
        key = call.identity if self.per_call else ""
        seen = self._seen.get(key, 0)
        self._seen[key] = seen + 1
        turn, off = divmod(seen - self.skip, self.every)
        hit = turn >= 0 and not off and (self.count is None or turn < self.count)
        self.hits += hit
        return hit

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class FaultRules:
    """The rules in force, in the order they were made; the first that strikes is taken."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, document: dict[str, Any]) -> FaultRule:
        """A rule from its JSON; raises ValueError for an unknown key or kind."""
        known = {name for name in FaultRule.__dataclass_fields__ if not name.startswith("_")} - {"id", "hits"}
        if unknown := set(document) - known:
            raise ValueError(f"{', '.join(sorted(unknown))}: not part of a fault; there are {', '.join(sorted(known))}")
        if document.get("kind") not in KINDS:
            raise ValueError(f"kind {document.get('kind')}: not a fault; there are {', '.join(KINDS)}")
        rule = FaultRule(**document)
        with self._lock:
            rule.id = next(self._ids)
            self._rules.append(rule)
        return rule

    def striking(self, call: Call) -> FaultRule | None:
        if not self._rules:
            return None
        with self._lock:
            return next((rule for rule in self._rules if rule.matches(call) and rule.strikes(call)), None)

    def holds(self, rule: FaultRule) -> bool:
        """Whether this one is in force still."""
        with self._lock:
            return rule in self._rules

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.as_dict() for rule in self._rules]

    def remove(self, rule_id: int | None = None) -> None:
        """One rule, or all."""
        with self._lock:
            self._rules = [] if rule_id is None else [rule for rule in self._rules if rule.id != rule_id]
