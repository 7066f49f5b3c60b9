"""What a deployment says once holds for every later run that doesn't say it: its key encrypts all that is ever written for it, in its own bucket."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployer.errors import RolloutFailed
from tests.e2e.sagemaker.cloud import AwsHere
from tests.e2e.sagemaker.conftest import Models, User
from tests.local_clouds import QUESTION


@pytest.fixture
def bucket(here: AwsHere) -> Iterator[str]:
    """A bucket of the deployment's own that forgets nothing."""
    name, s3 = f"sagemaker-own-{uuid.uuid4().hex[:8]}", here.boto("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield name
    for each in _all_ever(s3, name, "Versions") + _all_ever(s3, name, "DeleteMarkers"):
        s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=name)


def _all_ever(s3: Any, bucket: str, kind: str) -> list[Any]:
    return list(s3.list_object_versions(Bucket=bucket).get(kind, ()))


def _by_key(here: AwsHere, bucket: str) -> dict[str, set[str | None]]:
    """The keys by which each object that was ever written is encrypted, by what it is for."""
    s3, found = here.boto("s3"), dict[str, set[str | None]]()
    for each in (each for each in _all_ever(s3, bucket, "Versions") if each["Key"].startswith("deployer/")):
        head = s3.head_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        found.setdefault(each["Key"].split("/")[2], set()).add(head.get("SSEKMSKeyId"))
    return found


def _life(user: User, here: AwsHere, models: Models, name: str, answers: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """One deployment's later runs, none of which names the key or the bucket."""
    client, scaling = user.client(), here.boto("application-autoscaling")
    where = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{name}/variant/AllTraffic"}

    def scaled() -> None:
        scaling.register_scalable_target(**where, ScalableDimension="sagemaker:variant:DesiredInstanceCount", MinCapacity=1, MaxCapacity=2)
        client.update_deployment(name, config={"instance_type": "ml.c5.xlarge"})

    def broken() -> None:
        with pytest.raises(RolloutFailed):
            client.update_deployment(name, models.broken, packages="image")

    yield "another option", lambda: client.update_deployment(name, config={"instance_type": "ml.c5.large"})
    yield "an option that changes in place", lambda: client.update_deployment(name, config={"instance_count": 2})
    yield "another model", lambda: client.update_deployment(name, models.tripler)
    yield "a model that can't serve", broken
    yield "autoscaling, put aside", scaled
    yield "generations removed", lambda: client.prune(name, config={"keep": 0})
    yield (
        "a request that waits",
        lambda: client.update_deployment(name, config={"async_inference_config": {"OutputConfig": {"S3OutputPath": answers}}}),
    )
    yield "its answer", lambda: client.query(name, QUESTION)
    yield "the end", lambda: client.delete_deployment(name)


def test_every_later_run_encrypts_by_the_deployments_key(user: User, here: AwsHere, models: Models, bucket: str) -> None:
    name, key = user.name(), here.boto("kms").create_key()["KeyMetadata"]["Arn"]
    user.client().create_deployment(name, models.doubler, config={"kms_key": key, "bucket": bucket})
    assert _by_key(here, bucket) == {key_0: {key} for key_0 in ("claim", "generations", "history.json", "models")}
    for what, run in _life(user, here, models, name, f"s3://{bucket}/answers"):
        run()
        ways = _by_key(here, bucket)
        assert all(each == {key} for each in ways.values()), (what, ways)
    assert {"scaling.json", "requests"} <= set(ways), "not all kinds of objects were seen"
    assert here.boto("s3").list_objects_v2(Bucket=bucket, Prefix="deployer/").get("Contents", []) == []
    assert here.everything_of(name) == ()


def test_a_key_of_its_own_is_used_at_once_and_for_what_it_asks_alone(user: User, here: AwsHere, models: Models, bucket: str) -> None:
    name, first, second = user.name(), *(here.boto("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    user.client().create_deployment(name, models.doubler, config={"kms_key": first, "bucket": bucket})
    user.client().update_deployment(name, models.doubler, config={"kms_key": second})
    ways = _by_key(here, bucket)
    assert ways == {key: {first, second} for key in ("claim", "generations", "history.json", "models")}
    user.client().apply(name, models.doubler)
    assert _by_key(here, bucket) == {key: {first, second, None} for key in ("claim", "generations", "history.json", "models")}
