"""Where a container's model data is."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_localstack.aws.model_data import model_data


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"ModelDataUrl": "s3://b/a/m.tar.gz"}, ("b", "a/m.tar.gz", False)),
        ({"ModelDataUrl": "https://s3.eu-west-1.amazonaws.com/b/m.tar.gz"}, ("b", "m.tar.gz", False)),
        ({"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/p/", "S3DataType": "S3Prefix", "CompressionType": "None"}}}, ("b", "p/", True)),
    ],
)
def test_model_data_is_found_in_each_of_its_forms(container: dict[str, Any], expected: tuple[str, str, bool]) -> None:
    data = model_data(container)
    assert data is not None
    assert (data.bucket, data.key, data.is_prefix) == expected


def test_a_container_may_have_no_data() -> None:
    assert model_data({"Image": "i"}) is None
