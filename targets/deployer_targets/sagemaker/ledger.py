"""A deployment's ledger in S3: an object for each record, and one for the claim, which S3 compares before it writes (If-Match, If-None-Match)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from deployer.core.ledger import Claim, claim_by_comparing, verify_holder
from deployer.core.state import Record
from deployer.errors import Refused
from deployer_targets.sagemaker import faults, names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import Home


@dataclass(frozen=True, slots=True)
class S3Ledger:
    """The ledger at a home. `kms_key` encrypts the claim; a record says its own."""

    cloud: Aws
    home: Home
    kms_key: str | None = None

    def read(self) -> Mapping[str, Record]:
        return self.among(store.keys(self.cloud, self.home, "generations/"))

    def among(self, found: Mapping[str, str]) -> Mapping[str, Record]:
        """The records of what was listed already, key to version."""
        listed = {self.home.resource_of(key): version for key, version in found.items()}
        places = [(self.home, resource.name, version) for resource, version in listed.items() if resource.kind == names.RECORD]
        return {record.generation: record for record in store.read_records(self.cloud, places) if record}

    def write(self, record: Record, *, new: bool = False) -> bool:
        """`new`: it is known that there is none."""
        found = None if new else store.read_record(self.cloud, self.home, record.generation)
        if found is not None and found.same(record):
            return False
        store.write_record(self.cloud, self.home, record)
        return True

    def drop(self, generations: Collection[str]) -> bool:
        there = [each for each in generations if store.read(self.cloud, self.home.bucket, self.home.record(each)) is not None]
        store.remove(self.cloud, self.home, map(self.home.record, there))
        return bool(there)

    def claim(self, run: str) -> None:
        listed = self.cloud.connection.learnt.pop(claim_listed(self.home), None)
        claim_by_comparing(self.home.deployment, run, self._look, lambda version: self._put(run, version), listed=listed)

    def verify(self, run: str) -> None:
        verify_holder(self.home.deployment, run, self.holder())

    def holder(self) -> str | None:
        """The run that has the name; None where nobody has."""
        return self._look().holder

    def _look(self) -> Claim[str]:
        connection = self.cloud.connection

        def read() -> Claim[str]:
            answer = connection.client("s3").get_object(Bucket=self.home.bucket, Key=self.home.claim)
            return Claim(answer["Body"].read().decode(), answer["ETag"])

        try:
            return connection.attempt(read, "s3 GetObject")
        except Absent:
            return Claim(None, "")

    def _put(self, run: str, version: str) -> bool:
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        where = {"Bucket": self.home.bucket, "Key": self.home.claim, "ContentType": "application/json"}
        try:
            replace(self.cloud, held=None).call("s3", "put_object", **where, Body=run.encode(), **condition, **store.encryption(self.kms_key))
        except Absent:  # it was released since; or the bucket is gone, which the next try says
            if not version:
                raise
            return False
        except Refused as refusal:
            if refusal.__cause__ is None or faults.code_of(refusal.__cause__) not in faults.OVERTAKEN:
                raise
            return False
        return True


def claim_listed(home: Home) -> tuple[str, str, str]:
    """By what a run remembers which version of the claim a listing showed; "" where it showed none."""
    return ("claim listed", home.bucket, home.deployment)
