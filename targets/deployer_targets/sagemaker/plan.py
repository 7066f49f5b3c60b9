"""From what is there to what is wanted. Pure: names are digests, so all of them are known here, and tests need no cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer.core import generations
from deployer.core.options import Takes
from deployer.core.plan import Plan, Step
from deployer.core.rollout import Shift, Traffic, Way, way
from deployer.core.state import DeploymentName, Image, PackagedModel, Record, Resource
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer.version import __version__
from deployer_targets.sagemaker import instances, names
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.destination import ModelDestination
from deployer_targets.sagemaker.guardrails import guardrails
from deployer_targets.sagemaker.live import ResumeScaling, SetInstanceCount, SetTags, SuspendScaling
from deployer_targets.sagemaker.names import CLAIM, CONFIG, DATA, ENDPOINT, HISTORY, MODEL, SCALING, Home
from deployer_targets.sagemaker.removal import DeleteEndpoint, DiscardFailed, DropScaling, ReleaseClaim, Remove, Sweep
from deployer_targets.sagemaker.steps import CreateEndpointConfig, CreateModel, PointEndpoint, UploadModel, WriteRecord
from deployer_targets.sagemaker.traffic import METER, GiveBack, SetShares
from deployer_targets.sagemaker.view import Seen, view_of
from deployer_targets.sagemaker.waiting import AwaitServing

Spec = DeploymentSpec[SageMakerConfig]
Steps = tuple[Step[Aws], ...]


def resources_of(home: Home, model: PackagedModel, image: Image, config: SageMakerConfig, secrets: str) -> tuple[Resource, ...]:
    """Data, model and config: each named by the digest of its own inputs. Counts, tags and guardrails are in no name: they change in place."""
    data = home.url(home.data(model.digest, config.model_data, config.kms_key))
    vpc, image_config = _cloud(config.vpc_config), _cloud(config.image_config)
    inputs = [image.reference, data, config.execution_role_arn, secrets, vpc, config.enable_network_isolation, image_config]
    made = names.content_name(home.deployment, MODEL, inputs)
    request = config_request(config, made)
    for variant in request["ProductionVariants"]:
        variant.pop("InitialInstanceCount", None)
    # What a generation's options say but no request holds is in the config's name all the same: one config, one generation.
    named = names.content_name(home.deployment, CONFIG, [request, config.revision(secrets)])
    return Resource(DATA, data), Resource(MODEL, made), Resource(CONFIG, named)


def config_request(config: SageMakerConfig, model: str) -> dict[str, Any]:
    """CreateEndpointConfig's parameters, name and tags apart."""
    serverless = config.serverless_config
    sized: dict[str, Any] = {
        "InstanceType": config.instance_type,
        "InitialInstanceCount": config.instance_count,
        "VolumeSizeInGB": config.volume_size_in_gb,
        "ModelDataDownloadTimeoutInSeconds": config.model_data_download_timeout,
        "ContainerStartupHealthCheckTimeoutInSeconds": config.container_startup_timeout,
        "InferenceAmiVersion": config.inference_ami_version,
        "RoutingConfig": _cloud(config.routing_config),
        "ManagedInstanceScaling": _cloud(config.managed_instance_scaling),
    }
    variant = {
        "VariantName": config.variant_name,
        "ModelName": model,
        "InitialVariantWeight": 1.0,
        **({"ServerlessConfig": _cloud(serverless)} if serverless else sized),
    }
    # An instance with a disk of its own takes no key for a volume.
    volume_key = config.kms_key if serverless is None and not instances.has_local_disk(config.instance_type) else None
    optional = {
        "KmsKeyId": volume_key,
        "DataCaptureConfig": _cloud(config.data_capture_config),
        "AsyncInferenceConfig": _cloud(config.async_inference_config),
    }
    return {
        "ProductionVariants": [{key: value for key, value in variant.items() if value is not None}],
        **{key: value for key, value in optional.items() if value is not None},
    }


