"""The one seam to moto: the application that answers everything we don't, and what we read and write in its backends."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import moto.backends
from moto.iam.models import get_account_id_from
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from deployer_localstack.aws.account import ACCOUNT, DEFAULT_REGION, ROLE_NAME, AccountRegion
from deployer_localstack.aws.cloudwatch import backend as cloudwatch
from deployer_localstack.aws.cloudwatch.series import AllSeries

# Services are looked up by names that moto's own types only know one by one.
get_backend: Any = moto.backends.get_backend

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in S3; `read` gives all of it."""

    key: str
    size: int
    _key: Any

    def read(self) -> bytes:
        return bytes(self._key.value)

    def pieces(self, size: int = 1024 * 1024) -> Iterator[bytes]:
        """The content without a second copy of all of it in memory."""
        offset = 0
        while True:
            # moto's lock guards the position of the buffer that all readers share.
            with self._key.lock:
                self._key._value_buffer.seek(offset)
                piece = self._key._value_buffer.read(size)
            if not piece:
                return
            offset += len(piece)
            yield piece


def application() -> Any:
    """moto's WSGI application for all services, CloudWatch's metrics our own."""
    cloudwatch.install()
    return DomainDispatcherApplication(_application_of)


def _application_of(service: Any) -> Any:
    if service is None:
        raise NotImplementedError("there is no such service")
    if service == "moto_api":
        raise NotImplementedError("moto's own controls; ours are below /_deployer/")
    return create_backend_app(service)


def account_of(access_key: str) -> str:
    """The account that a key id belongs to: the local cloud's own unless STS or IAM gave it out for another."""
    return str(get_account_id_from(access_key)) if access_key else ACCOUNT


def reset() -> None:
    """Forget everything that moto knows, and make the default role again."""
    moto_api_backend.reset()
    create_default_role()


def create_default_role() -> None:
    """The role arn:aws:iam::123456789012:role/deployer-sagemaker, which SageMaker may assume."""
    iam = get_backend("iam")[ACCOUNT]["aws"]
    if not any(role.name == ROLE_NAME for role in iam.get_roles()):
        iam.create_role(ROLE_NAME, json.dumps(_TRUST), "/", None, "SageMaker's, for what is deployed to the local cloud", [], "3600")


def role_trusts(role_arn: str, service: str) -> bool:
    """Whether the role exists and lets the service assume it."""
    role = _role(role_arn)
    return role is not None and any(
        service in _listed(statement.get("Principal", {}).get("Service"))
        for statement in _assume_statements(role)
        if isinstance(statement.get("Principal"), dict)
    )


def assume_role_refusal(role_arn: str, account: str, external_id: str | None) -> str | None:
    """Why an account may not assume a role; None where it may. The role must trust the account, with its external id if it wants one."""
    role = _role(role_arn)
    caller = f"arn:aws:iam::{account}:root"
    refusal = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    if role is None:
        return refusal
    for statement in _assume_statements(role):
        principal = statement.get("Principal", {})
        trusted = ["*"] if principal == "*" else _listed(principal.get("AWS")) if isinstance(principal, dict) else []
        if not any(each in {"*", account} or each.startswith(f"arn:aws:iam::{account}:") for each in trusted):
            continue
        wanted = [
            value
            for operator, conditions in statement.get("Condition", {}).items()
            if operator.startswith("String")
            for name, value in conditions.items()
            if name.lower() == "sts:externalid"
        ]
        if all(any(fnmatchcase(external_id or "", each) for each in _listed(value)) for value in wanted):
            return None
    return refusal


def _role(role_arn: str) -> Any:
    partition, account = role_arn.split(":")[1], role_arn.split(":")[4]
    return next((role for role in get_backend("iam")[account][partition].get_roles() if role.arn == role_arn), None)


def _assume_statements(role: Any) -> list[dict[str, Any]]:
    document = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    return [
        statement
        for statement in (statements if isinstance(statements, list) else [statements])
        if statement.get("Effect") == "Allow" and "sts:AssumeRole" in _listed(statement.get("Action"))
    ]


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def session_expired(access_key: str) -> bool:
    """Whether the key belongs to an assumed role whose time is over."""
    if not access_key.startswith("ASIA"):
        return False
    for by_partition in list(get_backend("sts").values()):
        for backend in list(by_partition.values()):
            for role in list(backend.assumed_roles):
                if role.access_key_id == access_key:
                    return bool(role.expiration <= _now_like(role.expiration))
    return False


def _now_like(moment: datetime) -> datetime:
    now = datetime.now(UTC)
    return now if moment.tzinfo else now.replace(tzinfo=None)


def _s3(place: AccountRegion) -> Any:
    return get_backend("s3")[place.account][place.partition]


def bucket_region(place: AccountRegion, bucket: str) -> str | None:
    """Where the bucket is; None where there's none of this name."""
    found = _bucket(place, bucket)
    return None if found is None else str(found.region_name)


def _bucket(place: AccountRegion, bucket: str) -> Any:
    try:
        return _s3(place).get_bucket(bucket)
    except Exception:
        return None


