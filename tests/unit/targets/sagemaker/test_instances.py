"""Instance types: processors and disks, without asking AWS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import botocore.session
import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker import instances
from tests.unit.targets.sagemaker.builders import image

TYPES = botocore.session.get_session().get_service_model("sagemaker").shape_for("ProductionVariantInstanceType").enum


@pytest.mark.parametrize("family", ["c7g", "m7g", "r7g", "c6g", "m6gd", "c6gn", "r8g", "r7gd", "m8g", "p6e-gb200"])
def test_graviton_and_grace_run_arm64(family: str):
    assert instances.platform_of(f"ml.{family}.2xlarge") == "linux/arm64"


@pytest.mark.parametrize("family", ["m5", "c5d", "g4dn", "g5", "g6e", "p4d", "inf2", "trn1", "m7i", "c6in", "t2", "p6-b200"])
def test_all_others_run_amd64(family: str):
    assert instances.platform_of(f"ml.{family}.xlarge") == "linux/amd64"


def test_every_arm64_type_that_botocore_knows_is_a_graviton_or_grace_family():
    families = {each.split(".")[1] for each in TYPES if instances.platform_of(each) == "linux/arm64"}
    assert families == {"r8g", "c7g", "m6g", "m6gd", "c6g", "c6gd", "c6gn", "r6g", "r6gd", "c8g", "r7gd", "m8g", "p6e-gb200"}


def test_local_disks_by_family():
    families = {each.split(".")[1] for each in TYPES if instances.has_local_disk(each)}
    assert {"m5d", "c5d", "r5d", "g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "trn1", "m6gd", "r7gd"} <= families
    assert not {"m5", "c5", "r5", "m6i", "c7i", "c6in", "m7i", "c6gn", "inf2", "p2", "p3", "t2", "m4"} & families


def test_an_image_for_the_other_processor_is_refused_with_the_build_command():
    with pytest.raises(ConfigInvalid, match=r"linux/amd64, and ml\.c7g\.large runs linux/arm64") as refused:
        instances.check_platform(image(), "ml.c7g.large")
    assert "build-and-push-container --platform linux/amd64,linux/arm64" in refused.value.advice
    with pytest.raises(ConfigInvalid, match="runs linux/amd64"):
        instances.check_platform(replace(image(), platform="linux/arm64/v8"), "ml.m5.large")
    instances.check_platform(replace(image(), platform="linux/arm64/v8"), "ml.c7g.large")


@pytest.mark.parametrize(
    ("gigabytes", "options", "fits"),
    [
        (29, {}, True),
        (31, {}, False),
        (31, {"volume_size_in_gb": 40}, True),
        (41, {"volume_size_in_gb": 40}, False),
        (200, {"instance_type": "ml.g5.xlarge"}, True),
        (6, {"serverless": True}, False),
        (4, {"serverless": True}, True),
    ],
)
def test_a_model_that_would_not_fit_the_disk_is_refused_before_the_upload(gigabytes: int, options: dict[str, object], fits: bool):
    given = {"instance_type": "ml.m5.large", "volume_size_in_gb": None, "serverless": False, **options}
    if fits:
        instances.check_disk(gigabytes * 10**9, **given)  # type: ignore[arg-type]
        return
    with pytest.raises(ConfigInvalid, match=f"the model has {gigabytes}"):
        instances.check_disk(gigabytes * 10**9, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "near"),
    [("ml.m5.lrge", "ml.m5.large"), ("ml.m5.Large", "ml.m5.large"), ("ml.c5.xlarg", "ml.c5.xlarge"), ("ml.g5.xxlarge", "ml.g5.xlarge")],
)
def test_a_type_that_is_none_is_refused_with_the_nearest(given: str, near: str):
    with pytest.raises(ConfigInvalid, match=f"{given} is not an instance type of SageMaker endpoints; did you mean {near}") as caught:
        instances.check_type(given, TYPES)
    assert "pip install --upgrade boto3" in caught.value.advice


def test_every_type_that_botocore_knows_is_one_and_has_the_form_that_options_take():
    from deployer_targets.sagemaker.config import SageMakerConfig

    for each in TYPES:
        instances.check_type(each, TYPES)
        assert SageMakerConfig.parse({"instance_type": each}, target="sagemaker").instance_type == each


@pytest.mark.parametrize("given", ["m5.large", "ML.M5.LARGE", "ml.M5.large"])
def test_the_names_of_others_for_a_type_are_told_ours(given: str):
    from deployer_targets.sagemaker.config import SageMakerConfig

    with pytest.raises(ConfigInvalid, match=r"did you mean ml\.m5\.large\?"):
        SageMakerConfig.parse({"instance_type": given}, target="sagemaker")


@pytest.mark.parametrize(
    ("wheels", "model", "where", "said"),
    [
        (3_000_000_000, 0, {"serverless": True}, ""),
        (4_500_000_000, 0, {"serverless": True}, "serverless inference takes images of up to 10 GB"),
        (4_500_000_000, 0, {}, ""),
        (4_500_000_000, 20 * 10**9, {}, "more than the disk of 30 GB"),
        (4_500_000_000, 20 * 10**9, {"volume_size_in_gb": 100}, ""),
        (4_500_000_000, 20 * 10**9, {"instance_type": "ml.g5.xlarge"}, ""),
        (0, 0, {"serverless": True}, ""),
    ],
)
def test_packages_that_are_too_large_are_told_before_they_are_made(wheels: int, model: int, where: dict[str, Any], said: str):
    how = {"instance_type": "ml.m5.large", "volume_size_in_gb": None, "serverless": False} | where
    found = instances.too_large(wheels, model, **how)
    assert said in found if said else not found


def there(instance_type: str, **options: Any) -> Any:
    from deployer_targets.sagemaker.config import SageMakerConfig

    return instances.accelerator(SageMakerConfig.parse({"instance_type": instance_type, **options}, target="sagemaker"))


def test_every_type_that_botocore_knows_has_a_gpu_or_none_or_something_else():
    found = {each.split(".")[1]: there(each) for each in TYPES}
    assert {name for name, each in found.items() if each is None} == {"inf1", "inf2", "trn1", "trn1n", "trn2", "dl1"}
    gpus = {name for name, each in found.items() if each is not None and each.gpu}
    assert gpus == {name for name in found if name[0] in "gp"}
    assert {"m5", "c7g", "c6gn", "r8g", "t2"}.isdisjoint(gpus)


@pytest.mark.parametrize(
    ("family", "options", "driver"),
    [
        ("g5", {}, 470),
        ("p5", {}, 535),
        ("p5en", {}, 550),
        ("g6e", {}, 0),
        ("g5", {"inference_ami_version": "al2-ami-sagemaker-inference-gpu-3-1"}, 550),
        ("g5", {"inference_ami_version": "al2023-ami-sagemaker-inference-gpu-4-1"}, 580),
        ("g5", {"inference_ami_version": "of-next-year"}, 0),
    ],
)
def test_the_driver_is_the_host_image_s_where_it_is_known(family: str, options: dict[str, Any], driver: int):
    assert there(f"ml.{family}.xlarge", **options).driver == driver


def test_the_host_images_are_those_that_botocore_knows():
    known = botocore.session.get_session().get_service_model("sagemaker").shape_for("ProductionVariantInferenceAmiVersion").enum
    assert set(instances._DRIVERS) == {each for each in known if "gpu" in each}


def test_serverless_inference_has_no_gpu():
    assert not there("ml.g5.xlarge", serverless_config={"MemorySizeInMB": 2048, "MaxConcurrency": 2}).gpu
