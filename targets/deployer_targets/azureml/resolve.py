"""What the user left open, asked of Azure and the registry: the image by digest, whether the environment changed, and what can't work."""

from __future__ import annotations

from functools import partial

from deployer.core.container import with_packages
from deployer.core.state import Record, Resource
from deployer.core.target import DeploymentRequest, DeploymentSpec, environment_of, generation_of, record_of, secrets_of
from deployer.core.traffic import Strategy
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import behind, cluster, collected, identities, images, names, network, online, plan, variables
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import MOST_MIRRORED, AzureMlConfig
from deployer_targets.azureml.view import Seen

MOST_DEPLOYMENTS = 20
"""Of one endpoint."""

Ask = DeploymentRequest[AzureMlConfig]


def resolve(request: Ask, observed: Seen | None, cloud: AzureMlCloud) -> DeploymentSpec[AzureMlConfig]:
    """The spec in full; changes nothing.

    Raises:
        ConfigInvalid: no image; what an endpoint can't change; a deployment that nobody waits for.
    """
    kept = partial(_kept_environment, observed=observed, cloud=cloud)
    environment = with_packages(environment_of(request, observed, kept), request.packages)
    config = request.config.model_copy(update={"env": environment})
    _refuse_what_cannot_be(request, config, observed, cloud)
    image = images.image_for(request, cloud)
    secrets = secrets_of(environment, observed, kept)
    generation = generation_of(request, image, config, secrets)
    # Made already, perhaps by another version of this tool: then its resources keep the names that they have.
    known = observed.records.get(generation) if observed else None
    called = names.deployment_of(generation)
    if request.endpoint:
        called = request.name
    elif config.in_place and observed and observed.record and observed.view and observed.serving in observed.view.deployments:
        called = observed.view.deployments[observed.record.generation].name
    resources = known.resources if known else plan.resources_of(request.name, request.model, image, called, request.endpoint)
    if known is None:
        resources = (*resources, *collected.resources(request.endpoint or request.name, called, config))
    if secrets and known is None and (request.endpoint or config.in_place):  # whose deployment another generation may have one day
        resources = (*resources, Resource(names.SECRET, secrets))
    record = record_of(request, image, config, resources, secrets=secrets)
    told = f"Azure updates deployment {called} in place: nothing is asked before it has traffic, and the way back is another update of it"
    warnings = () if request.endpoint or Resource(names.DEPLOYMENT, names.deployment_of(generation)) in resources else (told,)
    return DeploymentSpec(record, config, image, request.model.path, warnings=warnings)


def _refuse_what_cannot_be(request: Ask, config: AzureMlConfig, observed: Seen | None, cloud: AzureMlCloud) -> None:
    if wrong := config.misplaced():
        raise ConfigInvalid(wrong, advice="deploy help -t azureml says what each option takes")
    if config.compute == "aks":
        names.check_together(request.endpoint or request.name, request.name if request.endpoint else "")
        cluster.refuse_what_it_lacks(config, cloud)
    network.refuse_egress(config, cloud)
    if not config.synchronous:
        raise ConfigInvalid("traffic goes to a deployment once it is ready, so a deploy has to be waited for", advice="leave synchronous out")
    if (request.endpoint or config.in_place) and config.strategy is not Strategy.ALL_AT_ONCE:
        how = f"behind an endpoint Azure updates {request.name} in place" if request.endpoint else "with in_place Azure updates what serves"
        raise ConfigInvalid(
            f"{how}, and strategy {config.strategy} keeps two generations",
            advice="create another deployment behind it, and move the traffic: deploy update-endpoint" if request.endpoint else "leave in_place out",
        )
    if config.strategy is Strategy.SHADOW and config.compute != "managed":
        raise ConfigInvalid("Azure copies no requests with compute aks", advice="strategy canary gives the new generation some of the traffic")
    if config.course.mirror > MOST_MIRRORED:
        raise ConfigInvalid(
            f"mirror is {config.course.mirror}, and Azure copies at most {MOST_MIRRORED} percent", advice=f"-C mirror={MOST_MIRRORED}"
        )
    if config.in_place and observed and observed.candidate:
        raise ConfigInvalid(
            f"a rollout of {request.name} is under way, and with in_place Azure updates what serves",
            advice=f"deploy update -n {request.name} --promote or --abort ends it first",
        )
    if config.keep > MOST_DEPLOYMENTS - 2 and not config.archive and not request.endpoint:
        raise ConfigInvalid(
            f"keep is {config.keep}, and an endpoint has at most {MOST_DEPLOYMENTS} deployments, the one in service and the next among them",
            advice=f"keep at most {MOST_DEPLOYMENTS - 2}",
        )
    endpoint = observed.view.endpoint if observed and observed.view else None
    if request.endpoint and endpoint is None and not request.exported and (endpoint := online.endpoint(request.endpoint, cloud)) is None:
        raise behind.no_endpoint(request.endpoint)
    at = request.endpoint or request.name
    if endpoint is not None and endpoint.compute.lower() != cluster.compute_id(config, cloud).lower():
        raise ConfigInvalid(
            f"the endpoint {at} is {'on ' + endpoint.compute if endpoint.compute else 'managed'}, which Azure can't change",
            advice="name its compute, or deploy under another name",
        )
    if endpoint is not None and "identity" in request.named:
        identities.refuse_another(at, endpoint, config.identity)
    if endpoint is not None and "auth_mode" in request.named and endpoint.auth_mode != config.auth_mode:
        raise ConfigInvalid(
            f"the endpoint {at} has auth_mode {endpoint.auth_mode}, which Azure can't change to {config.auth_mode}",
            advice="leave it out, or deploy under another name",
        )


def _kept_environment(record: Record, observed: Seen | None, cloud: AzureMlCloud) -> dict[str, str] | None:
    """The environment of a generation as its Azure deployment has it, or as it was kept; None where it is gone."""
    if not record.secrets:
        return {}
    found = observed.view.deployments.get(record.generation) if observed and observed.view else None
    if found is None and names.keeps_variables(record):
        return variables.environment(record, cloud)
    return found.environment if found else None
