"""The seam to AWS: places, retries, the claim. botocore is real; what answers is moto in this process, or a client that is told what to raise."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid, Conflict, CredentialsInvalid, Refused, TargetUnavailable
from deployer.oci import Reference
from deployer_targets.sagemaker import buckets, store
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.registry import Registry
from deployer_targets.sagemaker.target import SageMaker
from tests.unit.targets.sagemaker.builders import HOME, NAME, config, spec


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cloud() -> Iterator[Aws]:
    with mock_aws():
        yield aws()


def aws(region: str = "us-west-2", **options: Any) -> Aws:
    return Aws(RegionClients(region, deadline_seconds=0.3, sleep=lambda _: None), SageMakerConfig.parse(options, target="sagemaker"))


def connected(uri: str, **options: Any) -> Aws:
    target = SageMaker()
    return target.connect(TargetUri.parse(uri), target.config.parse(options, target="sagemaker"))


TOKEN = {"authorizationToken": base64.b64encode(b"AWS:password").decode(), "proxyEndpoint": "https://123456789012.dkr.ecr.us-west-2.amazonaws.com"}


class Answering:
    """A client whose one operation raises or returns what it is told, in turn."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes, self.calls = list(outcomes), 0

    def describe_endpoint(self, **_: Any) -> object:
        self.calls += 1
        outcome = self.outcomes.pop(0) if self.outcomes else {}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "DescribeEndpoint")


def with_client(answering: Answering) -> Aws:
    cloud = aws()
    cloud.connection._clients["sagemaker"] = answering
    return cloud


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-west-2", "api.sagemaker.us-west-2.amazonaws.com"),
        ("cn-north-1", "api.sagemaker.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "api.sagemaker.us-gov-west-1.amazonaws.com"),
    ],
)
def test_every_partition_has_its_hosts(region: str, host: str):
    assert connected(f"sagemaker:/{region}").connection.client("sagemaker").meta.endpoint_url == f"https://{host}"


def test_fips_and_urls_by_service_are_botocores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert "fips" in connected("sagemaker:/us-west-2").connection.client("sagemaker").meta.endpoint_url
    monkeypatch.delenv("AWS_USE_FIPS_ENDPOINT")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:1")
    assert connected("sagemaker:/us-west-2").connection.client("sagemaker").meta.endpoint_url == "http://127.0.0.1:1"


def test_the_region_is_the_options_then_the_uris_then_the_environments_then_mlflows(monkeypatch: pytest.MonkeyPatch):
    assert connected("sagemaker").region == "us-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert connected("sagemaker").region == "eu-central-1"
    assert connected("sagemaker:/eu-west-1").region == "eu-west-1"
    assert connected("sagemaker:/eu-west-1", region_name="eu-west-3").region == "eu-west-3"


def test_what_is_no_region_or_role_is_refused():
    with pytest.raises(ConfigInvalid, match="nowhere is not an AWS region"):
        connected("sagemaker:/nowhere")
    with pytest.raises(ConfigInvalid, match="not a role's ARN"):
        connected("sagemaker:/us-west-2/deployer")


def test_botocores_own_retries_are_off():
    assert connected("sagemaker:/us-west-2").connection.client("sagemaker").meta.config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize("fault", [error("ThrottlingException"), error("InternalFailure", 500), ReadTimeoutError(endpoint_url="https://x")])
def test_transient_faults_are_asked_again(fault: Exception):
    answering = Answering(fault, {"EndpointName": "x"})
    assert with_client(answering).call("sagemaker", "describe_endpoint", EndpointName="x") == {"EndpointName": "x"}
    assert answering.calls == 2


def test_past_the_deadline_it_is_unavailable():
    with pytest.raises(TargetUnavailable, match="throttles"):
        with_client(Answering(*[error("ThrottlingException")] * 50)).call("sagemaker", "describe_endpoint")


def test_a_definite_no_is_asked_once():
    answering = Answering(error("ValidationException"))
    with pytest.raises(Refused):
        with_client(answering).call("sagemaker", "describe_endpoint")
    assert answering.calls == 1


