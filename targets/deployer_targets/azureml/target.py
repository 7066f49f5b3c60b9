"""The Azure ML target: the contract of `deployer.core.target`, kept by the modules beside this one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from deployer.core.compatibility import trims
from deployer.core.container import Container, Mount
from deployer.core.plan import Plan
from deployer.core.state import DeploymentName
from deployer.core.target import DeploymentRequest, DeploymentSpec, Diagnosis, Exported, LogLine, Payload, Summary, TargetUri
from deployer.core.traffic import Strategy
from deployer.errors import DeployerError, DeploymentNotFound
from deployer.events import Report
from deployer_targets.azureml import bodies, client, names
from deployer_targets.azureml.address import workspace_at
from deployer_targets.azureml.behind import behind
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.endpoint_config import EndpointConfig
from deployer_targets.azureml.looking import Seen, group_of, is_group, seen, settle

MODELS = "/var/azureml-app/azureml-models"
"""Below which Azure ML mounts models."""


class AzureMl:
    """Azure ML's managed online endpoints: `azureml[:/SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE]`."""

    scheme = "azureml"
    config = AzureMlConfig
    libraries = ("azure.core.pipeline.transport", "azure.identity", "requests")

    def name_for(self, candidate: str) -> DeploymentName:
        return names.name_for(candidate)

    def check_name(self, name: str) -> DeploymentName:
        return names.check_name(name)

    def connect(self, uri: TargetUri, config: AzureMlConfig) -> AzureMlCloud:
        return client.connect(workspace_at(uri), config)

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        return {}, {}

    def where(self, cloud: AzureMlCloud) -> str:
        return str(cloud.workspace)

    def settle(self, name: DeploymentName, cloud: AzureMlCloud, report: Report, timeout_seconds: float) -> None:
        settle(name, cloud, timeout_seconds)

    def claim(self, name: DeploymentName, cloud: AzureMlCloud, config: AzureMlConfig) -> AzureMlCloud:
        from deployer_targets.azureml.ledger import BlobLedger
        from deployer_targets.azureml.removal import release

        run, ledger = uuid.uuid4().hex, BlobLedger(cloud, name)
        held = cloud.holding(name, lambda: ledger.verify(run))
        try:
            ledger.claim(run)
        except KeyboardInterrupt:
            with suppress(DeployerError):  # whether it was written isn't known; whose it is, is looked at first
                if not ledger.read():
                    release(name, held)
            raise
        return held

    def history(self, name: DeploymentName, cloud: AzureMlCloud) -> str:
        from deployer_targets.azureml.ledger import BlobLedger

        return BlobLedger(cloud, name).history()

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: AzureMlCloud) -> None:
        from deployer_targets.azureml.ledger import BlobLedger

        BlobLedger(cloud, name).keep_history(text)

    def observe(self, name: DeploymentName, cloud: AzureMlCloud) -> Seen | None:
        return seen(name, cloud)

    def adopt(self, name: DeploymentName, cloud: AzureMlCloud) -> AzureMlCloud:
        return cloud.adopting(name)

    def behind(self, endpoint: str, cloud: AzureMlCloud) -> AzureMlCloud:
        return behind(endpoint, cloud)

    def endpoint_options(self) -> type[EndpointConfig]:
        return EndpointConfig

    def create_endpoint(self, endpoint: str, config: EndpointConfig, cloud: AzureMlCloud) -> dict[str, Any]:
        from deployer_targets.azureml import endpoints

        return endpoints.create(endpoint, config, behind(endpoint, cloud))

    def update_endpoint(self, endpoint: str, config: EndpointConfig, cloud: AzureMlCloud) -> dict[str, Any]:
        from deployer_targets.azureml import endpoints

        return endpoints.update(endpoint, config, behind(endpoint, cloud))

    def delete_endpoint(self, endpoint: str, cloud: AzureMlCloud) -> bool:
        from deployer_targets.azureml import endpoints

        return endpoints.delete(endpoint, behind(endpoint, cloud))

    def list_endpoints(self, cloud: AzureMlCloud) -> list[dict[str, Any]]:
        from deployer_targets.azureml import endpoints

        return endpoints.listed(cloud)

    def get_endpoint(self, endpoint: str, cloud: AzureMlCloud) -> dict[str, Any]:
        from deployer_targets.azureml import endpoints

        return endpoints.described(endpoint, cloud)

    def predict_by_traffic(self, endpoint: str, payload: Payload, cloud: AzureMlCloud) -> Payload:
        from deployer_targets.azureml.invoke import predict

        return predict(DeploymentName(endpoint), payload, cloud)

    def resolve(self, request: DeploymentRequest[AzureMlConfig], observed: Seen | None, cloud: AzureMlCloud) -> DeploymentSpec[AzureMlConfig]:
        from deployer_targets.azureml.aci.resolve import resolve as resolve_group
        from deployer_targets.azureml.resolve import resolve

        if request.config.compute == "aci":
            return resolve_group(request, observed, cloud)
        return resolve(request, observed, cloud)

    def plan(self, spec: DeploymentSpec[AzureMlConfig], observed: Seen | None) -> Plan[AzureMlCloud]:
        from deployer_targets.azureml import plan
        from deployer_targets.azureml.aci.plan import plan as plan_group

        return plan_group(spec, observed) if spec.config.compute == "aci" else plan.plan(spec, observed, self)

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        from deployer_targets.azureml import metrics

        return metrics.STRATEGIES

    def measure(self, name: DeploymentName, generation: str, cloud: AzureMlCloud) -> Any:
        from deployer_targets.azureml import metrics

        return metrics.measure(name, generation, cloud)

    def plan_delete(self, name: DeploymentName, observed: Seen, config: AzureMlConfig) -> Plan[AzureMlCloud]:
        from deployer_targets.azureml import plan
        from deployer_targets.azureml.aci.plan import plan_delete

        return plan_delete(name, observed, config) if is_group(observed) else plan.plan_delete(name, observed, config)

    def plan_prune(self, name: DeploymentName, observed: Seen, config: AzureMlConfig) -> Plan[AzureMlCloud]:
        from deployer_targets.azureml import plan

        return plan.plan_prune(name, observed, config)

    def container(self, spec: DeploymentSpec[AzureMlConfig]) -> Container:
        """The image's own command with the model where Azure ML mounts it, and AZUREML_MODEL_DIR naming that."""
        inside = f"{spec.config.model_mount_path or MODELS}/model/1"
        return Container(
            image=spec.image.reference,
            command=(),
            port=bodies.PORT,
            environment={"AZUREML_MODEL_DIR": inside, **spec.config.env},
            mounts=(Mount(spec.model.directory, inside),),
            health=bodies.READY,
        )

    def list(self, cloud: AzureMlCloud) -> Iterator[Summary]:
        from deployer_targets.azureml.listing import summaries

        return summaries(cloud)

    def predict(self, name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Payload:
        from deployer_targets.azureml.aci import asking
        from deployer_targets.azureml.invoke import predict

        try:
            return predict(name, payload, cloud)
        except DeploymentNotFound:
            if group_of(name, cloud) is None:
                raise
        return asking.predict(name, payload, cloud)

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: AzureMlCloud) -> Iterator[bytes]:
        from deployer_targets.azureml.aci import asking
        from deployer_targets.azureml.invoke import predict_stream

        try:
            yield from predict_stream(name, payload, cloud)
        except DeploymentNotFound:
            if group_of(name, cloud) is None:
                raise
            yield from asking.predict_stream(name, payload, cloud)

    def credentials(self, name: DeploymentName, cloud: AzureMlCloud) -> Mapping[str, str]:
        from deployer_targets.azureml.aci import asking
        from deployer_targets.azureml.invoke import credentials

        if (found := credentials(name, cloud)) is None and group_of(name, cloud) is not None:
            found = asking.credentials(name, cloud)
        if found is None:
            raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there")
        return found

    def logs(self, name: DeploymentName, cloud: AzureMlCloud, *, follow: bool, tail: int) -> Iterator[LogLine]:
        from deployer_targets.azureml import online
        from deployer_targets.azureml.aci import asking
        from deployer_targets.azureml.logs import lines

        endpoint = online.endpoint(cloud.endpoint_of(name), cloud)
        if endpoint is None and group_of(name, cloud) is not None:
            return asking.lines(name, cloud, follow=follow, tail=tail)
        return lines(name, endpoint, cloud, follow=follow, tail=tail)

    def doctor(self, cloud: AzureMlCloud) -> Iterator[Diagnosis]:
        from deployer_targets.azureml.doctor import findings

        return findings(cloud)

    def export_forms(self) -> tuple[str, ...]:
        return ("plain", "bicep", *self.forms_without_image())

    def export(self, spec: DeploymentSpec[AzureMlConfig], form: str, cloud: AzureMlCloud, report: Report) -> Exported:
        from deployer_targets.azureml.export import exported

        return exported(spec, form)

    def forms_without_image(self) -> tuple[str, ...]:
        return ("scoring-script",)

    def export_without_image(self, request: DeploymentRequest[AzureMlConfig], form: str) -> Exported:
        from deployer_targets.azureml.export import with_script

        return with_script(request)

    def image_repository(self, cloud: AzureMlCloud, container_name: str, *, create: bool) -> Any:
        """A registry of Azure's makes a repository by itself when something is pushed to it."""
        from deployer_targets.azureml import images

        return images.repository(cloud, container_name)

    def image_uses(self, cloud: AzureMlCloud) -> Iterator[tuple[str, str]]:
        from deployer_targets.azureml.listing import image_uses

        return image_uses(cloud)

    def make_packages(self, spec: DeploymentSpec[AzureMlConfig], cloud: AzureMlCloud, report: Report) -> None:
        from deployer_images.layers.planning import make
        from deployer_targets.azureml import images

        make(images.repository(cloud).on(spec.image.platform), spec.model, report, trimmed=trims(spec.record.packages))
