"""How many instances of a type the account may run in a region, as the settings have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.sagemaker.store import DeployedConfig, RegionStore, Variant
from deployer_localstack.aws.settings import AwsSettings


def refuse_over_quota(shelf: RegionStore, settings: AwsSettings, wanted: Iterable[Variant]) -> None:
    """Raise ResourceLimitExceeded where what runs and what is wanted are more together: an update needs both fleets at once."""
    delta = _instances(wanted)
    used: Counter[str] = Counter()
    for endpoint in shelf.endpoints.values():
        for deployment in (endpoint.current, endpoint.pending):
            used += _instances(deployment_variants(deployment))
    for instance_type, count in delta.items():
        limit = settings.quotas.get(instance_type)
        if limit is not None and used[instance_type] + count > limit:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{instance_type} for endpoint usage' is {limit} Instances, with current utilization of "
                f"{used[instance_type]} Instances and a request delta of {count} Instances. Please use AWS Service Quotas to request an "
                "increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
            )


def deployment_variants(deployment: DeployedConfig | None) -> list[Variant]:
    return [*deployment.variants, *deployment.shadows] if deployment else []


def _instances(variants: Iterable[Variant]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for variant in variants:
        if variant.instance_type:
            counted[variant.instance_type] += variant.count or 0
    return counted
