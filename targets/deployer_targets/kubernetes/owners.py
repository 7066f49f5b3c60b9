"""What somebody else has changed of what we applied, by the record of what serves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Digest, Image, Record, Resource
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import attachments, delivery, manifests, names
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.drift import Drift, Object, drift

_PENDING = (manifests.PENDING, delivery.PENDING)


def taken(
    name: DeploymentName,
    traffic: Traffic,
    records: Mapping[str, Record],
    deployments: Mapping[str, Object],
    attached: Mapping[Resource, Object],
) -> Iterator[tuple[str, str]]:
    """Each such field, with what it is and who has set it. What stands beside the pods is as the generation that came last asks for it."""
    for number, share in enumerate(traffic):
        record, found = records.get(share.generation), deployments.get(share.generation)
        yield from _told(names.of_generation(name, share.generation), "Deployment", _of_pods(record, found))
        with suppress(ValueError, ConfigInvalid):
            for manifest in attachments.attachments(name, _options(record), traffic) if record and number == len(traffic) - 1 else ():
                if there := attached.get(attachments.resource(manifest)):
                    yield from _told(manifest["metadata"]["name"], manifest["kind"], drift(manifest, there))


def drifted(traffic: Traffic, records: Mapping[str, Record], deployments: Mapping[str, Object]) -> frozenset[str]:
    """The generations in whose Deployment somebody else has set something."""
    return frozenset(each.generation for each in traffic if _of_pods(records.get(each.generation), deployments.get(each.generation)))


def _of_pods(record: Record | None, found: Object | None) -> tuple[Drift, ...]:
    """The drift of a generation's Deployment, but for the number of pods. Where the image isn't known from the record, another's word is needed."""
    if record is None or found is None:
        return ()
    try:
        wanted = manifests.deployment(DeploymentSpec(record, _options(record), Image(record.image, Digest("")), None))
    except (ValueError, ConfigInvalid):  # a record of another version's options
        return ()
    del wanted["spec"]["replicas"], wanted["spec"]["template"]["spec"]["affinity"]
    return tuple(each for each in drift(wanted, found) if each.by or each.wanted not in _PENDING)


def _options(record: Record) -> KubernetesConfig:
    return KubernetesConfig.model_validate(record.options)


def _told(name: str, kind: str, drifts: tuple[Drift, ...]) -> Iterator[tuple[str, str]]:
    for each in drifts:
        wanted = "" if each.wanted in _PENDING else f" instead of {each.wanted}"
        found = "not there" if each.found is None else each.found
        yield f"{kind} {name}: {each.field}", f"{found}{wanted}{f', by {each.by}' if each.by else ''}"
