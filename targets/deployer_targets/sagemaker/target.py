"""The SageMaker target: the contract of `deployer.core.target`, kept by the modules beside this one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from deployer.core.accelerators import Accelerator
from deployer.core.compatibility import trims
from deployer.core.container import Container, Mount
from deployer.core.plan import Plan, Progress
from deployer.core.state import DeploymentName, ModelFacts, Observed
from deployer.core.target import DeploymentRequest, DeploymentSpec, Diagnosis, LogLine, Payload, Summary, TargetUri
from deployer.core.traffic import Measured, Strategy
from deployer.errors import ConfigInvalid, DeployerError
from deployer.events import Report, silent
from deployer_targets.sagemaker import buckets, client, defaults, instances, names, places, traffic
from deployer_targets.sagemaker import plan as planning
from deployer_targets.sagemaker.client import Aws, HeldName
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.names import Home

MODEL_PATH = "/opt/ml/model"
PORT = 8080


class SageMaker:
    """Amazon SageMaker inference endpoints: `sagemaker[:/REGION[/ROLE_ARN]]`."""

    scheme = "sagemaker"
    config = SageMakerConfig
    libraries = ("botocore.session", "botocore.httpsession")

    def name_for(self, candidate: str) -> DeploymentName:
        return names.name_for(candidate)

    def check_name(self, name: str) -> DeploymentName:
        return names.check_name(name)

    def connect(self, uri: TargetUri, config: SageMakerConfig) -> Aws:
        region, role = _place(uri)
        cloud = client.connect(
            config.region_name or region,
            endpoint_url=config.endpoint_url,
            role_arn=config.assume_role_arn or role,
            external_id=config.external_id,
            config=config,
        )
        places.check_endpoint_url(config.endpoint_url, cloud.region)
        return cloud

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """What the SageMaker SDK's defaults files say; those in S3 are read with the run's own credentials."""

        def fetch(url: str) -> bytes:
            keys = ("region_name", "assume_role_arn", "external_id", "endpoint_url")
            config = self.config.parse({key: named[key] for key in keys if key in named}, target=self.scheme)
            return defaults.fetch_from_s3(self.connect(uri, config), url)

        return defaults.defaults(os.environ, fetch)

    def check_size(self, config: SageMakerConfig, model: ModelFacts) -> None:
        instances.check_disk(
            model.size,
            instance_type=config.instance_type,
            volume_size_in_gb=config.volume_size_in_gb,
            serverless=config.serverless_config is not None,
        )

    def where(self, cloud: Aws) -> str:
        return f"{cloud.region}, account {cloud.connection.account}"

    def settle(self, name: DeploymentName, cloud: Aws, report: Report, timeout_seconds: float) -> None:
        from deployer_targets.sagemaker.waiting import settle

        settle(name, cloud, report, timeout_seconds)

    def claim(self, name: DeploymentName, cloud: Aws, config: SageMakerConfig) -> Aws:
        from deployer_targets.sagemaker import observe
        from deployer_targets.sagemaker.ledger import S3Ledger
        from deployer_targets.sagemaker.removal import ReleaseClaim

        home, run = cloud.connection.learnt.get(observe.home_of(name)), uuid.uuid4().hex
        if home is None or config.bucket not in (None, home.bucket):
            home = Home(config.bucket or observe.bucket_of(name, cloud), name)
            buckets.ensure(cloud, home.bucket)
        cloud.connection.learnt.pop(observe.swept(home), None)
        ledger = S3Ledger(cloud, home, config.kms_key)
        held = cloud.holding(HeldName(home, run, partial(ledger.verify, run), config.kms_key))
        try:
            ledger.claim(run)
        except KeyboardInterrupt:
            with suppress(DeployerError):  # whether it was written isn't known; whose it is, is looked at first
                ReleaseClaim(home).run(held, Progress("claim", name, silent))
            raise
        return held

    def history(self, name: DeploymentName, cloud: Aws) -> str:
        from deployer_targets.sagemaker.history import history

        return history(name, cloud)

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: Aws) -> None:
        from deployer_targets.sagemaker.history import keep

        keep(text, before, cloud)

    def observe(self, name: DeploymentName, cloud: Aws) -> Observed | None:
        from deployer_targets.sagemaker.observe import observe

        return observe(name, cloud)

    def adopt(self, name: DeploymentName, cloud: Aws) -> Aws:
        """The cloud as it is for a run that takes over an endpoint of that name that isn't ours."""
        return cloud.adopting(name)

    def resolve(self, request: DeploymentRequest[SageMakerConfig], observed: Observed | None, cloud: Aws) -> DeploymentSpec[SageMakerConfig]:
        from deployer_targets.sagemaker.resolve import resolve

        return resolve(request, observed, cloud)

    def plan(self, spec: DeploymentSpec[SageMakerConfig], observed: Observed | None) -> Plan[Aws]:
        return planning.plan(spec, observed)

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        return traffic.METER.strategies()

    def measure(self, name: DeploymentName, generation: str, cloud: Aws) -> Measured:
        return traffic.METER.measure(name, generation, cloud)

    def plan_delete(self, name: DeploymentName, observed: Observed, config: SageMakerConfig) -> Plan[Aws]:
        return planning.plan_delete(name, observed, config)

    def plan_prune(self, name: DeploymentName, observed: Observed, config: SageMakerConfig) -> Plan[Aws]:
        return planning.plan_prune(name, observed, config)

    def container(self, spec: DeploymentSpec[SageMakerConfig]) -> Container:
        """`docker run IMAGE serve` with the model at /opt/ml/model, read-only, as the image's own user, which is root on SageMaker."""
        return Container(
            image=spec.image.reference,
            command=("serve",),
            port=PORT,
            environment=spec.config.env,
            mounts=(Mount(spec.model.directory, MODEL_PATH),),
            isolated_network=spec.config.enable_network_isolation,
        )

    def list(self, cloud: Aws) -> Iterator[Summary]:
        from deployer_targets.sagemaker.listing import summaries

        return summaries(cloud)

    def predict(self, name: DeploymentName, payload: Payload, cloud: Aws) -> Payload:
        from deployer_targets.sagemaker.invoke import predict

        return predict(name, payload, cloud)

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: Aws) -> Iterator[bytes]:
        from deployer_targets.sagemaker.invoke import predict_stream

        return predict_stream(name, payload, cloud)

    def logs(self, name: DeploymentName, cloud: Aws, *, follow: bool, tail: int) -> Iterator[LogLine]:
        from deployer_targets.sagemaker.logs import lines

        return lines(name, cloud, follow=follow, tail=tail)

    def doctor(self, cloud: Aws) -> Iterator[Diagnosis]:
        from deployer_targets.sagemaker.doctor import findings

        return findings(cloud)

    def image_repository(self, cloud: Aws, container_name: str, *, create: bool) -> Any:
        from deployer_targets.sagemaker.registry import registry

        return registry(cloud).repository(container_name, create=create)

    def image_uses(self, cloud: Aws) -> Iterator[tuple[str, str]]:
        """What models name, whoever made them: of deployments that no listing shows (in a bucket of their own), and of other tools."""
        from deployer_targets.sagemaker.listing import image_uses

        return image_uses(cloud)

    def accelerator(self, config: SageMakerConfig) -> Accelerator | None:
        return instances.accelerator(config)

    def make_packages(self, spec: DeploymentSpec[SageMakerConfig], cloud: Aws, report: Report) -> None:
        from deployer_images.layers.planning import make
        from deployer_targets.sagemaker.registry import CONTAINER_NAME, registry

        repository = registry(cloud).repository(CONTAINER_NAME, create=False).on(spec.image.platform)
        make(repository, spec.model, report, trimmed=trims(spec.record.packages), accelerator=self.accelerator(spec.config))


def _place(uri: TargetUri) -> tuple[str | None, str | None]:
    """Region and role of `sagemaker:/us-west-2/arn:aws:iam::123456789012:role/deployer`."""
    region, _, role = uri.path.partition("/")
    if role and not role.startswith("arn:"):
        raise ConfigInvalid(f"{uri} is not a SageMaker target: {role!r} is not a role's ARN", advice="sagemaker[:/REGION[/ROLE_ARN]]")
    return region or None, role or None
