"""Updates by deployment guardrails, as plain boto3 sees them: shares, waits, alarms, the way back, and what is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import User, eventually


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def blue_green(kind: str, wait: int = 200, *, termination: int | None = None, limit: int | None = None, **routing: Any) -> dict[str, Any]:
    policy: dict[str, Any] = {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **routing}}
    policy |= {} if termination is None else {"TerminationWaitInSeconds": termination}
    policy |= {} if limit is None else {"MaximumExecutionTimeoutInSeconds": limit}
    return {"BlueGreenUpdatePolicy": policy}


def rolling(batch: Mapping[str, Any], wait: int = 200, **more: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait, **more}}


class Update:
    """An endpoint that answers "old", and a configuration whose model answers "new"."""

    def __init__(self, user: User, name: str) -> None:
        self.user, self.name = user, name

    def prepare(self, *, count: int = 1, kind: str = "ml.m5.large", **files: str) -> None:
        shape = {"InitialInstanceCount": count, "InstanceType": kind}
        self.user.config(f"{self.name}-1", self.user.model(f"{self.name}-1", answer="old"), **shape)
        self.user.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=f"{self.name}-1")
        self.user.config(f"{self.name}-2", self.user.model(f"{self.name}-2", answer="new", **files), **shape)
        assert self.user.settled(self.name) == "InService"

    def start(self, guardrails: Mapping[str, Any], **more: Any) -> None:
        asked = {"DeploymentConfig": guardrails} if guardrails else {}
        self.user.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=f"{self.name}-2", **asked, **more)

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.user.sagemaker.describe_endpoint(EndpointName=self.name)
        return found

    def stage(self) -> tuple[str, float]:
        """The pending variant's status, and the share of the traffic that it says it has."""
        pending = self.describe().get("PendingDeploymentSummary")
        if not pending:
            return "", 0.0
        status = pending["ProductionVariants"][0]["VariantStatus"][0]
        found = re.match(r"[\d.]+", status.get("StatusMessage", ""))
        return status["Status"], float(found[0]) if found else 0.0

    def new_of(self, count: int) -> int:
        """How many of so many requests the new model answers."""
        return sum(self.user.ask(self.name).startswith("new") for _ in range(count))

    def stages(self) -> list[tuple[str, float]]:
        """All stages until the update is over."""
        seen: list[tuple[str, float]] = []
        while (stage := self.stage())[0]:
            if stage not in seen:
                seen.append(stage)
            time.sleep(0.02)
        return seen


@pytest.fixture
def update(user: User, name: str) -> Update:
    return Update(user, name)


def test_a_canary_has_its_share_until_the_rest_follows(update: Update) -> None:
    update.prepare()
    update.start(blue_green("CANARY", 300, CanarySize=percent(20)))
    eventually(lambda: update.stage() == ("Baking", 20.0))
    assert 5 <= update.new_of(100) <= 40
    eventually(lambda: update.stage() == ("Baking", 100.0))
    assert update.new_of(20) == 20
    assert update.user.settled(update.name) == "InService"
    assert update.describe()["EndpointConfigName"] == f"{update.name}-2"


@pytest.mark.parametrize(
    ("guardrails", "count", "shares"),
    [
        (blue_green("LINEAR", 30, LinearStepSize=percent(40)), 1, [40, 80, 100]),
        (blue_green("LINEAR", 30, LinearStepSize=instances(2)), 4, [50, 100]),
        (blue_green("CANARY", 30, CanarySize=instances(1)), 4, [25, 100]),
        (blue_green("ALL_AT_ONCE", 30), 1, [100]),
        (rolling(percent(50), 30), 2, [50, 100]),
        (rolling(instances(1), 30), 4, [25, 50, 75, 100]),
    ],
)
def test_the_shares_of_each_way(update: Update, guardrails: dict[str, Any], count: int, shares: list[float]) -> None:
    update.prepare(count=count)
    update.start(guardrails)
    assert [share for status, share in update.stages() if status == "Baking"] == shares
    assert update.describe()["EndpointConfigName"] == f"{update.name}-2"


def test_a_rolling_update_exchanges_instances_batch_by_batch(update: Update) -> None:
    update.prepare(count=4)
    update.start(rolling(instances(1), 80))
    eventually(lambda: update.stage() == ("Baking", 50.0))
    pending = update.describe()["PendingDeploymentSummary"]["ProductionVariants"][0]
    assert (pending["CurrentInstanceCount"], pending["DesiredInstanceCount"]) == (2, 4)
    assert update.user.settled(update.name) == "InService"


def test_the_old_fleet_is_kept_for_the_termination_wait(update: Update) -> None:
    update.prepare()
    update.start(blue_green("ALL_AT_ONCE", 0, termination=100))
    eventually(lambda: update.stage() == ("Deleting", 100.0))
    assert update.describe()["EndpointStatus"] == "Updating"
    assert update.new_of(10) == 10
    assert update.user.settled(update.name) == "InService"


