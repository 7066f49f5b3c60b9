"""What the user left open, asked of the cluster and the registry: the image by digest, whether the environment changed, and what can't work."""

from __future__ import annotations

import base64
from functools import partial

from deployer.core.state import Generation, Record
from deployer.core.target import DeploymentSpec, Intent, Request, record_of, secrets_of
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import images, manifests, names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen

Ask = Request[KubernetesConfig]


def resolve(request: Ask, observed: Seen | None, cloud: Kube) -> DeploymentSpec[KubernetesConfig]:
    """The spec in full; changes nothing.

    Raises:
        ConfigInvalid: no repository or no image; a patch that doesn't fit; an update that nobody waits for.
    """
    if request.packages == "at-start":
        raise ConfigInvalid(
            "--packages at-start installs packages when the container starts, and its root is read-only here",
            advice="--packages auto makes them into a layer of the image, once for all models with the same",
        )
    environment = dict(request.config.env)
    if request.intent is Intent.UPDATE and "env" not in request.named and observed and observed.record:
        environment = environment_of(observed.record, cloud) or {}
    config = request.config.model_copy(update={"env": environment})
    image = images.image_for(request, observed, cloud)
    secrets = secrets_of(environment, observed, partial(environment_of, cloud=cloud))
    generation = Generation(request.model.digest, image.digest, config.revision(secrets)).id
    resources = [names.deployment(request.name, generation), *([names.secret(request.name, generation)] if environment else ())]
    spec = DeploymentSpec(record_of(request, image, config, resources, secrets=secrets), config, image, request.model.path)
    _check_patches(spec)
    if not config.synchronous and observed and observed.traffic and observed.serving != generation:
        raise ConfigInvalid("the Service moves once the new pods are ready, so an update has to be waited for", advice="leave synchronous out")
    return spec


def environment_of(record: Record, cloud: Kube) -> dict[str, str] | None:
    """The environment of a generation as its Secret keeps it, or None where that is gone."""
    if not record.secrets:
        return {}
    found = cloud.find("Secret", names.of_generation(record.deployment, record.generation))
    return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()} if found else None


def _check_patches(spec: DeploymentSpec[KubernetesConfig]) -> None:
    manifests.deployment(spec)
    manifests.service(spec.name, spec.generation, spec.config, {})
    manifests.secret(spec)
