"""The state machine and the refusals of SageMaker's control plane, seen by plain boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import BUCKET, ROLE, User, eventually
from .registry_client import INDEX, OCI


@contextmanager
def refused(match: str, code: str = "ValidationException") -> Iterator[pytest.ExceptionInfo[ClientError]]:
    """The call is refused with this code, in words that match."""
    with pytest.raises(ClientError, match=match) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] == code


def test_an_endpoint_is_created_then_in_service_then_deleting_then_gone(user: User, name: str) -> None:
    user.control.settings(creating_seconds=1.5, deleting_seconds=1.5)
    user.endpoint(name, wait=False)
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in described
    assert described["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
    user.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    variant = user.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == ("AllTraffic", 1, 1.0)
    assert variant["DeployedImages"][0]["SpecifiedImage"].endswith("/scoring:1")
    assert "@sha256:" in variant["DeployedImages"][0]["ResolvedImage"]
    user.sagemaker.delete_endpoint(EndpointName=name)
    assert user.status_of(name) == "Deleting"
    with pytest.raises(ClientError, match="not found"):
        user.ask(name)
    assert user.settled(name) == "gone"
    with refused(f'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"'):
        user.sagemaker.delete_endpoint(EndpointName=name)


def test_nothing_may_be_done_to_an_endpoint_that_is_on_its_way(user: User, name: str) -> None:
    user.control.settings(creating_seconds=2.0, updating_seconds=2.0)
    user.endpoint(name, wait=False)
    for _ in ("Creating", "Updating"):
        with refused("Cannot update in-progress endpoint"):
            user.sagemaker.delete_endpoint(EndpointName=name)
        with refused("Cannot update in-progress endpoint"):
            user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
        with refused("Cannot delete endpoint configuration"):
            user.sagemaker.delete_endpoint_config(EndpointConfigName=f"{name}-1")
        assert user.settled(name) == "InService"
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    assert user.settled(name) == "InService"
    user.sagemaker.delete_endpoint_config(EndpointConfigName=f"{name}-1")


def test_a_failed_endpoint_can_only_be_deleted(user: User, name: str) -> None:
    user.control.settings(container_exits=1)
    user.endpoint(name, wait=False, mode="crash")
    assert user.settled(name) == "Failed"
    with refused("it can only be deleted"):
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    user.sagemaker.delete_endpoint(EndpointName=name)
    assert user.settled(name) == "gone"


def test_an_endpoint_whose_model_is_gone_hangs_and_then_fails(user: User, name: str) -> None:
    user.control.settings(missing_model_seconds=2.0)
    user.config(name, user.model(name))
    user.sagemaker.delete_model(ModelName=name)
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.status_of(name) == "Creating"
    assert user.settled(name) == "Failed"
    assert "Could not find model" in user.sagemaker.describe_endpoint(EndpointName=name)["FailureReason"]


def test_names_are_taken_once(user: User, name: str) -> None:
    user.endpoint(name)
    with refused(f'Cannot create already existing model "arn:aws:sagemaker:us-east-1:123456789012:model/{name}-1"'):
        user.model(f"{name}-1")
    with refused("Cannot create already existing endpoint configuration"):
        user.config(f"{name}-1", f"{name}-1")
    with refused("Cannot create already existing endpoint "):
        user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")


def test_what_is_not_there_is_named(user: User, name: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    for call, words in (
        (lambda: user.sagemaker.describe_model(ModelName=name), f'Could not find model "{arn}:model/{name}".'),
        (lambda: user.sagemaker.delete_model(ModelName=name), f'Could not find model "{arn}:model/{name}".'),
        (lambda: user.config(name, name), f'Could not find model "{arn}:model/{name}".'),
        (
            lambda: user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name),
            f'Could not find endpoint configuration "{arn}:endpoint-config/{name}".',
        ),
        (lambda: user.sagemaker.list_tags(ResourceArn=f"{arn}:endpoint/{name}"), f'Could not find endpoint "{arn}:endpoint/{name}".'),
    ):
        with refused(words):
            call()


def test_a_models_role_image_and_data_must_be_there(user: User, name: str) -> None:
    image, data = user.image(), user.data(name)

    def create(role: str = ROLE, **container: Any) -> None:
        user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image, "ModelDataUrl": data, **container})

    with refused("Could not assume role .*Please ensure that the role exists"):
        create("arn:aws:iam::123456789012:role/nobody")
    user.client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument='{"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}',
    )
    with refused("Could not assume role"):
        create(f"arn:aws:iam::123456789012:role/{name}")
    with refused("Could not access model data at s3://"):
        create(ModelDataUrl=f"s3://{BUCKET}/no/such/{name}.tar.gz")
    with refused("Could not access model data at s3://"):
        create(ModelDataUrl="s3://no-such-bucket-anywhere/model.tar.gz")
    with refused("Requested image .* not found"):
        create(Image=image + "-other")
    with refused("Using non-ECR image"):
        create(Image="docker.io/library/python:3.11")
    create()


def test_a_bucket_of_another_region_is_not_accessible(user: User, name: str) -> None:
    bucket = f"{name}-frankfurt"
    user.client("s3", region="eu-central-1").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    user.s3.put_object(Bucket=bucket, Key="m.tar.gz", Body=b"x")
    with refused("object is located in us-east-1"):
        user.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": user.image(), "ModelDataUrl": f"s3://{bucket}/m.tar.gz"}
        )


def test_oci_images_and_indexes_are_refused(user: User, name: str) -> None:
    user.image()
    registry = user.registry()
    pushed = registry.push_image("scoring", name, media_type=OCI)
    assert pushed.status_code == 201
    one = {"mediaType": OCI, "digest": pushed.headers["Docker-Content-Digest"], "size": 1, "platform": {"architecture": "amd64", "os": "linux"}}
    assert registry.put_manifest("scoring", f"{name}-i", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}).status_code == 201
    for tag, media_type in ((name, OCI), (f"{name}-i", INDEX)):
        with refused(f"Unsupported manifest media type {media_type}".replace("+", r"\+")):
            user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": f"{user.status.registry}/scoring:{tag}"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ModelName": "under_score"}, "at 'modelName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
        ({"ModelName": "a" * 64}, "Member must have length less than or equal to 63"),
        ({"PrimaryContainer": {"Image": "i" * 256}}, "at 'primaryContainer.image' failed to satisfy constraint"),
        ({"PrimaryContainer": {"Image": "i", "Environment": {"not a name": "x"}}}, "at 'primaryContainer.environment.key'"),
        ({"PrimaryContainer": {"Image": "i", "Environment": {f"A{n}": "x" for n in range(101)}}}, "less than or equal to 100"),
        ({"PrimaryContainer": {"Image": "i", "Environment": {"SECRET": "geheim" * 300}}}, "less than or equal to 1024"),
        ({"Tags": [{"Key": "k", "Value": '{"json": 1}'}]}, "at 'tags.1.member.value'"),
        ({"Tags": [{"Key": f"k{n}", "Value": "v"} for n in range(51)]}, "less than or equal to 50"),
        ({"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}, "Duplicate tag keys"),
    ],
)
def test_a_models_limits_are_the_platforms(user: User, changes: dict[str, Any], words: str) -> None:
    request = {"ModelName": "fine", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "i"}, **changes}
    with refused(words) as caught:
        user.sagemaker.create_model(**request)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"InstanceType": "ml.m5.huge"}, "instanceType' failed to satisfy constraint: Member must satisfy enum value set"),
        ({"InitialInstanceCount": 0}, "greater than or equal to 1"),
        ({"ContainerStartupHealthCheckTimeoutInSeconds": 10}, "greater than or equal to 60"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, "cannot be specified with ServerlessConfig"),
    ],
)
def test_a_variants_limits_are_the_platforms(user: User, name: str, changes: dict[str, Any], words: str) -> None:
    with refused(words):
        user.config(name, user.model(name), **changes)


def test_variant_names_are_told_apart_and_new_instance_types_are_known(user: User, name: str) -> None:
    user.config(name, user.model(name), InstanceType="ml.g5.xlarge")
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m6i.large", "InitialInstanceCount": 1}
    with refused("Duplicate variant names"):
        user.sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-2", ProductionVariants=[variant, variant])


def test_what_was_sent_is_described_whole(user: User, name: str) -> None:
    user.model(name)
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    user.sagemaker.create_model(
        ModelName=f"{name}-2",
        ExecutionRoleArn=ROLE,
        EnableNetworkIsolation=True,
        VpcConfig=vpc,
        PrimaryContainer={"Image": user.image(), "ModelDataUrl": user.data(name), "Environment": {"A": "b"}},
    )
    described = user.sagemaker.describe_model(ModelName=f"{name}-2")
    assert described["EnableNetworkIsolation"] is True
    assert described["VpcConfig"] == vpc
    assert described["PrimaryContainer"]["Environment"] == {"A": "b"}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": f"s3://{BUCKET}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    more = {"DataCaptureConfig": capture, "ExecutionRoleArn": ROLE, "KmsKeyId": "alias/k"}
    user.config(name, name, options=more, InitialVariantWeight=0.0, RoutingConfig={"RoutingStrategy": "RANDOM"}, VolumeSizeInGB=8)
    described = user.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert {key: described[key] for key in more} == more
    variant = described["ProductionVariants"][0]
    assert variant["InitialVariantWeight"] == 0.0
    assert variant["RoutingConfig"] == {"RoutingStrategy": "RANDOM"}
    assert variant["VolumeSizeInGB"] == 8


def test_lists_are_filtered_and_paged(user: User, name: str) -> None:
    user.model(f"{name}-a")
    image, data = user.image(), user.data("x")
    for number in range(12):
        container = {"Image": image, "ModelDataUrl": data}
        user.sagemaker.create_model(ModelName=f"{name}-{number:02}", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    first = user.sagemaker.list_models(NameContains=name)
    assert len(first["Models"]) == 10
    pages = user.sagemaker.get_paginator("list_models").paginate(NameContains=name.upper(), SortBy="Name", SortOrder="Ascending")
    names = [model["ModelName"] for page in pages for model in page["Models"]]
    assert names == [f"{name}-{number:02}" for number in range(12)] + [f"{name}-a"]
    assert len(user.sagemaker.list_models(NameContains=name, MaxResults=3)["Models"]) == 3
    with refused("Invalid pagination token"):
        user.sagemaker.list_models(NextToken="nonsense")


def test_lists_may_lag_behind(user: User, name: str) -> None:
    user.control.settings(list_lag_seconds=2.0)
    user.model(name)
    assert user.sagemaker.describe_model(ModelName=name)
    assert not user.sagemaker.list_models(NameContains=name)["Models"]
    eventually(lambda: user.sagemaker.list_models(NameContains=name)["Models"])


def test_tags_overwrite_and_are_limited(user: User, name: str) -> None:
    arn = user.sagemaker.describe_model(ModelName=user.model(name))["ModelArn"]
    user.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "ü", "Value": "größe 1/2"}])
    user.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}])
    assert user.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "ü", "Value": "größe 1/2"}]
    user.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert [tag["Key"] for tag in user.sagemaker.list_tags(ResourceArn=arn)["Tags"]] == ["ü"]
    with refused("Too many tags"):
        user.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": str(number), "Value": ""} for number in range(50)])


def test_a_quota_limits_instances_and_an_update_needs_both_fleets(user: User, name: str) -> None:
    user.config(f"{name}-1", user.model(name), InstanceType="ml.c5.xlarge", InitialInstanceCount=2)
    user.control.settings(quotas={"ml.c5.xlarge": 1})
    with refused("'ml.c5.xlarge for endpoint usage' is 1 Instances, with current utilization of 0", "ResourceLimitExceeded"):
        user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    user.control.settings(quotas={"ml.c5.xlarge": 3})
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    assert user.settled(name) == "InService"
    with refused("current utilization of 2 Instances and a request delta of 2", "ResourceLimitExceeded"):
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    assert user.status_of(name) == "InService"


def test_counts_that_are_retained_survive_an_update(user: User, name: str) -> None:
    user.endpoint(name)
    change = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4, "DesiredWeight": 2}]
    user.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=change)
    user.settled(name)
    user.config(f"{name}-2", f"{name}-1")

    def after(**options: Any) -> tuple[int, float]:
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2", **options)
        assert user.settled(name) == "InService"
        variant = user.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
        return variant["CurrentInstanceCount"], variant["CurrentWeight"]

    assert after(RetainAllVariantProperties=True) == (4, 2.0)
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    assert after(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded) == (4, 1.0)
    assert after() == (1, 1.0)


def test_autoscaling_needs_a_variant_that_is_there_and_keeps_its_instance_type(user: User, name: str) -> None:
    scaling = user.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    with refused("does not exist"):
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    user.endpoint(name)
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    user.config(f"{name}-2", f"{name}-1", InstanceType="ml.c5.large")
    with refused("must be deregistered as scalable target"):
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
    scaling.deregister_scalable_target(**target)
    user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
    assert user.settled(name) == "InService"


def test_a_deleted_endpoint_leaves_nothing_to_autoscaling(user: User, name: str) -> None:
    scaling = user.client("application-autoscaling")
    user.endpoint(name)
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    policy = {
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }

    def left() -> int:
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]])["ScalableTargets"]
        policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=target["ResourceId"])["ScalingPolicies"]
        return len(targets) + len(policies)

    for end in (lambda: scaling.deregister_scalable_target(**target), lambda: user.sagemaker.delete_endpoint(EndpointName=name)):
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
        scaling.put_scaling_policy(**target, **policy)
        assert left() == 2
        end()
        assert left() == 0


def test_regions_and_accounts_are_apart(user: User, name: str) -> None:
    user.model(name)
    elsewhere = user.client("sagemaker", region="eu-west-1")
    assert not elsewhere.list_models(NameContains=name)["Models"]
    with refused(f'"arn:aws:sagemaker:eu-west-1:123456789012:model/{name}"'):
        elsewhere.describe_model(ModelName=name)
    china = user.client("sagemaker", region="cn-north-1")
    with refused(f'"arn:aws-cn:sagemaker:cn-north-1:123456789012:model/{name}"'):
        china.describe_model(ModelName=name)


def test_a_transform_job_needs_its_model(user: User, name: str) -> None:
    with refused("Could not find model"):
        user.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=name,
            TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/i"}}},
            TransformOutput={"S3OutputPath": "s3://b/o"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
