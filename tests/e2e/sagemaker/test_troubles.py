"""Answers that get lost, credentials that run out, quotas, and what is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.core.target import Intent
from deployer.errors import (
    ConfigInvalid,
    CredentialsInvalid,
    DeployerError,
    DeploymentNotFound,
    ModelInvalid,
    PermissionDenied,
    QuotaExceeded,
    TargetUnavailable,
)
from deployer.events import silent
from deployer.oci import general_tag
from deployer.verbs.lifecycle import Wish, deploy
from tests.e2e.sagemaker.cloud import ACCOUNT, BUCKET, REGION, ROLE, AwsHere
from tests.e2e.sagemaker.conftest import Models, User
from tests.local_clouds import MINOR, QUESTION, model_in

ANSWER = b'{"predictions": [2.0, 4.0]}'
CHANGES = ["PutObject", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]


@pytest.mark.parametrize("kind", ["lose-answer", "drop", "error"])
@pytest.mark.parametrize("operation", CHANGES)
def test_a_create_whose_answer_is_lost_or_fails_once_goes_on(kind: str, operation: str, user: User, here: AwsHere, models: Models):
    name = user.name()
    with here.struck(kind, operation=operation):
        user.client().create_deployment(name, models.doubler)
    assert user.client().query(name, QUESTION).body == ANSWER


@pytest.mark.parametrize("kind", ["lose-answer", "error"])
@pytest.mark.parametrize("operation", ["UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "AddTags", "DeleteObjects", "DeleteEndpointConfig"])
def test_an_update_whose_answer_is_lost_or_fails_once_goes_on(kind: str, operation: str, user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    user.client().update_deployment(name, models.tripler)
    with here.struck(kind, operation=operation):
        user.client().update_deployment(name, config={"instance_count": 2, "tags": {"a": "b"}, "container_startup_timeout": 99})
    found = user.client().get_deployment(name)
    assert found.options["instance_count"] == 2
    assert here.boto("sagemaker").describe_endpoint(EndpointName=name)["ProductionVariants"][0]["DesiredInstanceCount"] == 2


@pytest.mark.parametrize("operation", ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel", "DeleteObjects", "DeleteObject"])
def test_a_delete_whose_answer_is_lost_leaves_nothing(operation: str, user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    with here.struck("lose-answer", operation=operation):
        user.client().delete_deployment(name)
    assert here.everything_of(name) == ()


def test_credentials_of_an_assumed_role_are_renewed_while_a_wait_lasts(user: User, here: AwsHere, models: Models):
    name, role = user.name(), f"arn:aws:iam::{ACCOUNT}:role/deploying"
    here.control.post("roles", {"arn": role})
    with here.settings(session_seconds=2.0, creating_seconds=5.0):
        client = user.client(f"sagemaker:/{REGION}/{role}")
        here.control.clear_journal()
        client.create_deployment(name, models.doubler)
        assert len(here.control.journal(operation="AssumeRole")) > 1
        assert client.query(name, QUESTION).body == ANSWER


def test_keys_that_aws_does_not_know_are_told_as_such(user: User, here: AwsHere, models: Models):
    refusal = {"code": "InvalidClientTokenId", "message": "The security token is invalid.", "status": 403}
    with here.struck("error", operation="*", count=None, **refusal), pytest.raises(CredentialsInvalid, match="doesn't accept"):
        user.client().create_deployment("nobody", models.doubler)


def test_expired_keys_that_cannot_be_renewed_are_told_as_such(user: User, here: AwsHere, models: Models):
    refusal = {"code": "ExpiredTokenException", "message": "expired", "status": 400}
    with here.struck("error", operation="DescribeEndpoint", count=None, **refusal), pytest.raises(CredentialsInvalid, match="expired"):
        user.client().create_deployment("nobody", models.doubler)


def test_no_credentials_at_all_are_told_as_such(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    with pytest.raises(CredentialsInvalid, match="no AWS credentials"):
        user.client().list_deployments()


def test_a_missing_permission_is_named_and_nothing_half_made_is_left(user: User, here: AwsHere, models: Models):
    name = user.name()
    refusal = {"code": "AccessDeniedException", "message": "not authorized", "status": 400}
    with here.struck("error", operation="CreateEndpoint", count=None, **refusal), pytest.raises(PermissionDenied, match="CreateEndpoint"):
        user.client().create_deployment(name, models.doubler)
    assert here.everything_of(name) == ()


def test_a_quota_that_is_used_up_is_told_and_nothing_half_made_is_left(user: User, here: AwsHere, models: Models):
    name = user.name()
    with here.settings(quotas={"ml.m5.4xlarge": 0}), pytest.raises(QuotaExceeded) as refused:
        user.client().create_deployment(name, models.doubler, config={"instance_type": "ml.m5.4xlarge"})
    assert "ml.m5.4xlarge" in refused.value.why
    assert here.everything_of(name) == ()


def test_a_count_over_the_quota_is_refused_and_the_record_has_the_old_one_again(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    refusal = {"code": "ResourceLimitExceeded", "message": "ml.m5.large for endpoint usage is 1", "status": 400}
    with here.struck("error", operation="UpdateEndpointWeightsAndCapacities", count=None, **refusal), pytest.raises(QuotaExceeded):
        user.client().update_deployment(name, config={"instance_count": 9})
    assert user.client().get_deployment(name).options["instance_count"] == 1
    assert user.client().query(name, QUESTION).body == ANSWER


def test_a_cloud_that_throttles_past_the_deadline_is_unavailable(here: AwsHere):
    cloud = here.connect()
    cloud.connection.seam.deadline_seconds = 0.5
    with here.struck("throttle", operation="DescribeEndpoint", count=None), pytest.raises(TargetUnavailable, match="throttles"):
        here.target.observe(here.target.check_name("x"), cloud)


def test_no_role_is_told_with_the_ways_to_give_one(user: User, models: Models, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEPLOYER_EXECUTION_ROLE_ARN", raising=False)
    with pytest.raises(ConfigInvalid, match="no execution role") as refused:
        user.client(execution_role_arn=None).create_deployment(user.name(), models.doubler)
    assert "execution_role_arn" in refused.value.advice


def test_a_role_that_is_not_there_is_refused_and_nothing_half_made_is_left(user: User, here: AwsHere, models: Models):
    name = user.name()
    with pytest.raises(DeployerError):
        user.client(execution_role_arn=f"arn:aws:iam::{ACCOUNT}:role/absent").create_deployment(name, models.doubler)
    assert here.everything_of(name) == ()


def test_an_image_for_another_processor_is_refused_before_anything_is_made(user: User, here: AwsHere, models: Models):
    name = user.name()
    with pytest.raises(ConfigInvalid, match=r"ml\.c7g\.large runs linux/arm64") as refused:
        user.client().create_deployment(name, models.doubler, config={"instance_type": "ml.c7g.large"})
    assert "--platform linux/amd64,linux/arm64" in refused.value.advice
    arm = here.push("arm", platform="linux/arm64").reference
    with pytest.raises(ConfigInvalid, match=r"ml\.m5\.large runs linux/amd64"):
        user.client().create_deployment(name, models.doubler, config={"image_url": arm})
    assert here.everything_of(name) == ()


def test_an_image_that_is_not_there_is_told_with_the_build_command(user: User, here: AwsHere, models: Models):
    with pytest.raises(ConfigInvalid):
        user.client().create_deployment(user.name(), models.doubler, config={"image_url": f"{here.status.registry}/deployer-scoring:absent"})


def test_an_image_outside_ecr_is_refused_with_the_way_out(user: User, models: Models):
    with pytest.raises(ConfigInvalid, match="ECR alone") as refused:
        user.client().create_deployment(user.name(), models.doubler, config={"image_url": "registry.example.invalid/scoring:1"})
    assert "RepositoryAccessMode" in refused.value.advice


def test_a_model_too_large_for_the_disk_is_refused_before_the_upload(user: User, here: AwsHere, tmp_path: Path):
    model_in(tmp_path / "large", 2)
    with (tmp_path / "large" / "weights.bin").open("wb") as weights:
        weights.truncate(1_100_000_000)
    name = user.name()
    with pytest.raises(ConfigInvalid, match="disk of 1 GB") as refused:
        user.client().create_deployment(name, str(tmp_path / "large"), config={"volume_size_in_gb": 1})
    assert "volume_size_in_gb" in refused.value.advice
    assert here.everything_of(name) == ()


def test_a_bucket_that_was_not_the_deployments_is_refused(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    with pytest.raises(ConfigInvalid, match=BUCKET):
        user.client().update_deployment(name, models.tripler, config={"bucket": "another-bucket"})


def test_a_region_that_is_none_is_refused_without_a_call(user: User):
    with pytest.raises(ConfigInvalid, match="nowhere is not an AWS region"):
        user.client("sagemaker:/nowhere").list_deployments()


def test_predict_of_nothing_and_of_wrong_input_say_which(user: User, models: Models):
    name = user.name()
    with pytest.raises(DeploymentNotFound):
        user.client().predict(name, {"dataframe_split": {"columns": ["x"], "data": [[1]]}})
    user.client().create_deployment(name, models.doubler)
    with pytest.raises(ConfigInvalid) as refused:
        user.client().predict(name, {"dataframe_split": {"columns": ["y"], "data": [[1]]}})
    assert "the column x is missing" in refused.value.why


def test_the_general_image_is_found_by_its_tag(here: AwsHere):
    assert here.target.image_repository(here.connect(), "deployer-scoring", create=False).exists(general_tag(MINOR))
    assert ROLE.endswith("deployer-sagemaker")


def test_a_model_that_changes_while_it_is_sent_is_refused_and_nothing_half_made_is_left(user: User, here: AwsHere, tmp_path: Path):
    name, model = user.name(), model_in(tmp_path / "model", 2)
    (tmp_path / "model" / "factor.txt").write_text("3")
    config = here.target.config.parse({"execution_role_arn": ROLE}, target="sagemaker")
    wish = Wish(name=here.target.check_name(name), intent=Intent.CREATE, model=model, config=config, packages="image")
    with pytest.raises(ModelInvalid, match="changed while it was being packaged"):
        deploy(here.target, here.connect(), wish, silent, timeout_seconds=60)
    assert here.everything_of(name) == ()
