"""What the user left open of a container group, and what can't work."""

from __future__ import annotations

from functools import partial

from deployer.core.container import with_packages
from deployer.core.state import Resource
from deployer.core.target import DeploymentRequest, DeploymentSpec, environment_of, generation_of, record_of, secrets_of
from deployer.core.traffic import Strategy
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import images, names, variables
from deployer_targets.azureml.aci.images import login, refuse_too_large
from deployer_targets.azureml.aci.observe import Seen
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.export import refuse_group


def resolve(request: DeploymentRequest[AzureMlConfig], observed: Seen | None, cloud: AzureMlCloud) -> DeploymentSpec[AzureMlConfig]:
    """The spec in full; changes nothing.

    Raises:
        ConfigInvalid: no image; what a container group can't be.
    """
    kept = partial(variables.environment, cloud=cloud)
    environment = with_packages(environment_of(request, observed, kept), request.packages)
    config = request.config.model_copy(update={"env": environment})
    _refuse_what_cannot_be(request, config)
    image = images.image_for(request, cloud)
    login(image.reference, config, cloud)
    refuse_too_large(image, request.model, cloud)
    secrets = secrets_of(environment, observed, kept)
    resources = [Resource(names.SECRET, secrets)] if secrets else []
    generation = generation_of(request, image, config, secrets)
    known = observed.records.get(generation) if observed else None
    record = record_of(request, image, config, known.resources if known else resources, secrets=secrets)
    return DeploymentSpec(record, config, image, request.model.path)


def _refuse_what_cannot_be(request: DeploymentRequest[AzureMlConfig], config: AzureMlConfig) -> None:
    if wrong := config.misplaced():
        raise ConfigInvalid(wrong, advice="deploy help -t azureml says what each option takes")
    if request.exported:
        refuse_group(config)
    if request.endpoint:
        raise ConfigInvalid("compute aci has no endpoints: a container group is one deployment", advice="leave --endpoint out")
    if config.strategy is not Strategy.ALL_AT_ONCE:
        raise ConfigInvalid(
            f"compute aci has one container group, which Azure changes in place: strategy {config.strategy} needs two",
            advice="compute managed has it",
        )
    if not config.synchronous:
        raise ConfigInvalid(
            "what a container group serves is known once it is ready, so a deploy has to be waited for", advice="leave synchronous out"
        )
    if "--" in request.name:
        raise ConfigInvalid(f"{request.name} can't name a container group: no two hyphens follow each other", advice="choose another name")
    if "DEPLOYER_API_KEYS" in config.env:
        raise ConfigInvalid("DEPLOYER_API_KEYS is set by the target: two keys of its own", advice="leave it out of env")
