"""Nested options against botocore's model of the service: the same names, what is required, choices and limits."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

import botocore.session
import pytest
from botocore.model import Shape as BotocoreShape

from deployer_targets.sagemaker import shapes
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.shapes import Shape

SERVICE = botocore.session.get_session().get_service_model("sagemaker")
OURS = {
    "VpcConfig": shapes.VpcConfig,
    "DataCaptureConfig": shapes.DataCaptureConfig,
    "AsyncInferenceConfig": shapes.AsyncInferenceConfig,
    "ProductionVariantServerlessConfig": shapes.ServerlessConfig,
    "ProductionVariantRoutingConfig": shapes.RoutingConfig,
    "ProductionVariantManagedInstanceScaling": shapes.ManagedInstanceScaling,
    "ImageConfig": shapes.ImageConfig,
}


@pytest.mark.parametrize("name", OURS)
def test_every_shape_is_one_of_botocore(name: str):
    assert list(differences(OURS[name], SERVICE.shape_for(name), name)) == []


@pytest.mark.parametrize(
    ("option", "shape"),
    [
        ("container_startup_timeout", "ProductionVariantContainerStartupHealthCheckTimeoutInSeconds"),
        ("model_data_download_timeout", "ProductionVariantModelDataDownloadTimeoutInSeconds"),
        ("volume_size_in_gb", "ProductionVariantVolumeSizeInGB"),
    ],
)
def test_numbers_have_botocores_limits(option: str, shape: str):
    assert limits(SageMakerConfig.model_fields[option].metadata) == limits_of(SERVICE.shape_for(shape))


def differences(ours: type[Shape], theirs: BotocoreShape, where: str) -> typing.Iterator[str]:
    """Every way in which a model of ours isn't botocore's, by path. What a newer botocore adds is no difference."""
    for field in ours.model_fields.values():
        key = str(field.alias)
        place, bare, member = f"{where}.{key}", bare_type(field.annotation), theirs.members.get(key)
        if member is None:
            yield f"{place}: botocore has none"
            continue
        if key in theirs.required_members and not field.is_required():
            yield f"{place}: botocore requires it"
        inner, inner_shape = (item_type(bare), member.member) if member.type_name == "list" else (bare, member)
        if isinstance(inner, type) and issubclass(inner, Shape):
            yield from differences(inner, inner_shape, place)
        elif typing.get_origin(inner) is Literal:
            if not set(typing.get_args(inner)) <= set(inner_shape.enum):
                yield f"{place}: choices {typing.get_args(inner)}, botocore's {inner_shape.enum}"
        elif getattr(inner_shape, "enum", None):
            yield f"{place}: any text, botocore's choices are {inner_shape.enum}"
        if member.type_name in ("integer", "list") and limits(field.metadata) != limits_of(member):
            yield f"{place}: limits {limits(field.metadata)}, botocore's {limits_of(member)}"
    if missing := set(theirs.required_members) - {field.alias for field in ours.model_fields.values()}:
        yield f"{where}: botocore requires {missing}"


def bare_type(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(each for each in typing.get_args(annotation) if each is not type(None))
    return annotation


def item_type(annotation: Any) -> Any:
    item = typing.get_args(annotation)[0]
    return typing.get_args(item)[0] if typing.get_origin(item) is typing.Annotated else item


def limits(metadata: list[Any]) -> tuple[Any, Any]:
    """The least and the most that a field takes, of its value or of its length."""
    found: dict[str, Any] = {}
    for each in metadata:
        for bound, keys in (("low", ("ge", "min_length")), ("high", ("le", "max_length"))):
            for key in keys:
                if hasattr(each, key):
                    found[bound] = getattr(each, key)
    return found.get("low", 0), found.get("high")


def limits_of(shape: BotocoreShape) -> tuple[Any, Any]:
    return shape.metadata.get("min", 0), shape.metadata.get("max")
