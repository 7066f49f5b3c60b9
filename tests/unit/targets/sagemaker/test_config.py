"""Options: MLflow's names and forms, limits, and refusals that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker.config import SageMakerConfig

MLFLOW = {
    *("assume_role_arn", "execution_role_arn", "bucket", "image_url", "region_name", "archive", "instance_type", "instance_count", "vpc_config"),
    *("data_capture_config", "synchronous", "timeout_seconds", "variant_name", "env", "tags", "async_inference_config", "serverless_config", "mode"),
}


def parse(**options: Any) -> SageMakerConfig:
    return SageMakerConfig.parse(options, target="sagemaker")


def test_every_option_of_mlflow_is_here_under_its_name_and_each_has_a_description():
    assert set(SageMakerConfig.model_fields) >= MLFLOW
    assert all(field.description for field in SageMakerConfig.model_fields.values())


def test_text_is_read_as_the_options_type_has_it():
    found = parse(
        synchronous="false",
        archive="true",
        instance_count="3",
        env='{"A": "1"}',
        vpc_config='{"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}',
        serverless_config=None,
    )
    assert (found.synchronous, found.archive, found.instance_count, found.env) == (False, True, 3, {"A": "1"})
    assert found.vpc_config is not None and found.vpc_config.to_cloud() == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}


def test_true_is_never_taken_for_false():
    with pytest.raises(ConfigInvalid, match="synchronous"):
        parse(synchronous="maybe")


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigInvalid, match=r"instance_typ is not an option of sagemaker; did you mean instance_type\?"):
        parse(instance_typ="ml.m5.large")


def test_an_unknown_nested_key_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigInvalid, match=r"SecurityGroupId is not a key of VpcConfig; did you mean SecurityGroupIds\?"):
        parse(vpc_config={"SecurityGroupId": ["sg-1"], "Subnets": ["subnet-1"]})


def test_nested_options_take_the_clouds_names_and_ours_and_record_the_same():
    cloud = parse(data_capture_config={"InitialSamplingPercentage": 5, "DestinationS3Uri": "s3://b/c", "CaptureOptions": [{"CaptureMode": "Input"}]})
    ours = parse(
        data_capture_config={"initial_sampling_percentage": 5, "destination_s3_uri": "s3://b/c", "capture_options": [{"capture_mode": "Input"}]}
    )
    assert cloud == ours
    assert SageMakerConfig.parse(cloud.recorded(), target="sagemaker").recorded() == cloud.recorded()


def test_mode_add_is_refused_with_the_way_out():
    with pytest.raises(ConfigInvalid, match="strategy=canary"):
        parse(mode="add")
    assert parse(mode="replace").mode == "replace"


@pytest.mark.parametrize("tags", [{"team": "Größe 1"}, [{"Key": "team", "Value": "Größe 1"}], '{"team": "Größe 1"}'])
def test_tags_come_as_a_mapping_or_in_the_clouds_form_unicode_too(tags: Any):
    assert parse(tags=tags).tags == {"team": "Größe 1"}


@pytest.mark.parametrize(
    "tags",
    [{"aws:x": "1"}, {"deployer:deployment": "x"}, {"": "1"}, {"k" * 129: "1"}, {"k": "v" * 257}, {"k": "{json}"}, {str(n): "" for n in range(48)}],
)
def test_tags_that_aws_or_this_tool_would_not_take_are_refused(tags: dict[str, str]):
    with pytest.raises(ConfigInvalid, match="tag"):
        parse(tags=tags)


@pytest.mark.parametrize("env", [{"SECRET": "hunter2" * 200}, {"1A": "hunter2"}, {f"K{n}": "hunter2" for n in range(101)}])
def test_environments_over_the_limits_are_refused_without_their_values(env: dict[str, str]):
    with pytest.raises(ConfigInvalid) as refused:
        parse(env=env)
    assert "hunter2" not in str(refused.value)


def test_an_error_about_options_together_never_prints_the_environment():
    with pytest.raises(ConfigInvalid, match="vpc_config") as refused:
        parse(
            env={"SECRET": "hunter2"},
            vpc_config={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
            serverless_config={"MemorySizeInMB": 1024, "MaxConcurrency": 1},
        )
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("memory", [512, 1025, 7168])
def test_serverless_memory_comes_in_steps_of_a_gigabyte(memory: int):
    with pytest.raises(ConfigInvalid, match="MemorySizeInMB"):
        parse(serverless_config={"MemorySizeInMB": memory, "MaxConcurrency": 1})
