"""Waiting for pods, and saying at once why they don't come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName
from deployer.errors import Conflict, PermissionDenied, RolloutFailed, TimedOut
from deployer_targets.kubernetes import faults, names, pods
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.faults import Absent
from deployer_targets.kubernetes.logs import last_lines
from deployer_targets.kubernetes.pods import Trouble

_PAUSES = Pauses(shortest=0.25, longest=2.0)
_LINES = 20


@dataclass(frozen=True, slots=True)
class AwaitPods(Step[Kube]):
    """So many pods of a generation are ready.

    Attributes:
        ours: the image's runtime is ours, whose exit codes are known.
        gap: nothing serves meanwhile.
        deadline_seconds: after which it has failed; `timeout_seconds`: after which this run waits no longer.
    """

    name: DeploymentName
    generation: str
    count: int
    timeout_seconds: float
    deadline_seconds: float
    ours: bool = True
    gap: bool = False
    effect = Effect.READ

    def describe(self) -> str:
        return f"{self.count} pods of {self.generation} are ready" if self.count > 1 else f"a pod of {self.generation} is ready"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        begin, labelled, trouble = time.monotonic(), names.labels(self.name, self.generation), None
        looked = False  # pods that were asked for just now may not be there yet
        for found in poll(lambda: pods.here(cloud.list("Pod", labelled)), seconds=self.timeout_seconds, pauses=_PAUSES):
            ready = sum(map(pods.ready, found))
            if ready >= self.count:
                return False
            if len(found) < self.count and looked:
                self._refused(cloud)
            trouble = pods.worst(found, ours=self.ours) or (self._unmade(len(found)) if looked else None)
            looked = True
            if trouble and trouble.certain:
                raise self._failed(trouble)
            if trouble and trouble.pod:
                trouble = pods.grown(trouble, events_of(trouble.pod, cloud))
            progress.note(self._phrase(ready, trouble))
            if time.monotonic() - begin > self.deadline_seconds:
                raise self._failed(trouble or self._unready(found, cloud))
        raise TimedOut(
            f"{self.name}: {self._phrase(0, trouble)}; nothing was undone, and {'nothing serves' if self.gap else 'what served still serves'}",
            why=trouble.why if trouble else "",
            advice=(trouble.advice if trouble else "") or "the same command waits again; --timeout gives it longer",
        )

    def _phrase(self, ready: int, trouble: Trouble | None) -> str:
        what = trouble.what if trouble else "the container loads the model"
        return f"{ready} of {self.count} pods are ready, {what}" if self.count > 1 else what

    def _unmade(self, there: int) -> Trouble | None:
        if there >= self.count:
            return None
        why = f"{there} of {self.count} are there, and its Deployment says no reason"
        return Trouble("the cluster has not made its pods", why, "kubectl get events has what its controllers do; the same command waits again")

    def _unready(self, found: Sequence[Object], cloud: Kube) -> Trouble:
        unready = [each["metadata"]["name"] for each in found if not pods.ready(each)]
        answers = [pods.probed(events_of(each, cloud)) for each in unready]
        why = f"its model was not loaded within {self.deadline_seconds:.0f} s"
        lines = last_lines(unready[0], cloud, _LINES)  # gone with the pod, once this run goes back
        advice = "-C progress_deadline gives it longer; deploy run-local runs the same container on this machine"
        return Trouble("it is not ready", "; ".join([why, *dict.fromkeys(filter(None, answers))]), advice, lines)

    def _failed(self, trouble: Trouble) -> RolloutFailed:
        why = trouble.why
        return RolloutFailed(
            f"{self.name} can't serve generation {self.generation}: {trouble.what}", why=why, advice=trouble.advice, lines=trouble.lines
        )

    def _refused(self, cloud: Kube) -> None:
        """Look whether pods are missing because they aren't allowed.

        Raises:
            QuotaExceeded, Refused: what admission says. Conflict: the Deployment is gone.
        """
        where = names.of_generation(self.name, self.generation)
        try:
            found = cloud.get("Deployment", where)
        except Absent as gone:
            cloud.check()
            raise Conflict(f"the Deployment {where} is gone: somebody else removed it", advice="the same command makes it again") from gone
        if message := replica_failure(found):
            raise faults.refusal(message, f"making the pods of {where}")


def events_of(pod: str, cloud: Kube) -> list[Object]:
    """What was said of a pod; nothing to who may not look."""
    with suppress(PermissionDenied):
        return list(cloud.list("Event", {}, fields=f"involvedObject.kind=Pod,involvedObject.name={pod}"))
    return []


def replica_failure(deployment: Object) -> str:
    """Why pods of a Deployment can't even be made; "" where they can."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message", ""))
    return ""