def plan(spec: Spec, observed: Seen | None) -> Plan[Aws]:
    """The steps from what is there to what is wanted; empty where they are the same."""
    wanted = _Wanted.of(spec, observed)
    after = generations.succeeded(wanted.record, observed)
    keep = generations.stays(after, generations.depth(spec.config)) | _always(wanted.home)
    path = way(spec, observed, _shift(spec, wanted, observed), METER)
    leftovers = _removable(observed.resources - keep) if observed and path.ends else frozenset()
    whole = observed is not None and _in_service(observed, wanted)
    live = _live(spec, wanted, observed, whole)
    recorded = observed is not None and spec.generation in observed.records and observed.records[spec.generation].same(wanted.record)
    forward: Steps = _forward(spec, wanted, observed, path) if not whole else () if recorded else (WriteRecord(wanted.home, wanted.record),)
    waits = (whole or spec.config.synchronous) and path.ends
    return Plan(
        forward=forward,
        live=live if waits else (),
        back=(*path.back, *_back(spec, wanted, observed)),
        # Not waited for, the old generation must stay until the next run has seen the new one serve.
        sweep=(Sweep(spec.name, wanted.home, keep),) if waits and (forward or live or leftovers) else (),
        keep=keep,
        removes=leftovers,
        pauses_at=path.stops_at,
    )


def plan_delete(name: DeploymentName, observed: Seen, config: SageMakerConfig) -> Plan[Aws]:
    """The steps to nothing of ours left; with `archive` the endpoint alone goes."""
    home = Home(view_of(observed).bucket, name)
    endpoint = Resource(ENDPOINT, name)
    registration = view_of(observed).scaling
    out: Steps = (*((DropScaling(registration),) if registration else ()), DeleteEndpoint(name, config.timeout_seconds))
    if config.archive:
        there = endpoint in observed.resources
        return Plan(forward=out if there else (), keep=observed.resources - {endpoint}, removes=frozenset({endpoint}) & observed.resources)
    doomed = observed.resources - {endpoint, _claim(home)}
    return Plan(
        forward=(*out, Remove(name, home, doomed), Sweep(name, home, frozenset({_claim(home)})), ReleaseClaim(home)),
        removes=observed.resources,
    )


def plan_prune(name: DeploymentName, observed: Seen, config: SageMakerConfig) -> Plan[Aws]:
    """The steps that remove the generations past `keep` before the one in service."""
    home = Home(view_of(observed).bucket, name)
    removes = _removable(
        generations.prunable(observed, generations.depth(config)) - _always(home) - {Resource(CONFIG, view_of(observed).config or "")}
    )
    return Plan(forward=(Remove(name, home, removes),) if removes else (), keep=observed.resources - removes, removes=removes)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The names of what is wanted, and its record as it is to be."""

    home: Home
    record: Record
    data: str
    model: str
    config: str

    @classmethod
    def of(cls, spec: Spec, observed: Seen | None) -> _Wanted:
        """Names come from the record: where the generation was made by another version of this tool, as that one named them."""
        by_kind = {resource.kind: resource.name for resource in spec.record.resources}
        home = Home(spec.config.bucket or names.split_url(by_kind[DATA])[0], spec.name)
        return cls(home, generations.successor(spec.record, observed), by_kind[DATA], by_kind[MODEL], by_kind[CONFIG])


def _forward(spec: Spec, wanted: _Wanted, observed: Seen | None, path: Way[Aws]) -> Steps:
    config, name, tags = spec.config, spec.name, _tags(spec, wanted)
    failed = _failed(observed)
    there = observed.resources if observed else frozenset()

    def whole(there: frozenset[Resource]) -> Steps:
        record = WriteRecord(wanted.home, wanted.record, Resource(names.RECORD, wanted.record.generation) not in there)
        if spec.made:
            return (record,)
        return (
            record,
            UploadModel(
                ModelDestination(wanted.home, names.split_url(wanted.data)[1], spec.model.digest, config.kms_key),
                spec.model.path,
                spec.model.facts.size,
                Resource(DATA, wanted.data) not in there,
            ),
            CreateModel(
                name,
                wanted.model,
                image=spec.image.reference,
                data=wanted.data,
                role=config.execution_role_arn or "",
                environment=config.env,
                vpc=_cloud(config.vpc_config),
                isolated=config.enable_network_isolation,
                image_config=_cloud(config.image_config),
                tags=tags,
                new=Resource(MODEL, wanted.model) not in there,
            ),
            CreateEndpointConfig(name, wanted.config, config_request(config, wanted.model), tags, Resource(CONFIG, wanted.config) not in there),
        )

    first, again = whole(there), whole(frozenset((*wanted.record.resources, Resource(names.RECORD, wanted.record.generation))))
    before = (DiscardFailed(name, failed, config.timeout_seconds),) if failed else ()
    put_aside = _suspended(config, wanted.home, observed)
    if not config.synchronous:
        return (*before, *first, *put_aside, *path.steps)
    return (*before, *first, *put_aside, *path.steps[: path.first], *again, *path.steps[path.first :])


def _failed(observed: Seen | None) -> str | None:
    """The config of an endpoint that never came to serve, which can only be deleted."""
    return view_of(observed).config if observed is not None and not observed.traffic and observed.incoming is None else None


def _tags(spec: Spec, wanted: _Wanted) -> dict[str, str]:
    return {**spec.config.tags, **names.own_tags(spec.name, wanted.home.bucket, __version__)}


def _shift(spec: Spec, wanted: _Wanted, observed: Seen | None) -> Shift[Aws]:
    """All of the traffic by the endpoint's config; shares by a config with both generations, and the weights of its variants."""
    config, name, tags, timeout = spec.config, spec.name, _tags(spec, wanted), spec.config.timeout_seconds
    retain = _retains(config, observed)
    seen = None if _failed(observed) else view_of(observed).config

    def shift(to: Traffic, now: Traffic, *, back: bool = False) -> Steps:
        split = names.split_config(name, now[0].generation, spec.generation) if now else ""
        if back:
            return (GiveBack(name, _config_of(to[0].generation, observed), split, retain, timeout),)
        at = seen if observed is None or now == observed.traffic else split
        if len(to) == 1:
            steps: Steps = (PointEndpoint(name, wanted.config, at, retain, guardrails(config.asked), tags),)
            served = observed.serving if observed else None
            return (*steps, AwaitServing(name, wanted.config, served, timeout)) if config.synchronous else steps
        request, weights = _shared(spec, wanted, observed, to)
        if at == split:
            return (SetShares(name, split, weights, timeout),)
        steps = (CreateEndpointConfig(name, split, request, tags), PointEndpoint(name, split, at, tags=tags))
        return (
            (*steps, AwaitServing(name, split, now[0].generation, timeout), SetShares(name, split, weights, timeout)) if config.synchronous else steps
        )

    return shift


