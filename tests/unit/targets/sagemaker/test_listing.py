"""`list` over many endpoints: all pages, ours alone, in few calls."""

from __future__ import annotations

from dataclasses import replace

import pytest
from moto import mock_aws

from deployer.core.state import DeploymentName, Resource, Status
from deployer_targets.sagemaker import buckets, names, store
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.listing import summaries
from deployer_targets.sagemaker.names import Home
from tests.unit.targets.sagemaker.builders import BUCKET, ROLE, spec


class Counted(RegionClients):
    """Counts calls by operation."""

    def __init__(self) -> None:
        super().__init__("us-west-2")
        self.called: list[str] = []

    def call(self, service: str, operation: str, **parameters: object) -> object:  # type: ignore[override]
        self.called.append(operation)
        return super().call(service, operation, **parameters)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@mock_aws
def test_all_pages_are_read_ours_are_told_apart_and_few_calls_are_made():
    connection = Counted()
    cloud = Aws(connection, SageMakerConfig.parse({"bucket": BUCKET}, target="sagemaker"))
    buckets.ensure(cloud, BUCKET)
    sagemaker = connection.client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}
    for number in range(230):
        name = DeploymentName(f"e{number:03}")
        sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-c")
        if number % 2:
            _record(cloud, name, "one", f"{name}-c")
    # Two generations: which of them serves only the endpoint knows.
    _record(cloud, DeploymentName("e001"), "two", "another-config")
    _record(cloud, DeploymentName("archived"), "one", "gone")
    connection.called.clear()
    found = {summary.name: summary for summary in summaries(cloud)}
    assert set(found) == {f"e{number:03}" for number in range(1, 230, 2)} | {"archived"}
    assert found["e001"].model == "models:/churn/one"
    assert found["e003"].status is Status.READY
    assert found["archived"].status is Status.PAUSED
    assert connection.called.count("describe_endpoint") == 1
    assert connection.called.count("list_endpoints") == 3
    assert len(connection.called) < 10


def _record(cloud: Aws, name: DeploymentName, model: str, config: str) -> None:
    record = spec(model, name=name).record
    resources = tuple(Resource(names.CONFIG, config) if each.kind == names.CONFIG else each for each in record.resources)
    store.write_record(cloud, Home(BUCKET, name), replace(record, resources=resources))
