"""What requests must be like, as the service's own shapes say."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.shapes import check

VARIANT = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


def faults(operation: str, parameters: dict[str, Any]) -> str:
    with pytest.raises(AwsError) as caught:
        check("sagemaker", operation, parameters)
    return caught.value.message


def test_a_request_that_fits_its_shape_passes() -> None:
    check("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "a-b", "ProductionVariants": [VARIANT]})
    check("sagemaker", "AddTags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m", "Tags": [{"Key": "größe", "Value": "ü 1/2"}]})
    check("sagemaker", "AnOperationOfTomorrow", {"Anything": 1})


def test_faults_are_worded_as_the_service_words_them() -> None:
    message = faults("CreateEndpoint", {"EndpointName": "under_score", "EndpointConfigName": "c"})
    assert message == (
        "1 validation error detected: Value 'under_score' at 'endpointName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )
    assert faults("CreateEndpoint", {}).startswith("2 validation errors detected: Value null at 'endpointName'")


def test_values_of_maps_are_never_repeated() -> None:
    container = {"Image": "i", "Environment": {"TOKEN": "geheim" * 1000}}
    message = faults("CreateModel", {"ModelName": "m", "PrimaryContainer": container})
    assert "TOKEN" in message
    assert "geheim" not in message


@pytest.mark.parametrize(
    ("name", "fits"), [("a", True), ("a" * 63, True), ("a" * 64, False), ("a-", False), ("-a", False), ("a--b", True), ("ä", False)]
)
def test_names_at_their_limits(name: str, fits: bool) -> None:
    if fits:
        check("sagemaker", "DescribeModel", {"ModelName": name})
    else:
        assert "modelName" in faults("DescribeModel", {"ModelName": name})
