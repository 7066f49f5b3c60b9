"""What SageMaker offers beside the plain endpoint: autoscaling, prefixes, keys, serverless, asynchronous and streamed answers, logs, doctor."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from deployer.core.state import Status
from deployer.core.target import Payload, Verdict
from deployer.errors import ConfigInvalid, NotOurs
from deployer.events import StepProgressed
from deployer.oci import Descriptor, docker_manifest, labels
from deployer.oci.manifest import DOCKER_CONFIG
from tests.e2e.sagemaker.cloud import BUCKET, REGION, ROLE, AwsHere
from tests.e2e.sagemaker.conftest import Models, User
from tests.local_clouds import QUESTION, model_in

ANSWER = b'{"predictions": [2.0, 4.0]}'
DIMENSION = "sagemaker:variant:DesiredInstanceCount"


def autoscaled(here: AwsHere, name: str, count: int) -> None:
    """Registered by somebody, and scaled since."""
    scaling, where = here.boto("application-autoscaling"), f"endpoint/{name}/variant/AllTraffic"
    scaling.register_scalable_target(ServiceNamespace="sagemaker", ResourceId=where, ScalableDimension=DIMENSION, MinCapacity=1, MaxCapacity=8)
    scaling.put_scaling_policy(
        PolicyName="by-invocations",
        ServiceNamespace="sagemaker",
        ResourceId=where,
        ScalableDimension=DIMENSION,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    )
    sagemaker = here.boto("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": count}]
    )
    here.target.settle(here.target.check_name(name), here.connect(), lambda _: None, 60)


def registration(here: AwsHere, name: str) -> tuple[list[int], list[str]]:
    scaling, where = here.boto("application-autoscaling"), f"endpoint/{name}/variant/AllTraffic"
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[where])["ScalableTargets"]
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=where)["ScalingPolicies"]
    return [target["MaxCapacity"] for target in targets], [policy["PolicyName"] for policy in policies]


def count_of(here: AwsHere, name: str) -> int:
    return int(here.boto("sagemaker").describe_endpoint(EndpointName=name)["ProductionVariants"][0]["DesiredInstanceCount"])


def test_counts_that_autoscaling_owns_are_kept_over_an_update(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    autoscaled(here, name, 3)
    assert client.get_deployment(name).owned_elsewhere == {"instance_count": 3}
    client.update_deployment(name, models.tripler)
    assert count_of(here, name) == 3
    assert registration(here, name) == ([8], ["by-invocations"])


def test_another_instance_type_under_autoscaling_deregisters_and_registers_again(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    autoscaled(here, name, 3)
    here.control.clear_journal()
    client.update_deployment(name, config={"instance_type": "ml.c5.large"})
    called = [call["operation"] for call in here.control.journal()]
    assert called.index("DeregisterScalableTarget") < called.index("UpdateEndpoint") < called.index("RegisterScalableTarget")
    assert registration(here, name) == ([8], ["by-invocations"])
    assert count_of(here, name) == 3
    assert not [each for each in here.everything_of(name) if "scaling" in each]


def test_a_failed_update_registers_autoscaling_again(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    autoscaled(here, name, 2)
    with pytest.raises(Exception, match="still serves"):
        client.update_deployment(name, models.broken, config={"instance_type": "ml.c5.large"})
    assert registration(here, name) == ([8], ["by-invocations"])


def test_delete_takes_autoscaling_along(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    autoscaled(here, name, 2)
    user.client().delete_deployment(name)
    # AWS removes the policies with the target.
    assert registration(here, name)[0] == []


def test_files_as_they_are_serve_too_and_delete_removes_every_one(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler, config={"model_data": "prefix"})
    assert client.query(name, QUESTION).body == ANSWER
    assert any(each.endswith("files/MLmodel") for each in here.everything_of(name))
    client.delete_deployment(name)
    assert here.everything_of(name) == ()


def test_uploads_are_encrypted_by_the_named_key(user: User, here: AwsHere, models: Models):
    name = user.name()
    key = here.boto("kms").create_key()["KeyMetadata"]["Arn"]
    user.client().create_deployment(name, models.doubler, config={"kms_key": key})
    data = next(each.partition("/")[2] for each in here.everything_of(name) if each.endswith(".tar.gz"))
    found = here.boto("s3").head_object(Bucket=BUCKET, Key=data)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)
    sagemaker = here.boto("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    assert sagemaker.describe_endpoint_config(EndpointConfigName=config)["KmsKeyId"] == key


def test_a_large_model_goes_in_parts_with_progress_is_not_sent_twice_and_is_copied_for_another_deployment(user: User, here: AwsHere, tmp_path: Path):
    noise = Path("/dev/urandom").open("rb").read(30_000_000)  # noqa: SIM115
    model_in(tmp_path / "large", 2, **{"noise.bin": noise})
    one, other = user.name(), user.name()
    here.control.clear_journal()
    user.client().create_deployment(one, str(tmp_path / "large"))
    parts = len(here.control.journal(operation="UploadPart"))
    assert parts >= 3
    told = [event.done for event in user.events if isinstance(event, StepProgressed) and event.unit == "bytes"]
    assert told == sorted(told) and told[-1] >= 30_000_000
    user.client().update_deployment(one, config={"container_startup_timeout": 100})
    user.client().create_deployment(other, str(tmp_path / "large"))
    assert len(here.control.journal(operation="UploadPart")) == parts
    assert len(here.control.journal(operation="CopyObject")) == 1
    assert user.client().query(other, QUESTION).body == ANSWER


def test_an_upload_that_was_never_finished_is_removed_by_the_next_run(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    here.boto("s3").create_multipart_upload(Bucket=BUCKET, Key=f"deployer/{name}/models/{'0' * 64}/model.tar.gz")
    user.client().apply(name, models.doubler)
    assert not [each for each in here.everything_of(name) if each.startswith("upload/")]


def test_a_failed_upload_leaves_no_unfinished_one(user: User, here: AwsHere, tmp_path: Path):
    name = user.name()
    model_in(tmp_path / "large", 2, **{"noise.bin": Path("/dev/urandom").open("rb").read(20_000_000)})  # noqa: SIM115
    refusal = {"code": "AccessDenied", "message": "no", "status": 403}
    with here.struck("error", operation="UploadPart", skip=1, count=None, **refusal), pytest.raises(Exception, match="UploadPart"):
        user.client().create_deployment(name, str(tmp_path / "large"))
    assert here.everything_of(name) == ()


def test_serverless_endpoints_serve(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler, config={"serverless_config": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}})
    assert client.query(name, QUESTION).body == ANSWER
    client.update_deployment(name, models.tripler)
    assert client.query(name, QUESTION).body == b'{"predictions": [3.0, 6.0]}'
    assert client.list_deployments()[0] is not None


def test_asynchronous_endpoints_answer_by_way_of_s3_and_leave_no_request_behind(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler, config={"async_inference_config": {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers"}}})
    assert client.query(name, QUESTION).body == ANSWER
    assert not [each for each in here.everything_of(name) if each.startswith("requests/")]


def test_answers_are_streamed_as_the_model_makes_them(user: User, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    pieces = list(client.predict_stream(name, b'{"stream": 3}'))
    assert b"".join(pieces) == b"piece 0\npiece 1\npiece 2\n"


def test_logs_tell_the_last_lines_and_follow(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    client.query(name, QUESTION)
    deadline = time.monotonic() + 60
    while not any("scoring 2 rows" in line.text for line in client.logs(name, tail=5)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    following = client.logs(name, follow=True)
    assert any("scoring 2 rows" in line.text for line in (next(following), next(following)))
    client.query(name, Payload(json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1]]}}).encode()))
    assert "scoring 1 rows" in next(following).text


def test_not_waiting_returns_at_once_and_the_next_run_finishes(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    with here.settings(creating_seconds=4.0):
        assert client.create_deployment(name, models.doubler, config={"synchronous": False}).status is Status.PROGRESSING
    client.create_deployment(name, models.doubler)
    assert client.query(name, QUESTION).body == ANSWER


def test_archived_deployments_come_back_without_an_upload(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    client.delete_deployment(name, config={"archive": True})
    assert client.get_deployment(name).status is Status.PAUSED
    here.control.clear_journal()
    client.create_deployment(name, models.doubler)
    assert not [call for call in here.control.journal(operation="PutObject") if "model.tar.gz" in json.dumps(call)]
    assert client.query(name, QUESTION).body == ANSWER


def test_an_image_by_tag_is_taken_by_digest_and_stays_in_an_update(user: User, here: AwsHere, models: Models):
    name = user.name()
    image = here.push("special", **{"io.deployer.inputs": "special"})
    client = user.client()
    client.create_deployment(name, models.doubler, config={"image_url": "special"})
    client.update_deployment(name, models.tripler)
    sagemaker = here.boto("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    model = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    assert sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["Image"] == image.reference


def test_defaults_files_in_s3_are_used_and_told_of(user: User, here: AwsHere, models: Models, monkeypatch: pytest.MonkeyPatch):
    s3 = here.boto("s3")
    s3.create_bucket(Bucket="defaults")
    s3.put_object(Bucket="defaults", Key="team/config.yaml", Body=f"SageMaker: {{Model: {{ExecutionRoleArn: '{ROLE}'}}}}".encode())
    monkeypatch.setenv("SAGEMAKER_ADMIN_CONFIG_OVERRIDE", "s3://defaults/team")
    monkeypatch.delenv("DEPLOYER_EXECUTION_ROLE_ARN", raising=False)
    from deployer.client import get_deploy_client

    client, name = get_deploy_client(f"sagemaker:/{REGION}"), user.name()
    client.create_deployment(name, models.doubler)
    assert client.get_deployment(name).options["execution_role_arn"] == ROLE
    assert "s3://defaults/team" in client.settings().all.origins["execution_role_arn"]


def test_a_deployment_may_live_in_a_bucket_of_its_own(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client(bucket="my-sagemaker-models").create_deployment(name, models.doubler)
    # Afterwards the endpoint itself says where.
    user.client().update_deployment(name, models.tripler)
    assert user.client().delete_deployment(name)
    assert "Contents" not in here.boto("s3").list_objects_v2(Bucket="my-sagemaker-models")


def test_an_endpoint_of_somebody_else_is_refused_until_adopted(user: User, here: AwsHere, models: Models):
    name, mine = user.name(), user.name()
    user.client().create_deployment(mine, models.tripler)
    sagemaker = here.boto("sagemaker")
    theirs = sagemaker.describe_endpoint(EndpointName=mine)["EndpointConfigName"]
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=theirs)
    here.target.settle(here.target.check_name(name), here.connect(), lambda _: None, 60)
    with pytest.raises(NotOurs) as refused:
        user.client().apply(name, models.doubler)
    assert "--adopt" in refused.value.advice
    user.client().apply(name, models.doubler, adopt=True)
    assert user.client().query(name, QUESTION).body == ANSWER
    user.client().delete_deployment(name)
    assert user.client().query(mine, QUESTION).body == b'{"predictions": [3.0, 6.0]}'


def test_at_start_is_refused_where_there_is_no_network(user: User, models: Models):
    with pytest.raises(ConfigInvalid, match="no network"):
        user.client().create_deployment(user.name(), models.doubler, config={"enable_network_isolation": True}, packages="at-start")


def test_doctor_looks_at_everything_and_never_raises(user: User, here: AwsHere):
    found = {finding.subject: finding for finding in user.client().doctor()}
    assert found["credentials"].verdict is Verdict.OK
    assert found["execution role"].verdict is Verdict.OK
    assert found["image"].verdict is Verdict.OK
    with here.struck("error", operation="*", count=None, code="InvalidClientTokenId", message="no", status=403):
        assert [finding.verdict for finding in user.client().doctor()] == [Verdict.WRONG]


def test_doctor_names_images_that_compile_at_each_start(user: User, here: AwsHere):
    repository = here.target.image_repository(here.connect(), "deployer-scoring", create=True)
    for tag, compiled in (("0.1.0-py311-ffffffff01", "true"), ("0.1.0-py311-ffffffff02", "false")):
        said = {labels.BYTECODE: compiled}
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": said}, "rootfs": {"diff_ids": []}}).encode()
        repository.put_manifest(docker_manifest(Descriptor(DOCKER_CONFIG, repository.upload(config), len(config)), ()), tag)
    (found,) = [finding for finding in user.client().doctor() if finding.subject == "bytecode"]
    assert (found.verdict, "ffffffff02" in found.detail, "ffffffff01" in found.detail) == (Verdict.WARNING, True, False)