def _shared(spec: Spec, wanted: _Wanted, observed: Seen | None, to: Traffic) -> tuple[dict[str, Any], tuple[tuple[str, int], ...]]:
    """The request of a config with both generations, each as large as one is now; and the weights of its variants."""
    before = observed.records.get(to[0].generation) if observed else None
    if before is None:
        raise ConfigInvalid(
            f"{spec.name} runs on what this tool didn't make: it can't share the endpoint with {spec.generation}",
            advice="update it once with strategy=all_at_once; from then on all strategies work",
        )
    count = view_of(observed).count
    old = SageMakerConfig.parse(before.options, target="sagemaker")
    request = config_request(spec.config, wanted.model)
    model = next(resource.name for resource in before.resources if resource.kind == MODEL)
    variants = [config_request(old, model)["ProductionVariants"][0], {**request["ProductionVariants"][0], "VariantName": spec.generation}]
    for variant, share in zip(variants, to, strict=True):
        variant["InitialVariantWeight"] = float(share.percent)
        if "InitialInstanceCount" in variant:
            variant["InitialInstanceCount"] = count or variant["InitialInstanceCount"]
    weights = tuple((variant["VariantName"], share.percent) for variant, share in zip(variants, to, strict=True))
    return {**request, "ProductionVariants": variants}, weights


def _config_of(generation: str, observed: Seen | None) -> str:
    """The config of a generation alone; one that has no record is called by it."""
    record = observed.records.get(generation) if observed else None
    return next((resource.name for resource in record.resources if resource.kind == CONFIG), generation) if record else generation


def _back(spec: Spec, wanted: _Wanted, observed: Seen | None) -> Steps:
    """SageMaker gives the traffic back itself; what goes is what only the new generation uses. A record that was there gets its old text again."""
    earlier = observed.records.get(wanted.record.generation) if observed else None
    before, serving = generations.given_back(wanted.record, observed), observed.serving if observed else None
    shares = bool(serving and serving != spec.generation)
    split = frozenset({Resource(CONFIG, names.split_config(spec.name, serving or "", spec.generation))} if shares else ())
    uploads = frozenset(each for each in observed.resources if each.kind == names.UPLOAD) if observed else frozenset()
    history = frozenset({_history(wanted.home)})
    nothing = generations.alone(wanted.record, observed, _always(wanted.home) | uploads)
    view = view_of(observed)
    registration = view.scaling or view.saved_scaling
    old = observed.record.options.get("variant_name") if observed and observed.record else None
    return (
        DiscardFailed(spec.name, wanted.config, spec.config.timeout_seconds),
        *((WriteRecord(wanted.home, earlier),) if earlier else ()),
        Remove(spec.name, wanted.home, generations.undone(wanted.record, before) | split | (history if nothing else frozenset())),
        *(
            (ResumeScaling(wanted.home, registration, str(old or spec.config.variant_name)),)
            if registration and observed and observed.traffic
            else ()
        ),
        *((ReleaseClaim(wanted.home),) if nothing else ()),
    )


