"""Specs and observations to plan with: data alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.core.options import TargetConfig
from deployer.core.state import (
    DeploymentName,
    Digest,
    Generation,
    Image,
    ModelFacts,
    Observed,
    PackagedModel,
    Record,
    Resource,
    Share,
    Status,
    digest_of,
)
from deployer.core.target import DeploymentRequest, DeploymentSpec, Intent, record_of
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.plan import resources_of
from deployer_targets.sagemaker.view import Seen, View

NAME = DeploymentName("churn")
BUCKET = "sagemaker-us-west-2-123456789012"
HOME = Home(BUCKET, NAME)
ROLE = "arn:aws:iam::123456789012:role/sagemaker"


def model(text: str = "one") -> PackagedModel:
    return PackagedModel(ModelFacts(uri=f"models:/churn/{text}", digest=digest_of(text), size=1000))


def image(text: str = "image") -> Image:
    digest = Digest(digest_of(text))
    return Image(f"123456789012.dkr.ecr.us-west-2.amazonaws.com/deployer-scoring@{digest}", digest)


def config(**options: Any) -> SageMakerConfig:
    return SageMakerConfig.parse({"execution_role_arn": ROLE, "bucket": BUCKET, **options}, target="sagemaker")


def spec(of: str = "one", *, secrets: str = "", in_image: str = "image", name: str = NAME, **options: Any) -> DeploymentSpec[SageMakerConfig]:
    wanted, made_of, runs = config(**options), model(of), image(in_image)
    request: DeploymentRequest[SageMakerConfig] = DeploymentRequest(DeploymentName(name), Intent.APPLY, made_of, wanted)
    resources = resources_of(Home(BUCKET, name), made_of, runs, wanted, secrets)
    record = record_of(request, runs, wanted, resources, secrets=secrets)
    return DeploymentSpec(record, wanted, runs, made_of.path)


def config_of(record: Record) -> str:
    return next(resource.name for resource in record.resources if resource.kind == names.CONFIG)


def serving(current: DeploymentSpec[SageMakerConfig], *before: Record, **changes: Any) -> Seen:
    """In service, whole, with the records of `before` beside it, each replaced by the one before it in the list."""
    records, successor = {current.record.generation: current.record}, current.record
    for each in before:
        records[successor.generation] = replace(successor, replaces=each.generation)
        records[each.generation] = each
        successor = each
    resources = {resource for record in records.values() for resource in (*record.resources, Resource(names.RECORD, record.generation))}
    view = View(
        **{
            "bucket": BUCKET,
            "config": config_of(current.record),
            "count": current.config.instance_count,
            "tags": {names.TAG_DEPLOYMENT: NAME, names.TAG_BUCKET: BUCKET, **current.config.tags},
            **changes.pop("view", {}),
        }
    )
    return Observed(
        name=NAME,
        status=Status.READY,
        traffic=(Share(current.record.generation),),
        records=records,
        resources=frozenset(resources | {Resource(names.ENDPOINT, NAME), Resource(names.CLAIM, HOME.url(HOME.claim))})
        | changes.pop("more", frozenset()),
        view=view,
        **changes,
    )


def generation(of: TargetConfig, made_of: PackagedModel, runs: Image) -> str:
    return Generation(made_of.digest, runs.digest, of.revision()).id
