"""Specs and observations to plan with: data alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Digest, Image, ModelFacts, Observed, PackagedModel, Resource, Share, Status, digest_of
from deployer.core.target import DeploymentRequest, DeploymentSpec, Intent, record_of
from deployer_targets.kubernetes import attachments, delivery, names
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen, View

NAME = DeploymentName("churn")
REPOSITORY = "registry.example/scoring"


def spec(
    model: str = "one", *, secrets: str = "", platform: str = "linux/amd64", packages: str = "auto", uri: str = "", **options: Any
) -> DeploymentSpec[KubernetesConfig]:
    config = KubernetesConfig.parse(options, target="kubernetes")
    digest = Digest(digest_of("image"))
    image = Image(f"{REPOSITORY}@{digest}", digest, platform=platform, runtime="1")
    wanted = PackagedModel(ModelFacts(uri=uri or f"models:/churn/{model}", digest=digest_of(model)))
    request: DeploymentRequest[KubernetesConfig] = DeploymentRequest(NAME, Intent.APPLY, wanted, config, packages=packages)
    record = record_of(request, image, config, [], secrets=secrets)
    made = [names.deployment(NAME, record.generation), *([names.secret(NAME, record.generation)] if config.env else [])]
    made += [names.volume(NAME, record.generation)] if delivery.filled(config) else []
    return DeploymentSpec(record_of(request, image, config, made, secrets=secrets), config, image, None)


def serving(
    *specs: DeploymentSpec[KubernetesConfig],
    traffic: Traffic = (),
    counts: Mapping[str, int] | None = None,
    owned: int | None = None,
    pods: int | None = None,
    drifted: bool = False,
) -> Seen:
    """What is there after these were deployed, one after the other."""
    records, before = {}, None
    for each in specs:
        records[each.generation] = each.record.replacing(before)
        before = each.generation
    assert before is not None
    resources = {resource for each in records.values() for resource in (Resource(names.RECORD, each.generation), *each.resources)}
    shares = traffic or (Share(before),)
    attached = {attachments.resource(each): each for each in attachments.attachments(NAME, specs[-1].config, shares)}
    found = {share.generation: specs[-1].config.replicas for share in shares} if counts is None else counts
    return Observed(
        NAME,
        Status.READY,
        shares,
        records=records,
        resources=frozenset({*resources, *attached, *names.beside(NAME), names.service(NAME)}),
        view=View(found, owned, pods, attached, drifted=frozenset(found if drifted else ())),
    )
