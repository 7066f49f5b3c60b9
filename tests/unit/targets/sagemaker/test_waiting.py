"""What SageMaker's states mean for a rollout: served, rolled back, failed, or somebody else's doing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployer.core.plan import Progress
from deployer.errors import Conflict, RollbackFailed, RolloutFailed, TimedOut
from deployer.events import silent
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.steps import PointEndpoint
from deployer_targets.sagemaker.waiting import AwaitServing, explained, settle
from tests.unit.targets.sagemaker.builders import NAME

ABSENT = ClientError({"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}, "DescribeEndpoint")


class SageMakerApi:
    """Describes the endpoint by one description after the other, the last one for ever."""

    def __init__(self, *descriptions: dict[str, Any] | None) -> None:
        self.descriptions, self.updates, self.described = list(descriptions), 0, 0

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        self.described += 1
        found = self.descriptions.pop(0) if len(self.descriptions) > 1 else self.descriptions[0]
        if found is None:
            raise ABSENT
        return found

    def update_endpoint(self, **_: Any) -> dict[str, Any]:
        self.updates += 1
        return {}


class NoLogs:
    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        return {"logStreams": []}


def endpoint(status: str, config: str, *, reason: str = "", pending: str = "", modified: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {"EndpointStatus": status, "EndpointConfigName": config, "LastModifiedTime": modified}
    if reason:
        found["FailureReason"] = reason
    if pending:
        found["PendingDeploymentSummary"] = {"EndpointConfigName": pending}
    return found


def aws(*descriptions: dict[str, Any] | None) -> tuple[Aws, SageMakerApi]:
    api = SageMakerApi(*descriptions)
    connection = RegionClients("us-west-2", sleep=lambda _: None)
    connection._clients.update({"sagemaker": api, "logs": NoLogs()})
    return Aws(connection, SageMakerConfig.parse({}, target="sagemaker")), api


def awaiting(*descriptions: dict[str, Any] | None, before: str | None = "3f2a91c07e") -> None:
    AwaitServing(NAME, "new", before, timeout_seconds=5).run(aws(*descriptions)[0], Progress("step", "step", silent))


def test_served_means_in_service_on_the_new_config():
    awaiting(endpoint("Updating", "old", pending="new"), endpoint("Updating", "old", pending="new"), endpoint("InService", "new"))


def test_in_service_on_the_old_config_with_a_reason_is_a_rollback_not_a_success():
    with pytest.raises(RolloutFailed, match="generation 3f2a91c07e still serves") as failed:
        awaiting(endpoint("Updating", "old", pending="new"), endpoint("InService", "old", reason="ping failed"))
    assert "ping failed" in failed.value.why


def test_in_service_on_another_config_without_a_reason_is_a_rivals_doing():
    with pytest.raises(Conflict):
        awaiting(endpoint("InService", "theirs"))


def test_failed_on_our_config_is_a_failed_create():
    with pytest.raises(RolloutFailed, match="was not created"):
        awaiting(endpoint("Creating", "new"), endpoint("Failed", "new", reason="image"), before=None)


def test_a_way_back_that_failed_too_is_told_apart():
    with pytest.raises(RollbackFailed, match="mix of both"):
        awaiting(endpoint("UpdateRollbackFailed", "old", reason="capacity"))
    with pytest.raises(RollbackFailed, match="nothing serves"):
        awaiting(endpoint("Failed", "old", reason="capacity"))


def test_gone_or_going_is_somebody_elses_doing():
    for descriptions in ((None,), (endpoint("Deleting", "new"),)):
        with pytest.raises(Conflict):
            awaiting(*descriptions)


def test_the_reason_of_an_earlier_failure_is_not_taken_for_this_ones():
    stale = endpoint("InService", "old", reason="of last week", modified=1)
    cloud, api = aws(stale, stale, stale, endpoint("Updating", "old", pending="new", modified=2))
    PointEndpoint(NAME, "new", expecting="old").run(cloud, Progress("step", "step", silent))
    assert api.updates == 1
    assert api.described == 4


def test_an_endpoint_that_moved_since_the_plan_is_not_touched():
    cloud, api = aws(endpoint("InService", "theirs"))
    with pytest.raises(Conflict, match="theirs"):
        PointEndpoint(NAME, "new", expecting="old").run(cloud, Progress("step", "step", silent))
    assert api.updates == 0


def test_what_points_there_already_is_left_alone():
    for found in (endpoint("InService", "new"), endpoint("Updating", "old", pending="new")):
        cloud, api = aws(found)
        PointEndpoint(NAME, "new", expecting="old").run(cloud, Progress("step", "step", silent))
        assert api.updates == 0


def test_settling_waits_for_what_is_under_way_and_then_gives_up_in_time():
    settle(NAME, aws(endpoint("SystemUpdating", "old"), endpoint("InService", "old"))[0], silent, 5)
    with pytest.raises(TimedOut, match="still Updating"):
        settle(NAME, aws(endpoint("Updating", "old"))[0], silent, 0.01)


def test_the_last_exception_explains_and_a_missing_module_has_its_advice():
    cause, advice = explained(("starting", "ModuleNotFoundError: No module named 'lightgbm'", "stopped"))
    assert cause == "ModuleNotFoundError: No module named 'lightgbm'"
    assert "--with lightgbm" in advice
    assert explained(("fine",)) == ("", "")
