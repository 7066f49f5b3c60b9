"""The way forward, one small class a step. Each is safe to run twice: it looks, and returns at once where AWS already agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import DOUBLING, ensure, poll
from deployer.core.state import DeploymentName, Record, Resource
from deployer.errors import Conflict, DeployerError, ModelInvalid, Refused, TargetUnavailable
from deployer_targets.sagemaker import names, upload
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.destination import ModelDestination, is_there
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.ledger import S3Ledger
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.observe import Endpoint, data_of, describe, made_with

_SETTLING_SECONDS = 12.0
"""By how much SageMaker's reads may lag behind its writes."""


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[Aws]):
    """Before all else, so that nothing half-made is ever out of sight.

    Attributes:
        new: of this and of what follows: none was there when the plan was made; so it's made at once, and looked at only where that is refused.
    """

    home: Home
    record: Record
    new: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.RECORD, self.record.generation)

    def describe(self) -> str:
        return f"record {self.record.generation}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        return S3Ledger(cloud, self.home).write(self.record, new=self.new)


@dataclass(frozen=True, slots=True)
class UploadModel(Step[Aws]):
    """The model's data: not sent again where it is there by digest, copied where another deployment has it, gone on with where it was begun."""

    to: ModelDestination
    path: Path | None
    size: int = 0
    new: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.DATA, self.to.home.url(self.to.key))

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if not self.new and is_there(cloud, self.to):
            return False
        self._send(cloud, progress)
        return True

    def _send(self, cloud: Aws, progress: Progress) -> None:
        if self.path is None:
            raise ModelInvalid(
                f"the data of model {self.to.model[:17]} is not in S3 any more: {self.to.home.url(self.to.key)}",
                advice="name the model, so that it is uploaded again: -m MODEL",
            )
        whose = upload.copied(cloud, self.to, self.size)
        if whose is not None:
            progress.note(f"copied from {whose} inside S3")
            return
        if self.to.key.endswith("/"):
            self._send_files(cloud, progress, self.path)
        else:
            self._send_tar(cloud, progress, self.path)

    def _send_tar(self, cloud: Aws, progress: Progress, path: Path) -> None:
        from deployer.artifacts.package import TarGz

        package = TarGz(path, expecting=self.to.model)
        estimate = package.size_estimate
        sent = upload.send_tar(cloud, self.to, package, estimate, lambda done: progress.moved(done, max(estimate, done)))
        progress.moved(sent, sent)

    def _send_files(self, cloud: Aws, progress: Progress, path: Path) -> None:
        from deployer.artifacts.content import content_digest, files

        found = files(path)
        total = sum(file.size for file in found)
        upload.send_files(cloud, self.to, found, lambda done: progress.moved(done, max(total, done)))
        if content_digest(files(path)) != self.to.model:
            raise ModelInvalid(f"the model changed while it was being uploaded, in {path}", advice="run the command again once nothing writes there")
        upload.seal(cloud, self.to)


@dataclass(frozen=True, slots=True)
class CreateModel(Step[Aws]):
    """A SageMaker model: the image, where its data is, and what the container sees. `environment` may be secret and is never printed."""

    deployment: DeploymentName
    name: str
    image: str
    data: str
    role: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    vpc: Mapping[str, Any] | None = None
    isolated: bool = False
    image_config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    new: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.MODEL, self.name)

    def describe(self) -> str:
        return f"model {self.name}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if not self.new and self._agreed(cloud):
            return False
        ensure(lambda: cloud.call("sagemaker", "create_model", **self.request()), lambda: self._agreed(cloud))
        return True

    def request(self) -> dict[str, Any]:
        """CreateModel's parameters."""
        optional = {"VpcConfig": self.vpc, "EnableNetworkIsolation": self.isolated or None}
        return {
            "ModelName": self.name,
            "PrimaryContainer": self._container(),
            "ExecutionRoleArn": self.role,
            "Tags": names.to_tags(self.tags),
            **{key: value for key, value in optional.items() if value},
        }

    def _container(self) -> dict[str, Any]:
        if self.data.endswith("/"):
            data: dict[str, Any] = {"ModelDataSource": {"S3DataSource": {"S3Uri": self.data, "S3DataType": "S3Prefix", "CompressionType": "None"}}}
        else:
            data = {"ModelDataUrl": self.data}
        return {
            "Image": self.image,
            "Environment": dict(self.environment),
            **data,
            **({"ImageConfig": self.image_config} if self.image_config else {}),
        }

    def _agreed(self, cloud: Aws) -> bool:
        found = cloud.content("sagemaker", "describe_model", there=True, ModelName=self.name)
        if found is None:
            return False
        container = found.get("PrimaryContainer") or {}
        agrees = (container.get("Image"), data_of(found), dict(container.get("Environment") or {}))
        if agrees != (self.image, self.data, dict(self.environment)):
            raise Refused(
                f"a SageMaker model {self.name} is there, but it is another one", advice="somebody else made it: remove it, or choose another name"
            )
        return True


