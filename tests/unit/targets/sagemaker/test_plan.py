"""The planner: from what is there to what is wanted, without a cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.core.plan import Effect, kind_of
from deployer.core.state import Resource, Status
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.live import ResumeScaling, SetInstanceCount, SetTags, SuspendScaling
from deployer_targets.sagemaker.plan import plan, plan_delete, plan_prune
from deployer_targets.sagemaker.removal import Remove, Sweep
from deployer_targets.sagemaker.steps import CreateEndpointConfig, CreateModel, PointEndpoint, UploadModel, WriteRecord
from tests.unit.targets.sagemaker.builders import BUCKET, HOME, NAME, config_of, serving, spec

SCALING = {
    "ResourceId": "endpoint/churn/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "target": {"MinCapacity": 1, "MaxCapacity": 8},
    "policies": [],
    "actions": [],
}


def kinds(steps: tuple[object, ...]) -> list[str]:
    return [kind_of(step) for step in steps]


def only(kind: type[Any], steps: tuple[object, ...]) -> Any:
    found = [step for step in steps if isinstance(step, kind)]
    assert found, f"no {kind.__name__} among {kinds(steps)}"
    return found[0]


def test_a_create_records_first_switches_once_and_looks_once_more_after_serving():
    found = plan(spec(), None)
    whole = ["write_record", "upload_model", "create_model", "create_endpoint_config"]
    assert kinds(found.forward) == [*whole, "point_endpoint", "await_serving", *whole]
    assert [step for step in found.forward if step.effect is Effect.SWITCH] == [only(PointEndpoint, found.forward)]
    assert only(PointEndpoint, found.forward).expecting is None


def test_the_same_spec_in_service_needs_nothing():
    assert plan(spec(), serving(spec())).empty


def test_another_version_of_this_tool_alone_changes_nothing():
    observed = serving(spec(), view={"tags": {names.TAG_DEPLOYMENT: NAME, names.TAG_BUCKET: BUCKET, names.TAG_VERSION: "0.0.1"}})
    assert plan(spec(), observed).empty


def test_an_update_expects_the_config_that_was_seen_and_keeps_the_generation_before():
    old, new = spec("one"), spec("two")
    found = plan(new, serving(old))
    assert only(PointEndpoint, found.forward).expecting == config_of(old.record)
    assert only(WriteRecord, found.forward).record.replaces == old.record.generation
    assert set(old.record.resources) <= found.keep
    assert not found.removes


def test_the_generation_before_the_one_before_goes():
    oldest, old, new = spec("zero"), spec("one"), spec("two")
    found = plan(new, serving(old, oldest.record))
    assert found.removes == {*oldest.record.resources, Resource(names.RECORD, oldest.record.generation)}


def test_archive_keeps_all_of_them():
    oldest, old, new = spec("zero"), spec("one"), spec("two", archive=True)
    assert not plan(new, serving(old, oldest.record)).removes


def test_an_option_alone_uploads_nothing_again_and_removes_nothing_of_what_is_served():
    old, new = spec(), spec(instance_type="ml.c5.large")
    found = plan(new, serving(old))
    assert only(UploadModel, found.forward).to.key == names.split_url(old.record.resources[0].name)[1]
    assert only(CreateModel, found.forward).name == old.record.resources[1].name
    back = only(Remove, found.back).resources
    assert {resource.kind for resource in back} == {names.CONFIG, names.RECORD}


def test_two_deployments_share_no_resource():
    one, other = spec(name="churn"), spec(name="churn-eu")
    assert not set(one.record.resources) & set(other.record.resources)


def test_counts_tags_and_strategies_are_in_no_name():
    other = spec(instance_count=7, tags={"team": "fraud"}, strategy="rolling", batch=1)
    assert other.record.resources == spec().record.resources
    assert other.record.generation == spec().record.generation


def test_every_option_that_takes_a_generation_gives_the_config_another_name():
    changes = {
        "execution_role_arn": "arn:aws:iam::123456789012:role/other",
        "kms_key": "key",
        "model_data": "prefix",
        "instance_type": "ml.c5.large",
        "variant_name": "other",
        "vpc_config": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "enable_network_isolation": True,
        "data_capture_config": {"InitialSamplingPercentage": 5, "DestinationS3Uri": "s3://b/c", "CaptureOptions": [{"CaptureMode": "Input"}]},
        "async_inference_config": {"OutputConfig": {"S3OutputPath": "s3://b/out"}},
        "serverless_config": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
        "container_startup_timeout": 100,
        "model_data_download_timeout": 100,
        "volume_size_in_gb": 50,
        "inference_ami_version": "al2-ami-sagemaker-inference-gpu-2",
        "routing_config": {"RoutingStrategy": "RANDOM"},
        "managed_instance_scaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2},
        "image_config": {"RepositoryAccessMode": "Vpc"},
    }
    generational = {name for name, mark in SageMakerConfig.marks().items() if mark.takes == "generation" and not mark.secret}
    assert generational == set(changes)
    found = {name: config_of(spec(**{name: value}).record) for name, value in changes.items()}
    assert len({*found.values(), config_of(spec().record)}) == len(found) + 1


def test_another_environment_is_another_model_though_no_name_holds_a_digest_of_it():
    one, other = spec(secrets="a" * 32, env={"TOKEN": "hunter2"}), spec(secrets="b" * 32, env={"TOKEN": "hunter2"})
    same_id = spec(secrets="a" * 32, env={"TOKEN": "swordfish"})
    assert one.record.resources[1] != other.record.resources[1]
    assert one.record.resources == same_id.record.resources
    assert "hunter2" not in one.record.to_json()
    assert "hunter2" not in repr(plan(one, None))


def test_a_count_alone_is_a_live_change_without_a_rollout():
    found = plan(spec(instance_count=3), serving(spec()))
    assert kinds(found.forward) == ["write_record"]
    count = only(SetInstanceCount, found.live)
    assert count.count == 3
    assert count.before is not None and count.before.options["instance_count"] == 1


def test_counts_stay_over_an_update_by_the_clouds_own_option_and_are_then_set():
    found = plan(spec("two", instance_count=3), serving(spec("one", instance_count=2)))
    assert only(PointEndpoint, found.forward).retain is True
    assert only(SetInstanceCount, found.live).count == 3


def test_counts_that_autoscaling_owns_are_left_alone():
    observed = serving(spec("one"), view={"scaling": SCALING, "count": 5}, owned_elsewhere={"instance_count": 5})
    assert plan(spec("one"), observed).empty
    found = plan(spec("two", instance_count=1), observed)
    assert not [step for step in found.live if isinstance(step, SetInstanceCount)]
    assert only(PointEndpoint, found.forward).retain is True


def test_another_instance_type_puts_autoscaling_aside_before_the_switch_and_back_after_serving_or_after_a_failure():
    observed = serving(spec("one"), view={"scaling": SCALING})
    found = plan(spec("one", instance_type="ml.c5.large"), observed)
    order = kinds(found.forward)
    assert order.index("suspend_scaling") < order.index("point_endpoint")
    assert only(SuspendScaling, found.forward).registration == SCALING
    assert only(ResumeScaling, found.live).variant == "AllTraffic"
    assert only(ResumeScaling, found.back).variant == "AllTraffic"


def test_autoscaling_that_a_killed_run_left_aside_is_registered_again():
    observed = serving(spec("one"), view={"saved_scaling": SCALING})
    assert kinds(plan(spec("one"), observed).live) == ["resume_scaling"]


def test_tags_reach_the_endpoint_config_and_the_model_too():
    found = plan(spec(tags={"team": "fraud"}), None)
    assert only(CreateEndpointConfig, found.forward).tags["team"] == "fraud"
    assert only(CreateModel, found.forward).tags["team"] == "fraud"
    assert only(PointEndpoint, found.forward).tags["team"] == "fraud"


def test_other_tags_are_set_in_place_and_those_that_others_put_there_stay():
    old = spec(tags={"team": "fraud", "stage": "test"})
    foreign = {names.TAG_DEPLOYMENT: NAME, names.TAG_BUCKET: BUCKET, "team": "fraud", "stage": "test", "cost-center": "7"}
    found = plan(spec(tags={"team": "risk"}), serving(old, view={"tags": foreign}))
    tags = only(SetTags, found.live)
    assert tags.wanted["team"] == "risk"
    assert tags.unwanted == {"stage"}


def test_a_failed_endpoint_is_deleted_first_for_nothing_else_can_be_done_with_it():
    failed = serving(spec("one"))
    failed = replace(failed, traffic=(), status=Status.FAILED)
    found = plan(spec("two"), failed)
    assert kinds(found.forward)[0] == "discard_failed"
    assert only(PointEndpoint, found.forward).expecting is None


def test_what_a_refused_update_made_goes_and_what_it_shares_with_the_serving_one_stays():
    old, new = spec("one"), spec("one", env={}, container_startup_timeout=90)
    found = plan(new, serving(old))
    doomed = only(Remove, found.back).resources
    assert not doomed & set(old.record.resources)
    assert Resource(names.CONFIG, config_of(new.record)) in doomed
    assert "release_claim" not in kinds(found.back)


def test_a_refused_create_leaves_nothing_not_even_its_claim():
    assert kinds(plan(spec(), None).back)[-1] == "release_claim"


def test_not_waited_for_nothing_of_the_old_generation_is_swept():
    found = plan(spec("two", synchronous=False), serving(spec("one"), spec("zero").record))
    assert kinds(found.forward)[-1] == "point_endpoint"
    assert not found.sweep and not found.live


def test_leftovers_are_swept_even_where_nothing_else_is_to_do():
    upload = Resource(names.UPLOAD, HOME.url(HOME.data(spec("two").model.digest, "tar", None)) + "#id")
    found = plan(spec(), serving(spec(), more=frozenset({upload})))
    assert found.removes == {upload}
    assert kinds(found.sweep) == ["sweep"]


def test_requests_on_their_way_are_not_swept():
    waiting = Resource(names.REQUEST, HOME.url(HOME.input("1")))
    assert plan(spec(), serving(spec(), more=frozenset({waiting}))).empty


def test_missing_parts_of_what_serves_are_made_again():
    observed = serving(spec())
    without = replace(observed, resources=frozenset(each for each in observed.resources if each.kind != names.MODEL))
    assert "create_model" in kinds(plan(spec(), without).forward)


def test_delete_removes_all_of_ours_and_the_claim_last():
    found = plan_delete(NAME, serving(spec()), spec().config)
    assert kinds(found.forward) == ["delete_endpoint", "remove", "sweep", "release_claim"]
    assert only(Sweep, found.forward).keep == {Resource(names.CLAIM, HOME.url(HOME.claim))}


def test_delete_drops_autoscaling_so_that_it_takes_hold_of_no_later_endpoint():
    assert kinds(plan_delete(NAME, serving(spec(), view={"scaling": SCALING}), spec().config).forward)[0] == "drop_scaling"


def test_delete_with_archive_takes_the_endpoint_alone():
    found = plan_delete(NAME, serving(spec()), spec(archive=True).config)
    assert kinds(found.forward) == ["delete_endpoint"]
    assert found.removes == {Resource(names.ENDPOINT, NAME)}


def test_prune_goes_by_descent_not_by_time():
    leftover, oldest, old, now = spec("failed"), spec("zero"), spec("one"), spec("two")
    observed = serving(now, old.record, oldest.record)
    observed = replace(observed, records={**observed.records, leftover.record.generation: leftover.record})
    observed = replace(observed, resources=observed.resources | {*leftover.record.resources, Resource(names.RECORD, leftover.record.generation)})
    found = plan_prune(NAME, observed, now.config)
    removed = {resource.name for resource in found.removes if resource.kind == names.RECORD}
    assert removed == {oldest.record.generation, leftover.record.generation}


def test_prune_leaves_requests_that_wait():
    waiting = Resource(names.REQUEST, f"s3://{BUCKET}/deployer/{NAME}/requests/1")
    observed = serving(spec())
    assert plan_prune(NAME, replace(observed, resources=observed.resources | {waiting}), spec().config).empty


def test_a_generation_made_by_another_version_keeps_the_names_that_it_has():
    wanted = spec()
    renamed = tuple(
        replace(resource, name=resource.name + "x") if resource.kind == names.CONFIG else resource for resource in wanted.record.resources
    )
    recorded = replace(wanted, record=replace(wanted.record, resources=renamed))
    assert plan(recorded, serving(recorded)).empty


def test_an_instance_with_its_own_disk_gets_no_key_for_a_volume():
    with_volume = only(CreateEndpointConfig, plan(spec(kms_key="key"), None).forward).request
    with_disk = only(CreateEndpointConfig, plan(spec(kms_key="key", instance_type="ml.g5.xlarge"), None).forward).request
    assert with_volume["KmsKeyId"] == "key"
    assert "KmsKeyId" not in with_disk


def test_files_as_they_are_reach_createmodel_as_a_prefix():
    request = only(CreateModel, plan(spec(model_data="prefix"), None).forward).request()
    source = request["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert source["S3Uri"].endswith("/files/")
    assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
