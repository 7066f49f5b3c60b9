"""A deployment's ledger in its supervisor's memory. One thread alone writes it, so that to compare and to set are one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deployer.core.ledger import verify_holder
from deployer.core.state import Record


@dataclass(slots=True)
class MemoryLedger:
    """Records, claim and history; beside each record the environment that it leaves out."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    environments: dict[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    holder: str | None = None
    history: str = ""

    def read(self) -> Mapping[str, Record]:
        return dict(self.records)

    def write(self, record: Record, environment: Mapping[str, str] | None = None) -> bool:
        """The environment that was there stays where none is given."""
        kept = self.environments.get(record.generation, {}) if environment is None else environment
        changed = (self.records.get(record.generation), self.environments.get(record.generation)) != (record, kept)
        self.records[record.generation], self.environments[record.generation] = record, kept
        return changed

    def drop(self, generations: Collection[str]) -> bool:
        there = self.records.keys() & set(generations)
        for each in there:
            del self.records[each], self.environments[each]
        return bool(there)

    def claim(self, run: str) -> None:
        self.holder = run

    def verify(self, run: str) -> None:
        verify_holder(self.name, run, self.holder)