@dataclass(frozen=True, slots=True)
class CreateEndpointConfig(Step[Aws]):
    """An endpoint config with one variant. `request` is CreateEndpointConfig's parameters, tags apart."""

    deployment: DeploymentName
    name: str
    request: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    new: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.CONFIG, self.name)

    def describe(self) -> str:
        return f"endpoint config {self.name}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if not self.new and self._agreed(cloud):
            return False
        tags = names.to_tags(self.tags)
        ensure(
            lambda: cloud.call("sagemaker", "create_endpoint_config", EndpointConfigName=self.name, **self.request, Tags=tags),
            lambda: self._agreed(cloud),
        )
        return True

    def _agreed(self, cloud: Aws) -> bool:
        found = cloud.content("sagemaker", "describe_endpoint_config", there=True, EndpointConfigName=self.name)
        if found is None:
            return False
        models = [variant.get("ModelName") for variant in found["ProductionVariants"]]
        if models != [variant["ModelName"] for variant in self.request["ProductionVariants"]]:
            raise Refused(f"an endpoint config {self.name} is there, but it is another one", advice="remove it, or choose another name")
        return True


@dataclass(frozen=True, slots=True)
class PointEndpoint(Step[Aws]):
    """The switch. Refuses where the endpoint isn't where the plan saw it: a rival was faster.

    Attributes:
        expecting: the config that the plan saw, None where there was no endpoint.
        retain: the counts that the endpoint has now stay, whatever the config says.
    """

    name: DeploymentName
    at: str
    expecting: str | None
    retain: bool = False
    guardrails: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    effect = Effect.SWITCH

    def describe(self) -> str:
        return f"endpoint {self.name}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        endpoint = describe(self.name, cloud)
        if endpoint and self.at in endpoint.configs:
            return False
        if (endpoint.carried if endpoint else None) != self.expecting:
            raise changed_by_another(self.name, f"it runs on {endpoint.carried}" if endpoint else "it is gone", self.expecting)
        ensure(lambda: self._send(cloud, endpoint), lambda: self._agreed(cloud))
        return True

    def _send(self, cloud: Aws, endpoint: Endpoint | None) -> None:
        guardrails = {"DeploymentConfig": self.guardrails} if self.guardrails else {}
        where = {"EndpointName": self.name, "EndpointConfigName": self.at}
        if endpoint is None:
            self._settled(cloud, "create_endpoint", **where, **guardrails, Tags=names.to_tags(self.tags))
            cloud.connection.learnt[made_with(self.name)] = dict(self.tags)
        else:
            # A weight is of this config alone: where two generations share the endpoint, it isn't what the next one is to have.
            apart = {"ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}]} if self.retain else {}
            self._settled(cloud, "update_endpoint", **where, **guardrails, RetainAllVariantProperties=self.retain, **apart)
            self._await_change(cloud, endpoint.description.get("LastModifiedTime"))

    def _settled(self, cloud: Aws, operation: str, **parameters: Any) -> None:
        """SageMaker's reads lag a little: a config made just now may not be found, and is asked for again."""

        def refusal() -> Absent | None:
            try:
                cloud.change("sagemaker", operation, **parameters)
            except Absent as absent:
                if cloud.find("sagemaker", "describe_endpoint_config", EndpointConfigName=self.at) is None:
                    raise
                return absent
            return None

        for absent in poll(refusal, seconds=_SETTLING_SECONDS, late=_itself, pauses=DOUBLING, sleep=cloud.connection.sleep):
            if absent is None:
                return

    def _await_change(self, cloud: Aws, before: Any) -> None:
        """Until the update shows: a reason for an earlier failure must not be taken for this one's."""
        for endpoint in poll(lambda: describe(self.name, cloud), seconds=_SETTLING_SECONDS, pauses=DOUBLING, sleep=cloud.connection.sleep):
            if endpoint is None or endpoint.busy or self.at in endpoint.configs or endpoint.description.get("LastModifiedTime") != before:
                return

    def _agreed(self, cloud: Aws) -> bool:
        """Whether what was asked for happened all the same.

        Raises:
            Conflict: something else did.
            TargetUnavailable: that can't be seen.
        """
        try:
            endpoint = describe(self.name, cloud)
        except Refused as unseen:
            # Nobody may look (credentials that expired just now, say): then nobody may go back either.
            raise TargetUnavailable(
                f"whether {self.name} was switched to {self.at} isn't known",
                why=unseen.why or unseen.message,
                advice="nothing was undone; the same command resumes",
            ) from unseen
        if endpoint and self.at in endpoint.configs:
            return True
        if endpoint and (endpoint.busy or endpoint.carried != self.expecting):
            raise changed_by_another(self.name, f"it is {endpoint.status} on {endpoint.incoming or endpoint.carried}", self.expecting)
        return False


def changed_by_another(name: str, now: str, expected: str | None) -> Conflict:
    seen = f"it was on {expected}" if expected else "it wasn't there"
    return Conflict(
        f"the endpoint {name} was changed by somebody else meanwhile: {now}, and {seen} when this run looked",
        advice="deploy get shows what is there; the same command starts from it",
    )


def _itself(absent: Absent | None) -> DeployerError:
    assert absent is not None
    return absent
