"""A deployment's ledger: a ConfigMap, whose resourceVersion is compared before a claim is set; all else is written only where the claim is ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from deployer.core.ledger import Claim, claim_by_comparing, verify_holder
from deployer.core.state import DeploymentName, Record
from deployer.errors import Conflict, DeploymentNotFound, Refused
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.faults import Absent, Overtaken

_RECORD = "record."
_ATTACHED = "attached"
"""The kinds of which something was ever put beside this deployment."""
KIND = "ConfigMap"
VERSION = "version of the ledger"
MARKED = "marked"
"""By which a run remembers the version that it saw last, until it claims, and all that it has marked, until it looks."""


@dataclass(frozen=True, slots=True)
class ConfigMapLedger:
    """The ledger of one name."""

    cloud: Kube
    name: DeploymentName

    def look(self) -> Object | None:
        return self.cloud.find(KIND, names.ledger(self.name))

    def known(self) -> Object | None:
        """As the run that has the claim wrote it last: nobody else writes it as long as that is so, and each of its writes holds it to be so."""
        return self.cloud.known(KIND, names.ledger(self.name)) or self.look()

    def read(self) -> Mapping[str, Record]:
        return records_of(self.look())

    def write(self, record: Record) -> bool:
        data = _data(self.known())
        kept = data.get(f"{_RECORD}{record.generation}")
        if kept is not None and Record.from_json(kept).same(record):
            return False
        self._put([_set(f"{_RECORD}{record.generation}", record.to_json())])
        return True

    def drop(self, generations: Collection[str]) -> bool:
        there = [each for each in generations if f"{_RECORD}{each}" in _data(self.known())]
        if there:
            self._put([{"op": "remove", "path": f"/data/{_RECORD}{each}"} for each in there])
        return bool(there)

    def attach(self, kind: str) -> bool:
        """Note a kind before the first of it is made, so that it is looked for from then on."""
        there = attached(self.known())
        if kind not in there:
            self._put([_set(_ATTACHED, " ".join(sorted({*there, kind})))])
        return kind not in there

    def claim(self, run: str) -> None:
        listed = self.cloud.learnt.pop(VERSION, None)
        claim_by_comparing(self.name, run, self._looked, lambda version: self._claimed(run, version), listed=listed)

    def verify(self, run: str) -> None:
        verify_holder(self.name, run, _data(self.look()).get(names.CLAIM))

    def history(self) -> str:
        return _data(self.known()).get(names.HISTORY, "")

    def keep_history(self, text: str, before: str) -> None:
        """In place of what was there before.

        Raises:
            Conflict: another run has written it since. DeploymentNotFound: it is gone with the deployment.
        """
        test = [{"op": "test", "path": f"/data/{names.HISTORY}", "value": before}] if before else []
        try:
            self._put([*test, _set(names.HISTORY, text)])
        except Absent as gone:
            raise DeploymentNotFound(f"{self.name} is gone, and its history with it") from gone

    def release(self) -> bool:
        """Clear all of it, while the claim is this run's."""
        try:
            self.cloud.remove(KIND, names.ledger(self.name), self.known())
        except (Absent, Conflict):
            if self.look() is not None:
                raise
            return False
        return True

    def _put(self, changes: list[dict[str, str]]) -> None:
        """All of it, or nothing where another run has the name by now."""
        fence = [{"op": "test", "path": f"/data/{names.CLAIM}", "value": self.cloud.run}]
        try:
            self.cloud.patch(KIND, names.ledger(self.name), [*fence, *changes])
        except Absent:
            raise
        except Refused as no:
            self.verify(self.cloud.run)
            found = self.cloud.written(KIND, self.cloud.get(KIND, names.ledger(self.name)))
            kept = _data(found)  # the answer to a try that went through may have been lost
            if all(kept.get(each["path"].removeprefix("/data/")) == each.get("value") for each in changes if each["op"] != "test"):
                return
            if any(each["op"] == "test" for each in changes):
                raise Conflict(f"another run has written the history of {self.name} since") from no
            raise

    def _looked(self) -> Claim[str]:
        found = self.look()
        return Claim(_data(found).get(names.CLAIM), str(found["metadata"]["resourceVersion"]) if found else "")

    def _claimed(self, run: str, version: str) -> bool:
        where, free = names.ledger(self.name), replace(self.cloud, held=None)
        try:
            if not version:
                labelled = {"name": where, "labels": names.labels(self.name)}
                free.make(KIND, {"apiVersion": "v1", "kind": KIND, "metadata": labelled, "data": {names.CLAIM: run}})
            else:
                free.patch(KIND, where, [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, _set(names.CLAIM, run)])
        except (Overtaken, Absent):
            return False
        return True


def mark(name: DeploymentName, cloud: Kube) -> None:
    """Make the run that claimed the name known to all that it has, so that each of them has another version than an older run saw.

    A write of that run which comes late is refused then, whether or not this run changes the thing as well. What is there is remembered for the
    look that follows. Who marks late what a newer run has marked already finds so at the end.

    Raises:
        Conflict: a newer run has the name.
    """
    ledger = ConfigMapLedger(cloud, name).known()
    secret = ["Secret"] if has_secrets(ledger) else []
    marked: dict[str, list[Object]] = {kind: [] for kind in ("Service", "Deployment", *secret, *served(attached(ledger), cloud))}
    for kind, found in marked.items():
        alone = kind == "Secret"  # what is in it is nobody's business here
        for each in cloud.list(kind, names.labels(name), metadata=alone):
            with suppress(Absent):
                found.append(cloud.annotate(kind, each["metadata"]["name"], {names.RUN: cloud.run}, metadata=alone))
    cloud.learnt[MARKED] = marked
    if any(marked.values()):
        cloud.check()


def attached(ledger: Object | None) -> tuple[str, ...]:
    """The kinds of which something may stand beside a deployment."""
    return tuple(_data(ledger).get(_ATTACHED, "").split())


def has_secrets(ledger: Object | None) -> bool:
    """Whether there may be Secrets: by the records, which are written before those are made and go after them; without a ledger that isn't known."""
    records = records_of(ledger).values()
    return ledger is None or any(each.options.get("pull_secret") or any(one.kind == names.SECRET for one in each.resources) for each in records)


def served(kinds: Iterable[str], cloud: Kube) -> Iterator[str]:
    """Those of the kinds that the cluster has still."""
    return (kind for kind in kinds if cloud.connection.discovery.find(kind))


def records_of(ledger: Object | None) -> Mapping[str, Record]:
    """The records in a ledger, by generation."""
    found = [Record.from_json(text) for key, text in _data(ledger).items() if key.startswith(_RECORD)]
    return {record.generation: record for record in found}


def _data(ledger: Object | None) -> Mapping[str, str]:
    return (ledger or {}).get("data") or {}


def _set(key: str, value: str) -> dict[str, str]:
    return {"op": "add", "path": f"/data/{key}", "value": value}