def test_expired_credentials_are_renewed_once_then_told():
    cloud = with_client(Answering(error("ExpiredTokenException")))
    renewed: list[Answering] = []

    def renew() -> None:
        renewed.append(Answering({"EndpointName": "x"}))
        cloud.connection._clients["sagemaker"] = renewed[-1]

    cloud.connection.renew = renew  # type: ignore[method-assign]
    assert cloud.call("sagemaker", "describe_endpoint")["EndpointName"] == "x"
    cloud = with_client(Answering(error("ExpiredTokenException")))
    cloud.connection.renew = lambda: None  # type: ignore[method-assign]
    cloud.connection._clients["sagemaker"].outcomes.append(error("ExpiredTokenException"))
    with pytest.raises(CredentialsInvalid):
        cloud.call("sagemaker", "describe_endpoint")


def test_the_newest_claim_holds_the_name_and_the_older_one_changes_nothing(cloud: Aws):
    buckets.ensure(cloud, HOME.bucket)
    target = SageMaker()
    older = target.claim(NAME, aws(), config())
    older.check()
    newer = target.claim(NAME, aws(), config())
    newer.check()
    with pytest.raises(Conflict):
        store.write_record(older, HOME, spec().record)
    assert store.read_record(cloud, HOME, spec().record.generation) is None
    store.write_record(newer, HOME, spec().record)
    assert store.read_record(cloud, HOME, spec().record.generation) == spec().record


def test_the_claim_is_looked_at_on_each_retry(cloud: Aws):
    buckets.ensure(cloud, HOME.bucket)
    target = SageMaker()
    older = target.claim(NAME, aws(), config())
    answering = Answering(error("ThrottlingException"), {})
    older.connection._clients["sagemaker"] = answering
    target.claim(NAME, aws(), config())
    with pytest.raises(Conflict):
        older.call("sagemaker", "describe_endpoint")
    assert answering.calls == 1


def test_the_default_bucket_is_the_sdks_and_is_made_in_its_region(cloud: Aws):
    assert cloud.default_bucket == "sagemaker-us-west-2-123456789012"
    buckets.ensure(cloud, cloud.default_bucket)
    buckets.ensure(cloud, cloud.default_bucket)
    where = cloud.call("s3", "get_bucket_location", Bucket=cloud.default_bucket)
    assert where["LocationConstraint"] == "us-west-2"


def test_what_is_below_one_prefix_is_listed_in_pages_and_removed(cloud: Aws):
    buckets.ensure(cloud, HOME.bucket)
    for number in range(5):
        cloud.call("s3", "put_object", Bucket=HOME.bucket, Key=f"{HOME.prefix}models/x/files/{number}", Body=b"")
    paged = cloud.pages("s3", "list_objects_v2", "Contents", Bucket=HOME.bucket, Prefix=HOME.prefix, MaxKeys=2)
    assert len(list(paged)) == 5
    store.remove(cloud, HOME, store.keys(cloud, HOME))
    assert store.keys(cloud, HOME) == {}


@pytest.mark.parametrize(
    ("registry", "region"),
    [
        ("999999999999.dkr.ecr.us-west-2.amazonaws.com", "us-west-2"),
        ("999999999999.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("999999999999.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("999999999999.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ],
)
def test_images_of_another_account_or_region_are_asked_for_with_that_regions_login(registry: str, region: str, cloud: Aws):
    reference = Reference.parse(f"{registry}/scoring:1")
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "_ask", lambda self: asked.append(self._connection.region) or TOKEN)
        found = Registry(cloud.connection)
        assert found.has(reference)
        repository = found.elsewhere(reference)
        login = repository.login()
    assert repository.uri == f"{registry}/scoring"
    assert login is not None and login.username == "AWS"
    assert set(asked) == {region}


def test_the_repository_is_made_once_and_named_as_ecr_takes_it(cloud: Aws):
    target = SageMaker()
    for _ in range(2):
        target.image_repository(cloud, "deployer-scoring", create=True)
    found = cloud.call("ecr", "describe_repositories")["repositories"]
    assert [each["repositoryName"] for each in found] == ["deployer-scoring"]
    with pytest.raises(ConfigInvalid, match="can't name an ECR repository"):
        target.image_repository(cloud, "Scoring", create=True)
