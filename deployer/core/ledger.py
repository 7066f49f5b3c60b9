"""What a deployment leaves in its cloud to go on from: a record of each generation, and the claim of the newest run.

Each cloud keeps it where it can: objects in S3, a supervisor's memory, a ConfigMap, blobs. The claim fences what goes through the ledger alone. What
points traffic at a generation is another thing, so the switch has a precondition of its own: what the plan saw in service is so still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deployer.core.generations import record_resource
from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import Record, Resource
from deployer.errors import Conflict

Version = TypeVar("Version")
_TRIES = 5


class Ledger(Protocol):
    """Records and claim of one deployment. Nothing else of ours writes them."""

    def read(self) -> Mapping[str, Record]:
        """All records, by generation.

        Raises:
            MachineFault: one has a newer form than this version of the tool knows.
        """

    def write(self, record: Record) -> bool:
        """Keep a record in place of the one of its generation. Whether that changed anything."""

    def drop(self, generations: Collection[str]) -> bool:
        """Forget the records of these generations; those that aren't there are no matter. Whether any was."""

    def claim(self, run: str) -> None:
        """The newest run has the name: whoever had it finds out as it verifies. No lease, so a killed run blocks nobody.

        Raises:
            Conflict: others claim it at the same moment, again and again.
        """

    def verify(self, run: str) -> None:
        """Return if this run has the name still.

        Raises:
            Conflict: another has, or nobody.
        """


ROOT = "deployer/"
"""Below which all is that we keep by keys: objects in S3, blobs in Azure."""


class LedgerKeys:
    """Where a deployment's ledger is in a store of keys: below one prefix, which ends the name with a slash, so that `churn` never reaches into
    `churn-eu`."""

    __slots__ = ()
    deployment: str

    @property
    def prefix(self) -> str:
        return f"{ROOT}{self.deployment}/"

    @property
    def claim(self) -> str:
        return f"{self.prefix}claim"

    @property
    def history(self) -> str:
        return f"{self.prefix}history.json"

    @property
    def records(self) -> str:
        return f"{self.prefix}generations/"

    def record(self, generation: str) -> str:
        return f"{self.records}{generation}.json"


class KeepsRecords(Protocol):
    """A cloud's client that writes records by itself, as `Ledger.write` does."""

    def write(self, record: Record) -> bool:
        """Keep a record in place of the one of its generation. Whether that changed anything."""


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[KeepsRecords]):
    """Before all else, so that nothing half-made is ever out of sight."""

    record: Record
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return record_resource(self.record.generation)

    def describe(self) -> str:
        return "record"

    def run(self, cloud: KeepsRecords, progress: Progress) -> bool:
        return cloud.write(self.record)


@dataclass(frozen=True, slots=True)
class Claim(Generic[Version]):
    """A claim as a store tells it: who has it (None: nobody), and the version to compare with."""

    holder: str | None
    version: Version


def claim_by_comparing(
    name: str, run: str, look: Callable[[], Claim[Version]], put: Callable[[Version], bool], *, listed: Version | None = None
) -> None:
    """Claim in a store that has compare-and-set, so that a write which comes late, of a run that is dead by then, takes nothing from a newer one.

    Args:
        look: the claim as it is.
        put: write this run's in place of that version; false where it isn't the version any more.
        listed: the version that a listing had just now, which saves a look; None: it isn't known.

    Raises:
        Conflict: another was faster each time.
    """
    if listed is not None and put(listed):
        return
    for _ in range(_TRIES):
        now = look()
        if now.holder == run or put(now.version):
            return
    raise Conflict(f"others claim {name} at the same moment", advice="run the command again when they are done; deploy get shows what is there")


def verify_holder(name: str, run: str, holder: str | None) -> None:
    """Return if `holder` is this run.

    Raises:
        Conflict: whose it is instead.
    """
    if run != holder:
        whose = "somebody released it" if holder is None else "a newer run has claimed it"
        raise Conflict(
            f"{name} is not this run's any more: {whose}; nothing of theirs was touched",
            advice="deploy get shows what they made of it; the same command claims it again",
        )
