"""A deployment's ledger in the workspace's store: a blob for each record, and one for the claim, which are compared before they are written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from deployer.core.ledger import Claim, claim_by_comparing, verify_holder
from deployer.core.state import DeploymentName, Record, Resource
from deployer.errors import Conflict
from deployer_targets.azureml import blobs
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.names import RECORD, Shelf


@dataclass(frozen=True, slots=True)
class BlobLedger:
    """The ledger of one deployment."""

    cloud: AzureMlCloud
    name: DeploymentName

    @property
    def shelf(self) -> Shelf:
        return self.cloud.shelf(self.name)

    def read(self) -> Mapping[str, Record]:
        return self.among(blobs.names(self.cloud, self.shelf.records))

    def among(self, listed: Mapping[str, str]) -> Mapping[str, Record]:
        """The records of what was listed already, blob to version."""
        found = {resource.name: version for blob, version in listed.items() if (resource := self._resource(blob)).kind == RECORD}
        with ThreadPoolExecutor(8, thread_name_prefix="records") as pool:
            records = pool.map(lambda each: self.record(*each), found.items())
            return {record.generation: record for record in records if record}

    def record(self, generation: str, version: str = "") -> Record | None:
        """A generation's record, or None; one that can't be read counts as none, and is swept as any leftover. A known version isn't read again."""
        blob, learnt = self.shelf.record(generation), self.cloud.learnt
        if not version or (blob, version) not in learnt:
            found = blobs.read(self.cloud, blob)
            if found is None:
                return None
            body, version = found
            learnt[blob, version] = _parsed(body)
        known: Record | None = learnt[blob, version]
        return known

    def write(self, record: Record) -> bool:
        found = self.record(record.generation)
        if found is not None and found.same(record):
            return False
        self.cloud.check()
        blobs.write(self.cloud, self.shelf.record(record.generation), record.to_json().encode())
        return True

    def drop(self, generations: Collection[str]) -> bool:
        there = [each for each in generations if self.record(each) is not None]
        blobs.remove(self.cloud, [self.shelf.record(each) for each in there])
        return bool(there)

    def claim(self, run: str) -> None:
        listed = self.cloud.learnt.pop(self._claim, None)
        claim_by_comparing(self.cloud.endpoint_of(self.name), run, self._look, lambda version: self._put(run, version), listed=listed)

    def claim_listed(self, version: str) -> None:
        """The claim's version as a list has it, "" where there is none: who claims next compares with it, without a look."""
        self.cloud.learnt[self._claim] = version

    def verify(self, run: str) -> None:
        verify_holder(self.cloud.endpoint_of(self.name), run, self._look().holder)

    def history(self) -> str:
        """The document; "" where there is none. Its version is kept for `keep_history`."""
        found = blobs.read(self._free, self.shelf.history)
        self.cloud.learnt[self.shelf.history] = found[1] if found else ""
        return found[0].decode() if found else ""

    def keep_history(self, text: str) -> None:
        """Write the history in place of the one that this run has read or written.

        Raises:
            Conflict: it isn't that any more.
        """
        version = str(self.cloud.learnt.get(self.shelf.history, ""))
        self.cloud.check()
        written = blobs.write(self._free, self.shelf.history, text.encode(), version=version)
        if written is None and self.history() != text:
            raise Conflict(f"another run has written the history of {self.name} meanwhile", advice="deploy history shows it")
        self.cloud.learnt[self.shelf.history] = written or self.cloud.learnt[self.shelf.history]

    @property
    def _claim(self) -> tuple[str, str]:
        return "version", self.shelf.claim

    @property
    def _free(self) -> AzureMlCloud:
        """Calls that look at no claim: those that read and write it."""
        return replace(self.cloud, held=None)

    def _resource(self, blob: str) -> Resource:
        return self.shelf.resource_of(blob)

    def _look(self) -> Claim[str]:
        found = blobs.read(self._free, self.shelf.claim)
        return Claim(found[0].decode(), found[1]) if found else Claim(None, "")

    def _put(self, run: str, version: str) -> bool:
        return blobs.write(self._free, self.shelf.claim, run.encode(), version=version) is not None


def _parsed(body: bytes) -> Record | None:
    try:
        return Record.from_json(body)
    except (ValueError, KeyError, TypeError):
        return None
