"""The Kubernetes target: the contract of `deployer.core.target`, kept by the modules beside this one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from deployer.core.accelerators import Accelerator
from deployer.core.compatibility import trims
from deployer.core.container import USER, Container, Mount
from deployer.core.plan import Plan
from deployer.core.selectors import Selector
from deployer.core.state import DeploymentName
from deployer.core.target import DeploymentRequest, DeploymentSpec, Diagnosis, Exported, LogLine, Payload, Summary, TargetUri
from deployer.core.traffic import Measured, Strategy
from deployer.errors import DeployerError
from deployer.events import Report
from deployer_targets.kubernetes import delivery, images, manifests, names
from deployer_targets.kubernetes import plan as planning
from deployer_targets.kubernetes.accelerators import accelerator
from deployer_targets.kubernetes.client import Cluster, Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.ledger import ConfigMapLedger, mark
from deployer_targets.kubernetes.observe import Seen, observe


class Kubernetes:
    """A Deployment a generation behind one Service: `kubernetes[:/CONTEXT[/NAMESPACE]]`."""

    scheme = "kubernetes"
    config = KubernetesConfig
    libraries = ("kubernetes.client", "kubernetes.config")

    def name_for(self, candidate: str) -> DeploymentName:
        return names.name_for(candidate)

    def check_name(self, name: str) -> DeploymentName:
        return names.check_name(name)

    def connect(self, uri: TargetUri, config: KubernetesConfig) -> Kube:
        return Kube(Cluster(uri.path), config)

    def defaults(self, uri: TargetUri, named: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        found = os.environ.get(images.VARIABLE)
        return ({"image_repository": found}, {"image_repository": images.VARIABLE}) if found else ({}, {})

    def where(self, cloud: Kube) -> str:
        return f"{cloud.connection.context}, namespace {cloud.namespace}"

    def settle(self, name: DeploymentName, cloud: Kube, report: Report, timeout_seconds: float) -> None:
        """The cluster does nothing to a name by itself that would have to be waited for."""

    def claim(self, name: DeploymentName, cloud: Kube, config: KubernetesConfig) -> Kube:
        held = cloud.holding(name, uuid.uuid4().hex)
        ledger = ConfigMapLedger(held, name)
        try:
            ledger.claim(held.run)
            mark(name, held)
        except KeyboardInterrupt:
            with suppress(DeployerError):  # whether it was written isn't known
                if not ledger.read():
                    ledger.release()
            raise
        return held

    def history(self, name: DeploymentName, cloud: Kube) -> str:
        return ConfigMapLedger(cloud, name).history()

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: Kube) -> None:
        ConfigMapLedger(cloud, name).keep_history(text, before)

    def adopt(self, name: DeploymentName, cloud: Kube) -> Kube:
        return cloud.adopting(name)

    def observe(self, name: DeploymentName, cloud: Kube) -> Seen | None:
        return observe(name, cloud, pointer=cloud.known("Service", name))  # as the run that holds the name wrote it

    def resolve(self, request: DeploymentRequest[KubernetesConfig], observed: Seen | None, cloud: Kube) -> DeploymentSpec[KubernetesConfig]:
        from deployer_targets.kubernetes.resolve import resolve

        return resolve(request, observed, cloud)

    def plan(self, spec: DeploymentSpec[KubernetesConfig], observed: Seen | None) -> Plan[Kube]:
        return planning.plan(spec, observed, self)

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        held = frozenset({"pause", "checks"})
        return {
            Strategy.ALL_AT_ONCE: frozenset({"allow_gap"}),
            Strategy.BLUE_GREEN: held,
            Strategy.CANARY: held | {"steps"},
            Strategy.ROLLING: frozenset({"batch", "pause"}),
        }

    def measure(self, name: DeploymentName, generation: str, cloud: Kube) -> Measured:
        from deployer_targets.kubernetes.metrics import measure

        return measure(name, generation, cloud)

    def plan_delete(self, name: DeploymentName, observed: Seen, config: KubernetesConfig) -> Plan[Kube]:
        return planning.plan_delete(name, observed)

    def plan_prune(self, name: DeploymentName, observed: Seen, config: KubernetesConfig) -> Plan[Kube]:
        return planning.plan_prune(name, observed, config)

    def container(self, spec: DeploymentSpec[KubernetesConfig]) -> Container:
        """The pod's container with the model mounted where its image would have it: not root's, nothing of it writable but /tmp."""
        return Container(
            image=spec.image.reference,
            command=("serve",),
            port=manifests.PORT,
            environment={**manifests.told(spec), **spec.config.env},
            mounts=(Mount(spec.model.directory, delivery.PATH),),
            user=str(USER),
            read_only_root=True,
            health=manifests.READY,
        )

    def selecting(self, selector: Selector, cloud: Kube) -> Kube:
        return replace(cloud, selector=selector.text)

    def everywhere(self, cloud: Kube) -> Kube:
        return replace(cloud, everywhere=True)

    def list(self, cloud: Kube) -> Iterator[Summary]:
        from deployer_targets.kubernetes.listing import summaries

        return summaries(cloud)

    def predict(self, name: DeploymentName, payload: Payload, cloud: Kube) -> Payload:
        from deployer_targets.kubernetes.invoke import predict

        return predict(name, payload, cloud)

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: Kube) -> Iterator[bytes]:
        from deployer_targets.kubernetes.invoke import predict_stream

        return predict_stream(name, payload, cloud)

    def logs(self, name: DeploymentName, cloud: Kube, *, follow: bool, tail: int) -> Iterator[LogLine]:
        from deployer_targets.kubernetes.logs import lines

        return lines(name, cloud, follow=follow, tail=tail)

    def doctor(self, cloud: Kube) -> Iterator[Diagnosis]:
        from deployer_targets.kubernetes.doctor import findings

        return findings(cloud)

    def trial(self, cloud: Kube) -> Iterator[Diagnosis]:
        from deployer_targets.kubernetes.pull_trial import findings

        return findings(cloud)

    def export_forms(self) -> tuple[str, ...]:
        return ("plain", "kustomize", "helm", "inference-service", *self.forms_of_no_model())

    def forms_of_no_model(self) -> tuple[str, ...]:
        return ("serving-runtime",)

    def export_of_no_model(self, config: KubernetesConfig, form: str, cloud: Kube) -> Exported:
        from deployer_targets.kubernetes import serving_runtimes

        return serving_runtimes.of_registry(cloud)

    def export(self, spec: DeploymentSpec[KubernetesConfig], form: str, cloud: Kube, report: Report) -> Exported:
        from deployer_targets.kubernetes.export import exported

        return exported(spec, form, cloud, report)

    def image_repository(self, cloud: Kube, container_name: str, *, create: bool) -> Any:
        return images.repository(cloud.config)

    def image_uses(self, cloud: Kube) -> Iterator[tuple[str, str]]:
        from deployer_targets.kubernetes.listing import image_uses

        return image_uses(cloud)

    def accelerator(self, config: KubernetesConfig) -> Accelerator | None:
        return accelerator(config)

    def make_packages(self, spec: DeploymentSpec[KubernetesConfig], cloud: Kube, report: Report) -> None:
        from deployer_images.layers.planning import make

        repository = cloud.learnt.get("repository") or images.repository(cloud.config)
        make(repository.on(spec.image.platform), spec.model, report, trimmed=trims(spec.record.packages), accelerator=accelerator(spec.config))
