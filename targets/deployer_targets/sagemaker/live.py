"""What changes in place, once the new generation serves. Refused, the record gets its old live values again; it is never a reason to go back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import ensure
from deployer.core.state import DeploymentName, Record
from deployer.errors import Refused
from deployer_targets.sagemaker import autoscaling, names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.observe import counts_of, describe, tags_of
from deployer_targets.sagemaker.waiting import looks, progress_of


@dataclass(frozen=True, slots=True)
class SetInstanceCount(Step[Aws]):
    """How many instances.

    Attributes:
        before: the record with the live values that hold where this is refused.
    """

    name: DeploymentName
    home: Home
    variant: str
    count: int
    before: Record | None = None
    timeout_seconds: float = 1200
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"{self.count} {'instance' if self.count == 1 else 'instances'}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if self._agreed(cloud):
            return False
        wanted = [{"VariantName": self.variant, "DesiredInstanceCount": self.count}]
        or_as_before(
            lambda: cloud.change("sagemaker", "update_endpoint_weights_and_capacities", EndpointName=self.name, DesiredWeightsAndCapacities=wanted),
            lambda: self._agreed(cloud),
            cloud,
            self.home,
            self.before,
        )
        for endpoint in looks(self.name, cloud, self.timeout_seconds):
            if endpoint is None or not endpoint.busy:
                break
            progress.note(progress_of(endpoint))
        if not self._agreed(cloud):
            _restore(cloud, self.home, self.before)
            endpoint = describe(self.name, cloud)
            raise Refused(
                f"{self.name} still has {counts_of(endpoint.description) if endpoint else 'no'} instances, not {self.count}: SageMaker went back",
                why=endpoint.reason if endpoint else "",
                advice="the generation serves; ask for another instance_count, or for more quota",
            )
        return True

    def _agreed(self, cloud: Aws) -> bool:
        endpoint = describe(self.name, cloud)
        return endpoint is not None and counts_of(endpoint.description) == self.count


@dataclass(frozen=True, slots=True)
class SetTags(Step[Aws]):
    """Tags of the endpoint and of what it stands on. Tags that others put there stay."""

    name: DeploymentName
    home: Home
    models: tuple[str, ...]
    configs: tuple[str, ...]
    wanted: Mapping[str, str]
    unwanted: frozenset[str] = field(default_factory=frozenset)
    before: Record | None = None
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "tags"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        or_as_before(lambda: self._set_all(cloud), lambda: False, cloud, self.home, self.before)
        return True

    def _set_all(self, cloud: Aws) -> None:
        # The endpoint comes last: where its tags are as wanted, so are the others'.
        for arn in [
            *(self._arn(cloud, "model", each) for each in self.models),
            *(self._arn(cloud, "endpoint-config", each) for each in self.configs),
        ]:
            self._set(cloud, arn)
        self._set(cloud, self._arn(cloud, "endpoint", self.name))

    def _set(self, cloud: Aws, arn: str) -> None:
        now = tags_of(cloud, arn)
        missing = {key: value for key, value in self.wanted.items() if now.get(key) != value}
        if missing:
            cloud.change("sagemaker", "add_tags", ResourceArn=arn, Tags=names.to_tags(missing))
        if gone := sorted(self.unwanted & set(now)):
            cloud.change("sagemaker", "delete_tags", ResourceArn=arn, TagKeys=gone)

    def _arn(self, cloud: Aws, kind: str, name: str) -> str:
        who = cloud.identity
        # SageMaker writes names in ARNs in lower case.
        return f"arn:{who.partition}:sagemaker:{cloud.region}:{who.account}:{kind}/{name.lower()}"


@dataclass(frozen=True, slots=True)
class SuspendScaling(Step[Aws]):
    """Autoscaling, put aside in S3 while the variant changes in a way that AWS refuses under autoscaling."""

    home: Home
    registration: autoscaling.Registration
    kms_key: str | None = None
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "autoscaling, put aside"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        store.write(cloud, self.home, self.home.scaling, json.dumps(self.registration, sort_keys=True).encode(), self.kms_key)
        autoscaling.deregister(cloud, self.registration)
        return True


@dataclass(frozen=True, slots=True)
class ResumeScaling(Step[Aws]):
    """Autoscaling registered again as it was, for the variant that serves now; None where that one can't be scaled so."""

    home: Home
    registration: autoscaling.Registration
    variant: str | None
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "autoscaling, registered again"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if store.read(cloud, self.home.bucket, self.home.scaling) is None:
            return False
        if self.variant is None:
            progress.warn(f"{self.home.deployment} had autoscaling, which serverless inference hasn't: it is gone")
        else:
            place = f"endpoint/{self.home.deployment}/variant/{self.variant}"
            autoscaling.register(cloud, {**self.registration, "ResourceId": place})
        store.remove(cloud, self.home, [self.home.scaling])
        return True


def or_as_before(send: Callable[[], object], agreed: Callable[[], bool], cloud: Aws, home: Home, before: Record | None) -> None:
    """Send; where that is refused, and not because it had happened already, the record is set right."""
    try:
        ensure(send, agreed)
    except Refused:
        _restore(cloud, home, before)
        raise


def _restore(cloud: Aws, home: Home, before: Record | None) -> None:
    if before is not None:
        store.write_record(cloud, home, before)