def stored_object(place: AccountRegion, bucket: str, key: str) -> StoredObject | None:
    found = None if _bucket(place, bucket) is None else _s3(place).get_object(bucket, key)
    return None if found is None else StoredObject(key, int(found.contentsize), found)


def stored_objects(place: AccountRegion, bucket: str, prefix: str) -> list[StoredObject]:
    """All objects below a prefix, in the order of their keys."""
    found = _bucket(place, bucket)
    keys = [] if found is None else sorted(key for key in found.keys if key.startswith(prefix))
    return [each for key in keys if (each := stored_object(place, bucket, key)) is not None]


def store_object(place: AccountRegion, bucket: str, key: str, content: bytes) -> None:
    _s3(place).put_object(bucket, key, content)


def write_log(place: AccountRegion, group: str, stream: str, lines: list[str]) -> None:
    """Append lines to a CloudWatch log stream, which is made where it isn't there."""
    backend = get_backend("logs")[place.account][place.region]
    backend.ensure_log_group(group)
    backend.ensure_log_stream(group, stream)
    now = int(time.time() * 1000)
    backend.put_log_events(group, stream, [{"timestamp": now, "message": line} for line in lines])


def scalable_variants(place: AccountRegion, endpoint: str) -> Mapping[str, Any]:
    """The variants of an endpoint that application autoscaling owns, by name."""
    backend = get_backend("application-autoscaling")[place.account][place.region]
    prefix = f"endpoint/{endpoint}/variant/"
    targets = backend.describe_scalable_targets("sagemaker", None, "sagemaker:variant:DesiredInstanceCount")
    return {each.resource_id.removeprefix(prefix): each for each in targets if each.resource_id.startswith(prefix)}


def deregister_variants(place: AccountRegion, endpoint: str) -> None:
    """Take an endpoint's variants, which go, from application autoscaling, with their policies."""
    backend = get_backend("application-autoscaling")[place.account][place.region]
    for target in scalable_variants(place, endpoint).values():
        backend.deregister_scalable_target("sagemaker", target.resource_id, target.scalable_dimension)
    drop_policies_without_target(place)


def drop_policies_without_target(place: AccountRegion) -> None:
    """moto keeps the policies of a target that was deregistered."""
    backend = get_backend("application-autoscaling")[place.account][place.region]
    there = {(each.scalable_dimension, each.resource_id) for each in backend._flatten_scalable_targets("sagemaker")}
    for key, policy in list(backend.policies.items()):
        if policy.service_namespace == "sagemaker" and (policy.scalable_dimension, policy.resource_id) not in there:
            policy.delete_alarms(place.account, place.region)
            del backend.policies[key]


def metrics(place: AccountRegion) -> AllSeries:
    """CloudWatch's metrics of a place."""
    return cloudwatch.series_of(get_backend("cloudwatch")[place.account][place.region])


def alarms_on(place: AccountRegion, alarms: Sequence[str], time_scale: float) -> list[str]:
    """Those of the CloudWatch alarms of these names that are in ALARM now."""
    backend = get_backend("cloudwatch")[place.account][place.region]
    cloudwatch.evaluate(backend, alarms, time_scale)
    return [name for name in alarms if name in backend.alarms and backend.alarms[name].state_value == "ALARM"]


def evaluate_alarms(place: AccountRegion, time_scale: float) -> None:
    """Bring the states of all alarms of a place up to now."""
    backend = get_backend("cloudwatch")[place.account][place.region]
    cloudwatch.evaluate(backend, list(backend.alarms), time_scale)


def repository(account: str, region: str, name: str) -> Any:
    """moto's record of an ECR repository, or None."""
    return get_backend("ecr")[account][region].repositories.get(name)


def default_place() -> AccountRegion:
    return AccountRegion(ACCOUNT, DEFAULT_REGION)


def create_role(arn: str, trust: Any = None) -> None:
    """A role in whatever account the ARN names; without a trust policy the local cloud's own account may assume it."""
    _, partition, _, _, account, name = arn.split(":", 5)
    path, _, last = name.removeprefix("role").rpartition("/")
    allowed = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    policy = trust or {"Version": "2012-10-17", "Statement": [allowed]}
    get_backend("iam")[account][partition].create_role(last, json.dumps(policy), f"{path}/", None, "", [], "3600")


def holds() -> dict[str, int]:
    """How much moto has, of what a user would miss."""
    buckets = [bucket for backend in _loaded("s3") for bucket in list(backend.buckets.values())]
    return {
        "buckets": len(buckets),
        "objects": sum(len(list(bucket.keys)) for bucket in buckets),
        "repositories": sum(len(backend.repositories) for backend in _loaded("ecr")),
    }


def warm() -> None:
    """Load the services that nearly everybody uses, so that the first call of each doesn't wait for it."""
    for service in ("s3", "ecr", "sts", "logs", "application-autoscaling", "cloudwatch"):
        get_backend(service)


def _loaded(service: str) -> list[Any]:
    """The backends of a service that was used; a service that wasn't isn't loaded just to be counted."""
    if f"moto.{service}.models" not in sys.modules:
        return []
    return [backend for each in list(get_backend(service).values()) for backend in list(each.values())]
