"""Defects of mlflow.sagemaker and complaints of its users, each absent here. (What needs no cloud is in tests/unit/targets/sagemaker.)"""

from __future__ import annotations

import json

import httpx
import pytest

from deployer.errors import ConfigInvalid, DeploymentExists, RolloutFailed
from tests.e2e.sagemaker.cloud import AwsHere
from tests.e2e.sagemaker.conftest import Models, User

CAPTURE = {"InitialSamplingPercentage": 5, "DestinationS3Uri": "s3://captured/here", "CaptureOptions": [{"CaptureMode": "Input"}]}
TOKEN = b'{"environment": "TOKEN"}'
QUESTION = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def config_of(here: AwsHere, name: str) -> dict[str, object]:
    sagemaker = here.boto("sagemaker")
    current = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    return dict(sagemaker.describe_endpoint_config(EndpointConfigName=current))


def test_a_failed_create_says_why_with_the_containers_last_lines(user: User, models: Models):
    with pytest.raises(RolloutFailed) as failed:
        user.client().create_deployment(user.name(), models.broken)
    assert "No module named 'lightgbm'" in failed.value.why
    assert any("lightgbm" in line for line in failed.value.lines)
    assert "--with lightgbm" in failed.value.advice


def test_a_failed_create_leaks_neither_model_nor_config_nor_object(user: User, here: AwsHere, models: Models):
    name = user.name()
    with pytest.raises(RolloutFailed):
        user.client().create_deployment(name, models.broken)
    assert here.everything_of(name) == ()


def test_a_failed_update_leaves_the_old_generation_serving_and_whole(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    before = here.everything_of(name)
    with pytest.raises(RolloutFailed, match="still serves"):
        client.update_deployment(name, models.broken)
    assert here.everything_of(name) == before
    assert client.predict(name, QUESTION) == [2.0]


def test_an_update_keeps_the_old_model_for_a_way_back_which_uploads_nothing(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    client.update_deployment(name, models.tripler)
    assert [str(each) for each in client.plan(name, models.doubler).steps] == [f"~ endpoint {name}"]
    here.control.clear_journal()
    client.update_deployment(name, models.doubler)
    assert client.predict(name, QUESTION) == [2.0]
    written = [call["operation"] for call in here.control.journal() if call["operation"] in ("CreateModel", "CreateEndpointConfig", "UploadPart")]
    assert written == []


def test_a_plan_of_an_update_lists_what_it_makes_and_an_instance_type_that_is_none_is_told_before_it(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    made = here.everything_of(name)
    url = client.get_deployment(name).url
    assert url == f"{here.environment['AWS_ENDPOINT_URL']}/endpoints/{name}/invocations"
    assert httpx.post(url, json=QUESTION, trust_env=False).json() == {"predictions": [2.0]}
    planned = client.plan(name, config={"instance_type": "ml.c5.large"})
    assert planned.intent == "update"
    assert [" ".join(str(each).split()[:-1]) for each in planned.steps] == ["+ record", "+ endpoint config", "~ endpoint"]
    for ask in (client.plan, client.update_deployment, client.apply):
        with pytest.raises(ConfigInvalid, match=r"ml\.m5\.lrge is not an instance type .*did you mean ml\.m5\.large\?"):
            ask(name, models.tripler, config={"instance_type": "ml.m5.lrge"})
    assert here.everything_of(name) == made


def test_tags_reach_the_endpoint_its_config_and_its_model(user: User, here: AwsHere, models: Models):
    name = user.name()
    user.client().create_deployment(name, models.doubler, config={"tags": {"team": "Größe"}})
    sagemaker = here.boto("sagemaker")
    for resource in here.everything_of(name):
        kind, _, of = resource.partition("/")
        if kind in ("endpoint", "config", "model"):
            arn = f"arn:aws:sagemaker:us-east-1:123456789012:{'endpoint-config' if kind == 'config' else kind}/{of}"
            tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
            assert tags["team"] == "Größe", resource
            assert tags["deployer:deployment"] == name


def test_an_update_keeps_data_capture_tags_and_every_option_that_is_not_named(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    options = {"data_capture_config": CAPTURE, "tags": {"team": "fraud"}, "instance_type": "ml.c5.large", "env": {"TOKEN": "hunter2"}}
    client.create_deployment(name, models.doubler, config=options)
    user.client().update_deployment(name, models.tripler)
    config = config_of(here, name)
    assert config["DataCaptureConfig"]["DestinationS3Uri"] == "s3://captured/here"  # type: ignore[index]
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c5.large"  # type: ignore[index]
    assert client.get_deployment(name).options["tags"] == {"team": "fraud"}
    assert client.predict(name, TOKEN) == b'{"predictions": ["hunter2"]}'


def test_guardrails_reach_the_endpoint(user: User, here: AwsHere, models: Models):
    name = user.name()
    client, cloudwatch = user.client(), here.boto("cloudwatch")
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Dimensions": dimensions, "Statistic": "Sum"}
    judged = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(AlarmName=f"{name}-errors", **metric, **judged, TreatMissingData="notBreaching")
    client.create_deployment(name, models.doubler, config={"instance_count": 2})
    canary = {"canary": {"steps": [50], "pause": "10s", "checks": {"alarms": [f"{name}-errors"]}}}
    client.update_deployment(name, models.tripler, config={"strategy": canary})
    found = here.boto("sagemaker").describe_endpoint(EndpointName=name)["LastDeploymentConfig"]
    assert found["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert found["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": f"{name}-errors"}]}
    assert client.predict(name, QUESTION) == [3.0]
    client.update_deployment(name, models.doubler, config={"strategy": {"rolling": {"batch": 1}}})
    found = here.boto("sagemaker").describe_endpoint(EndpointName=name)["LastDeploymentConfig"]
    assert found["RollingUpdatePolicy"]["MaximumBatchSize"] == {"Type": "INSTANCE_COUNT", "Value": 1}
    assert client.predict(name, QUESTION) == [2.0]


def test_create_twice_is_done_and_another_spec_is_refused_naming_update(user: User, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler)
    client.create_deployment(name, models.doubler)
    with pytest.raises(DeploymentExists) as refused:
        client.create_deployment(name, models.tripler)
    assert "deploy update" in refused.value.advice


def test_no_value_of_the_environment_is_in_tags_records_names_or_what_get_shows(user: User, here: AwsHere, models: Models):
    name = user.name()
    client = user.client()
    client.create_deployment(name, models.doubler, config={"env": {"TOKEN": "hunter2"}})
    s3 = here.boto("s3")
    bucket = "sagemaker-us-east-1-123456789012"
    for page in s3.list_objects_v2(Bucket=bucket, Prefix=f"deployer/{name}/generations/")["Contents"]:
        assert b"hunter2" not in s3.get_object(Bucket=bucket, Key=page["Key"])["Body"].read()
    assert "hunter2" not in json.dumps(client.get_deployment(name).detail, default=str)
    assert "hunter2" not in repr(user.events)


def test_the_same_environment_changes_nothing_and_another_one_rolls_out(user: User, models: Models):
    name = user.name()
    client = user.client()
    first = client.create_deployment(name, models.doubler, config={"env": {"TOKEN": "one"}}).generation
    assert client.apply(name, models.doubler, config={"env": {"TOKEN": "one"}}).generation == first
    assert client.apply(name, models.doubler, config={"env": {"TOKEN": "two"}}).generation != first
    assert client.predict(name, TOKEN) == b'{"predictions": ["two"]}'