@pytest.mark.parametrize(
    "guardrails", [blue_green("CANARY", 600, CanarySize=percent(50)), blue_green("ALL_AT_ONCE", 600), rolling(percent(50), 600)], ids=str
)
def test_an_alarm_while_baking_rolls_back(update: Update, guardrails: dict[str, Any]) -> None:
    update.prepare()
    cloudwatch = alarm(update)
    asked = {**guardrails, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": update.name}]}}
    update.start(asked)
    eventually(lambda: update.user.ask(update.name).startswith("new"))
    cloudwatch.set_alarm_state(AlarmName=update.name, StateValue="ALARM", StateReason="test")
    assert update.user.settled(update.name) == "InService"
    described = update.describe()
    assert described["EndpointConfigName"] == f"{update.name}-1"
    assert update.name in described["FailureReason"]
    assert described["LastDeploymentConfig"] == asked
    assert "PendingDeploymentSummary" not in described
    assert update.new_of(10) == 0


def test_a_rollback_by_batches(update: Update) -> None:
    update.prepare(count=4)
    cloudwatch = alarm(update)
    guardrails = rolling(instances(2), 100, RollbackMaximumBatchSize=instances(1))
    update.start({**guardrails, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": update.name}]}})
    eventually(lambda: update.stage() == ("Baking", 50.0))
    cloudwatch.set_alarm_state(AlarmName=update.name, StateValue="ALARM", StateReason="test")
    eventually(lambda: update.describe()["EndpointStatus"] == "RollingBack")
    eventually(lambda: update.stage()[1] == 25.0)
    assert update.user.settled(update.name) == "InService"
    assert update.new_of(10) == 0


def test_an_update_that_takes_too_long_rolls_back(update: Update) -> None:
    update.prepare(mode="slow")
    update.user.control.settings(execution_timeout_scale=0.001)
    update.start(blue_green("ALL_AT_ONCE", limit=600))
    assert update.user.settled(update.name) == "InService"
    assert "timeout of 600 seconds" in update.describe()["FailureReason"]
    assert update.new_of(5) == 0


def test_a_retained_deployment_config_is_used_again(update: Update) -> None:
    update.prepare()
    guardrails = blue_green("CANARY", 50, CanarySize=percent(30))
    update.start(guardrails)
    assert update.user.settled(update.name) == "InService"
    update.start({}, RetainDeploymentConfig=True)
    assert ("Baking", 30.0) in update.stages()
    assert update.describe()["LastDeploymentConfig"] == guardrails


def test_fleets_that_have_no_guardrails_go_over_at_once(update: Update) -> None:
    update.prepare(kind="ml.inf1.xlarge")
    update.start(blue_green("CANARY", CanarySize=percent(30)))
    assert not [stage for stage in update.stages() if stage[0] == "Baking"]
    assert update.describe()["EndpointConfigName"] == f"{update.name}-2"


@pytest.mark.parametrize(
    ("guardrails", "words"),
    [
        ({**blue_green("ALL_AT_ONCE"), **rolling(percent(20))}, "cannot be specified together"),
        (blue_green("CANARY"), "CanarySize is required"),
        (blue_green("LINEAR"), "LinearStepSize is required"),
        (blue_green("ALL_AT_ONCE", CanarySize=percent(20)), "CanarySize is only allowed"),
        (blue_green("LINEAR", LinearStepSize=percent(20), CanarySize=percent(20)), "CanarySize is only allowed"),
        (blue_green("CANARY", CanarySize=percent(51)), "CanarySize must be between 1 and 50 percent"),
        (blue_green("CANARY", CanarySize=instances(3)), "CanarySize must be between 1 and 50 percent"),
        (blue_green("LINEAR", LinearStepSize=percent(9)), "LinearStepSize must be between 10 and 50 percent"),
        (rolling(percent(4)), "MaximumBatchSize must be between 5 and 50 percent"),
        (rolling(percent(51)), "MaximumBatchSize must be between 5 and 50 percent"),
        (rolling(instances(3)), "MaximumBatchSize must be between 5 and 50 percent"),
        (rolling(percent(50), RollbackMaximumBatchSize=percent(101)), "RollbackMaximumBatchSize must be between 1 and 100 percent"),
        (blue_green("ALL_AT_ONCE", 600, limit=600), "must be larger than the total waiting time"),
        (blue_green("CANARY", 300, CanarySize=percent(20), termination=100, limit=700), "must be larger than the total waiting time"),
        (rolling(percent(50), 300, MaximumExecutionTimeoutInSeconds=600), "must be larger than the total waiting time"),
        (rolling(percent(50), MaximumExecutionTimeoutInSeconds=599), "greater than or equal to 600"),
        (blue_green("SOMEHOW"), "Member must satisfy enum value set"),
        (blue_green("ALL_AT_ONCE", 3601), "less than or equal to 3600"),
        ({"AutoRollbackConfiguration": {"Alarms": []}}, "length greater than or equal to 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(user: User, still: str, guardrails: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        user.sagemaker.update_endpoint(EndpointName=still, EndpointConfigName=f"{still}-1", DeploymentConfig=guardrails)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert user.status_of(still) == "InService"


def test_guardrails_want_the_same_variants(user: User, still: str) -> None:
    user.config(f"{still}-other", f"{still}-1", VariantName="Another")
    with pytest.raises(ClientError, match="names of those in service"):
        user.sagemaker.update_endpoint(EndpointName=still, EndpointConfigName=f"{still}-other", DeploymentConfig=blue_green("ALL_AT_ONCE"))


@pytest.fixture(scope="module")
def still(shared: User) -> str:
    """An endpoint of four instances that nothing happens to."""
    shared.config("still-1", shared.model("still-1", answer="one"), InitialInstanceCount=4)
    shared.sagemaker.create_endpoint(EndpointName="still", EndpointConfigName="still-1")
    assert shared.settled("still") == "InService"
    return "still"


def alarm(update: Update) -> Any:
    """An alarm of the endpoint's name, on a metric that never comes."""
    cloudwatch = update.user.client("cloudwatch")
    asked: dict[str, Any] = {"MetricName": "m", "Namespace": "n", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0, "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(AlarmName=update.name, ComparisonOperator="GreaterThanThreshold", **asked)
    return cloudwatch