def _live(spec: Spec, wanted: _Wanted, observed: Seen | None, whole: bool) -> Steps:
    config, before = spec.config, _before(wanted, observed)
    steps: list[Step[Aws]] = []
    tags = {**config.tags, names.TAG_DEPLOYMENT: spec.name, names.TAG_BUCKET: wanted.home.bucket}
    view = view_of(observed)
    unwanted = frozenset((observed.record.options.get("tags") or {}) if observed and observed.record else ()) - set(tags)
    # A first endpoint is made with its tags; models and configs that stand already get the new ones here.
    if observed is not None and observed.traffic and (not tags.items() <= view.tags.items() or unwanted & set(view.tags)):
        steps.append(SetTags(spec.name, wanted.home, (wanted.model,), (wanted.config,), tags, unwanted, before))
    registration = view.saved_scaling or view.scaling
    resumes = bool(view.saved_scaling or _suspended(config, wanted.home, observed))
    if config.counted and registration is None and _count_now(config, wanted, observed, whole) != config.instance_count:
        steps.append(SetInstanceCount(spec.name, wanted.home, config.variant_name, config.instance_count, before, config.timeout_seconds))
    if resumes and registration is not None:
        steps.append(ResumeScaling(wanted.home, registration, config.variant_name if config.serverless_config is None else None))
    return tuple(steps)


def _count_now(config: SageMakerConfig, wanted: _Wanted, observed: Seen | None, whole: bool) -> int | None:
    """The number of instances once the wanted config serves, before it is changed; None where a config made earlier says it."""
    if observed is not None and (whole or _retains(config, observed)):
        return view_of(observed).count
    made_earlier = observed is not None and Resource(CONFIG, wanted.config) in observed.resources
    return None if made_earlier else config.instance_count


def _suspended(config: SageMakerConfig, home: Home, observed: Seen | None) -> Steps:
    """AWS refuses another instance type, and another variant, while autoscaling is registered."""
    registration = view_of(observed).scaling
    if observed is None or registration is None:
        return ()
    before = observed.record.options if observed.record else {}
    unchanged = (
        before.get("instance_type") == config.instance_type
        and before.get("variant_name") == config.variant_name
        and not before.get("serverless_config")
        and config.serverless_config is None
    )
    return () if unchanged else (SuspendScaling(home, registration, config.kms_key),)


def _retains(config: SageMakerConfig, observed: Seen | None) -> bool:
    """Whether the counts that the endpoint has now stay over the update: a config's own count is that of the day it was made."""
    before = observed.record.options if observed and observed.record else None
    if before is None or not config.counted or before.get("serverless_config"):
        return False
    scaling = before.get("managed_instance_scaling") or {}
    return before.get("variant_name") == config.variant_name and scaling.get("status") != "ENABLED"


def _in_service(observed: Seen, wanted: _Wanted) -> bool:
    """Whether the wanted config serves, alone, and all that it stands on is there."""
    return (
        bool(observed.traffic)
        and observed.incoming is None
        and view_of(observed).config == wanted.config
        and observed.resources.issuperset(wanted.record.resources)
    )


def _before(wanted: _Wanted, observed: Seen | None) -> Record | None:
    return generations.as_before(wanted.record, observed, SageMakerConfig.taken(Takes.LIVE))


def _removable(resources: frozenset[Resource]) -> frozenset[Resource]:
    """Without what callers of an async endpoint sent: it goes with the deployment alone."""
    return frozenset(each for each in resources if each.kind != names.REQUEST)


def _always(home: Home) -> frozenset[Resource]:
    return frozenset({Resource(ENDPOINT, home.deployment), _claim(home), _history(home), Resource(SCALING, home.url(home.scaling))})


def _history(home: Home) -> Resource:
    return Resource(HISTORY, home.url(home.history))


def _claim(home: Home) -> Resource:
    return Resource(CLAIM, home.url(home.claim))


def _cloud(shape: Any) -> dict[str, Any] | None:
    return None if shape is None else shape.to_cloud()
