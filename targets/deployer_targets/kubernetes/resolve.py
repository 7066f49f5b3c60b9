"""What the user left open, asked of the cluster and the registry: the image by digest, whether the environment changed, and what can't work."""

from __future__ import annotations

import base64
from functools import partial

from deployer.core.state import Record, Share
from deployer.core.target import DeploymentRequest, DeploymentSpec, environment_of, generation_of, record_of, secrets_of
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import attachments, delivery, image_volumes, images, manifests, names, taints, volumes
from deployer_targets.kubernetes.attaching import refuse_taken
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.drift import drift
from deployer_targets.kubernetes.images import registry_of
from deployer_targets.kubernetes.observe import Seen
from deployer_targets.kubernetes.pull_secrets import login

Ask = DeploymentRequest[KubernetesConfig]


def resolve(request: Ask, observed: Seen | None, cloud: Kube) -> DeploymentSpec[KubernetesConfig]:
    """The spec in full; changes nothing.

    Raises:
        ConfigInvalid: no repository or no image; a patch that doesn't fit; what the cluster lacks; an update that nobody waits for.
    """
    kept = partial(_kept_environment, cloud=cloud)
    environment = environment_of(request, observed, kept)
    config, told = taints.settled(request, request.config.model_copy(update={"env": environment}), observed.record if observed else None, cloud)
    image = images.image_for(request, observed, cloud)
    if config.grpc and image.packages is not None and not images.has_grpc(image):
        raise ConfigInvalid(
            f"grpc is on, and {image.reference} has no grpcio and protobuf",
            advice="deploy build-and-push-container -t kubernetes --with grpcio --with protobuf makes one that has; or the model requires them",
        )
    _refuse_without_a_way_out(request, config)
    delivery.check_source(config, request.model.facts)
    secrets = secrets_of(environment, observed, kept)
    generation = generation_of(request, image, config, secrets)
    resources = [names.deployment(request.name, generation), *([names.secret(request.name, generation)] if environment else ())]
    if delivery.filled(config):
        volumes.refuse(request, config)
        resources.append(names.volume(request.name, generation))
    record = record_of(request, image, config, resources, secrets=secrets)
    spec = DeploymentSpec(record, config, image, request.model.path, warnings=(*told, *delivery.warnings(config, request.model.facts)))
    _check_patches(spec)
    if config.pull_secret:
        login(registry_of(image))
    if delivery.mounted(config) and not request.exported:
        image_volumes.refuse_unknown(spec, cloud)
    for kind in attachments.kinds(config):
        cloud.connection.discovery.version(kind)
    if observed and observed.view and not config.force_conflicts:
        for each in attachments.attachments(request.name, config, observed.traffic):
            refuse_taken(each, drift(each, observed.view.attached.get(attachments.resource(each), each)))
    if not config.synchronous and observed and observed.traffic and observed.serving != generation:
        raise ConfigInvalid("the Service moves once the new pods are ready, so an update has to be waited for", advice="leave synchronous out")
    return spec


def _refuse_without_a_way_out(request: Ask, config: KubernetesConfig) -> None:
    if request.packages == "at-start" and config.asks_names_alone:
        raise ConfigInvalid(
            "--packages at-start installs packages when the container starts, and network_policy lets pods ask for names alone",
            advice="network_policy.egress names the index that they come from; --packages auto makes them into a layer of the image",
        )


def _kept_environment(record: Record, cloud: Kube) -> dict[str, str] | None:
    """The environment of a generation as its Secret keeps it, or None where that is gone."""
    if not record.secrets:
        return {}
    found = cloud.find("Secret", names.of_generation(record.deployment, record.generation))
    return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()} if found else None


def _check_patches(spec: DeploymentSpec[KubernetesConfig]) -> None:
    manifests.deployment(spec)
    manifests.service(spec.name, spec.generation, spec.config, {})
    manifests.secret(spec)
    attachments.attachments(spec.name, spec.config, (Share(spec.generation),))
