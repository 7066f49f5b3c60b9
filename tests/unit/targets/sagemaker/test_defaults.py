"""The SageMaker SDK's defaults files, held against what its own loader makes of them (goldens/record)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker import defaults
from deployer_targets.sagemaker.config import SageMakerConfig

GOLDENS = Path(__file__).with_name("goldens")
CASES = yaml.safe_load((GOLDENS / "cases.yaml").read_text())
EXPECTED = json.loads((GOLDENS / "goldens.json").read_text())


def nothing_in_s3(url: str) -> bytes:
    raise AssertionError(f"nobody asked for {url}")


def environment(folder: Path, case: dict[str, Any]) -> dict[str, str]:
    for who in ("admin", "user"):
        (folder / f"{who}.yaml").write_text(yaml.safe_dump(case[who]) if case.get(who) else "")
    return {defaults.ADMIN: str(folder / "admin.yaml"), defaults.USER: str(folder / "user.yaml")}


@pytest.mark.parametrize("name", CASES)
def test_two_files_merge_as_the_sdk_merges_them(name: str, tmp_path: Path):
    assert defaults.merged_files(environment(tmp_path, CASES[name]), nothing_in_s3) == EXPECTED[name]


@pytest.mark.parametrize("name", CASES)
def test_what_the_files_say_is_valid_as_options(name: str, tmp_path: Path):
    values, origins = defaults.defaults(environment(tmp_path, CASES[name]), nothing_in_s3)
    SageMakerConfig.parse(values, target="sagemaker")
    assert set(origins) == set(values)


def test_each_option_says_which_file_it_came_from(tmp_path: Path):
    values, origins = defaults.defaults(environment(tmp_path, CASES["the user's wins key by key"]), nothing_in_s3)
    assert values["execution_role_arn"].endswith("role/user")
    assert values["tags"] == {"team": "fraud"}
    assert origins["execution_role_arn"].endswith("user.yaml")
    assert origins["vpc_config"].endswith("admin.yaml")
    assert origins["kms_key"].endswith("admin.yaml")


def test_the_files_hold_keys_for_options_that_name_none(tmp_path: Path):
    found = defaults.keys_for(environment(tmp_path, CASES["keys for captured data and asynchronous answers"]), nothing_in_s3)
    assert found == {"data_capture_config": "users-capture-key", "async_inference_config": "admins-answer-key"}


def test_a_folder_stands_for_its_config_yaml(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("SageMaker: {Model: {ExecutionRoleArn: 'arn:aws:iam::111122223333:role/x'}}")
    values, _ = defaults.defaults({defaults.ADMIN: str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "none")}, nothing_in_s3)
    assert values == {"execution_role_arn": "arn:aws:iam::111122223333:role/x"}


def test_files_in_s3_are_fetched():
    environ = {defaults.ADMIN: "s3://bucket/defaults", defaults.USER: "s3://bucket/mine.yaml"}
    files = {
        "s3://bucket/defaults": b"SageMaker: {EndpointConfig: {KmsKeyId: a}}",
        "s3://bucket/mine.yaml": b"SageMaker: {EndpointConfig: {KmsKeyId: b}}",
    }
    values, origins = defaults.defaults(environ, files.__getitem__)
    assert (values, origins) == ({"kms_key": "b"}, {"kms_key": "the SageMaker SDK's s3://bucket/mine.yaml"})


def test_default_places_may_be_empty_and_named_ones_may_not(tmp_path: Path):
    nowhere = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path)}
    assert defaults.defaults(nowhere, nothing_in_s3) == ({}, {})
    with pytest.raises(ConfigInvalid, match="is not there"):
        defaults.defaults({**nowhere, defaults.USER: str(tmp_path / "absent.yaml")}, nothing_in_s3)


def test_the_users_default_place_is_read(tmp_path: Path):
    (tmp_path / "sagemaker").mkdir()
    (tmp_path / "sagemaker" / "config.yaml").write_text("SageMaker: {EndpointConfig: {KmsKeyId: key}}")
    values, _ = defaults.defaults({"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}, nothing_in_s3)
    assert values == {"kms_key": "key"}


def test_broken_yaml_is_refused_with_the_file(tmp_path: Path):
    (tmp_path / "broken.yaml").write_text("SageMaker: {")
    with pytest.raises(ConfigInvalid, match=r"broken\.yaml is not YAML"):
        defaults.defaults({defaults.USER: str(tmp_path / "broken.yaml"), "XDG_CONFIG_DIRS": str(tmp_path)}, nothing_in_s3)


def test_mlflows_own_variable_for_the_image_is_honoured(tmp_path: Path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path), defaults.MLFLOW_IMAGE: "1.dkr.ecr.us-west-2.amazonaws.com/x:1"}
    values, origins = defaults.defaults(environ, nothing_in_s3)
    assert values == {"image_url": "1.dkr.ecr.us-west-2.amazonaws.com/x:1"}
    assert origins == {"image_url": defaults.MLFLOW_IMAGE}
