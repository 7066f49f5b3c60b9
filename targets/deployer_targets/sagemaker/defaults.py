"""The SageMaker SDK's defaults files: an administrator's and a user's config.yaml, merged as the SDK merges them.

The rules are those of `sagemaker.core.config.load_sagemaker_config` (sagemaker-core 2.27): goldens of it are in the tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker import names, store
from deployer_targets.sagemaker.client import Aws

FILE = "config.yaml"
ADMIN = "SAGEMAKER_ADMIN_CONFIG_OVERRIDE"
USER = "SAGEMAKER_USER_CONFIG_OVERRIDE"
MLFLOW_IMAGE = "MLFLOW_SAGEMAKER_DEPLOY_IMG_URL"

PATHS: Mapping[str, tuple[str, str]] = {
    "execution_role_arn": ("Model", "ExecutionRoleArn"),
    "vpc_config": ("Model", "VpcConfig"),
    "enable_network_isolation": ("Model", "EnableNetworkIsolation"),
    "kms_key": ("EndpointConfig", "KmsKeyId"),
}
"""Where each option stands in those files, below `SageMaker`."""
KEYS_FOR: Mapping[str, tuple[str, ...]] = {
    "data_capture_config": ("EndpointConfig", "DataCaptureConfig", "KmsKeyId"),
    "async_inference_config": ("EndpointConfig", "AsyncInferenceConfig", "OutputConfig", "KmsKeyId"),
}
"""The files hold but the key of these options: it is used where the option is given without one."""
TAGGED = ("Model", "EndpointConfig", "Endpoint")
"""Whose `Tags` there become the option `tags`; later ones win."""

Fetch = Callable[[str], bytes]
"""An s3:// URL (of a file, or of a folder with a config.yaml) to the file's bytes."""


def defaults(environ: Mapping[str, str], fetch: Fetch) -> tuple[dict[str, Any], dict[str, str]]:
    """The options that these files set, and the file that each comes from.

    Raises:
        ConfigInvalid: a file that a variable names isn't there, or isn't such a file.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    merged: dict[str, Any] = {}
    for place, content in _files(environ, fetch):
        _merge(merged, content)
        found = _options(content)
        origins |= dict.fromkeys(found, f"the SageMaker SDK's {place}")
        values = _options(merged)
    if environ.get(MLFLOW_IMAGE):
        values["image_url"], origins["image_url"] = environ[MLFLOW_IMAGE], MLFLOW_IMAGE
    return values, {name: origins[name] for name in values}


def keys_for(environ: Mapping[str, str], fetch: Fetch) -> dict[str, str]:
    """The KMS keys of `KEYS_FOR` that the files set, by option."""
    below = merged_files(environ, fetch).get("SageMaker") or {}
    found = {option: _at(below, path) for option, path in KEYS_FOR.items()}
    return {option: str(key) for option, key in found.items() if key}


def merged_files(environ: Mapping[str, str], fetch: Fetch) -> dict[str, Any]:
    """The whole document that the SDK would see."""
    merged: dict[str, Any] = {}
    for _, content in _files(environ, fetch):
        _merge(merged, content)
    return merged


def _files(environ: Mapping[str, str], fetch: Fetch) -> Iterator[tuple[str, dict[str, Any]]]:
    for variable, default in ((ADMIN, _site_directory(environ)), (USER, _user_directory(environ))):
        named = environ.get(variable)
        place = named if named is not None else str(default / FILE)
        content = _read(place, fetch, named is not None)
        if content:
            yield place, content


def _read(place: str, fetch: Fetch, named: bool) -> dict[str, Any]:
    if place.startswith("s3://"):
        raw = fetch(place)
    else:
        path = Path(place) / FILE if Path(place).is_dir() else Path(place)
        if not path.exists():
            if not named:
                return {}
            raise ConfigInvalid(f"{place}, which {ADMIN} or {USER} names, is not there", advice="correct the variable, or unset it")
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ConfigInvalid(f"{path} can't be read: {error.strerror}", advice="it is one of the SageMaker SDK's defaults files") from error
    try:
        content = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise ConfigInvalid(
            f"{place} is not YAML", why=str(error).replace("\n", " "), advice="it is one of the SageMaker SDK's defaults files"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{place} is not a mapping", advice="it is one of the SageMaker SDK's defaults files")
    return content


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Mappings are merged key by key, everything else, lists too, is replaced (botocore's merge_dicts)."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = _copy(value)


def _copy(value: Any) -> Any:
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, dict) else value


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = (document or {}).get(key)
    return document


def _options(document: Mapping[str, Any]) -> dict[str, Any]:
    below = document.get("SageMaker") or {}
    found = {name: (below.get(resource) or {}).get(key) for name, (resource, key) in PATHS.items()}
    tags = {tag["Key"]: tag["Value"] for resource in TAGGED for tag in (below.get(resource) or {}).get("Tags") or ()}
    return {name: value for name, value in {**found, "tags": tags or None}.items() if value is not None}


def _site_directory(environ: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path("/Library/Application Support/sagemaker")
    return Path((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)[0]) / "sagemaker"


def _user_directory(environ: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/sagemaker"
    base = environ.get("XDG_CONFIG_HOME", "").strip()
    return (Path(base) if base else Path.home() / ".config") / "sagemaker"


def fetch_from_s3(cloud: Aws, url: str) -> bytes:
    """The file at an s3:// URL, or the config.yaml of the folder there.

    Raises:
        ConfigInvalid: there is no such file.
    """
    bucket, key = names.split_url(url)
    listed = [page["Key"] for page in cloud.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=key)]
    below = f"{key.rstrip('/')}/{FILE}" if key else FILE
    found = listed[0] if len(listed) == 1 else below if below in listed else None
    body = store.read(cloud, bucket, found) if found else None
    if body is None:
        raise ConfigInvalid(
            f"there is no SageMaker SDK's defaults file at {url}", advice=f"{ADMIN} and {USER} name a file, or a folder with a {FILE}"
        )
    return body
