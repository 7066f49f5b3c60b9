"""What stands beside the pods and the Service is made, and follows the traffic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import DeploymentName
from deployer.errors import Conflict, NotOurs
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.drift import Drift, drift, yielding
from deployer_targets.kubernetes.ledger import ConfigMapLedger
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.observe import is_ours

_CARRIES = {"HTTPRoute": "spec.rules", "HorizontalPodAutoscaler": "spec.scaleTargetRef"}
"""Where the traffic goes: an update can't leave that to somebody else."""


@dataclass(frozen=True, slots=True)
class Attach(Step[Kube]):
    """One object beside the pods, as it is to be. What somebody else has set otherwise in it stays so, but with `force`."""

    name: DeploymentName
    manifest: Manifest
    force: bool = False
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"{self.manifest['kind'].lower()} {self.manifest['metadata']['name']}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        kind, where = self.manifest["kind"], self.manifest["metadata"]["name"]
        ConfigMapLedger(cloud, self.name).attach(kind)

        def wanted(found: Object | None) -> Object | None:
            if found is None:
                return self.manifest
            if not is_ours(found, self.name) and self.name not in cloud.adopts:
                theirs = f"a {kind} {where} is in namespace {cloud.namespace}, made by somebody else"
                raise NotOurs(theirs, advice="remove it, or choose another name")
            differs = drift(self.manifest, found)
            if self.force:
                return self.manifest if differs else None
            refuse_taken(self.manifest, differs)
            return None if all(each.by for each in differs) else yielding(self.manifest, differs)

        return cloud.settle(kind, where, wanted, force=self.force)


def refuse_taken(manifest: Manifest, drifts: Iterable[Drift]) -> None:
    """Look whether somebody else has changed where the traffic goes.

    Raises:
        Conflict: who, and what.
    """
    kind, where = manifest["kind"], manifest["metadata"]["name"]
    for each in drifts:
        if each.by and each.field.startswith(_CARRIES.get(kind, "-")):
            raise Conflict(
                f"{each.by} has changed {each.field} of {kind} {where}, which says where the traffic goes",
                advice="-C force_conflicts=true takes it back",
            )
