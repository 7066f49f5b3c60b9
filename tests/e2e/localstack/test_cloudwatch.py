"""CloudWatch's metrics of real invocations and alarms on them, as plain boto3 sees them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import User, eventually


class Watcher:
    """CloudWatch, asked about one endpoint."""

    def __init__(self, user: User, name: str) -> None:
        self.user, self.name = user, name
        self.client = user.client("cloudwatch")

    def dimensions(self, variant: str = "AllTraffic", config: str = "") -> list[dict[str, str]]:
        found = {"EndpointName": self.name, "VariantName": variant} | ({"EndpointConfigName": config} if config else {})
        return [{"Name": key, "Value": value} for key, value in found.items()]

    def window(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(seconds=1)}

    def points(self, metric: str, statistics: Sequence[str] = ("Sum",), period: int = 3600, **dimensions: str) -> list[dict[str, Any]]:
        plain = [each for each in statistics if not each.startswith("p")]
        asked: dict[str, Any] = {"Statistics": plain} if plain else {}
        if extended := [each for each in statistics if each not in plain]:
            asked["ExtendedStatistics"] = extended
        answer = self.client.get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=metric, Dimensions=self.dimensions(**dimensions), Period=period, **self.window(), **asked
        )
        found: list[dict[str, Any]] = answer["Datapoints"]
        return found

    def sum(self, metric: str, **dimensions: str) -> float:
        return sum(float(each["Sum"]) for each in self.points(metric, **dimensions))

    def alarm(self, metric: str = "Invocation5XXErrors", **more: Any) -> str:
        plain = {"Statistic": "Average", "Period": 60, "EvaluationPeriods": 1, "Threshold": 0.1, "ComparisonOperator": "GreaterThanThreshold"}
        asked = {**plain, "MetricName": metric, "Namespace": "AWS/SageMaker", "Dimensions": self.dimensions(), "TreatMissingData": "notBreaching"}
        self.client.put_metric_alarm(AlarmName=self.name, **{**asked, **more})
        return self.name

    def state(self) -> str:
        return str(self.client.describe_alarms(AlarmNames=[self.name])["MetricAlarms"][0]["StateValue"])


@pytest.fixture
def watcher(user: User, name: str) -> Watcher:
    return Watcher(user, name)


def ask(user: User, name: str, *bodies: str, **more: Any) -> None:
    for body in bodies:
        with suppress(ClientError):
            user.ask(name, body, **more)


def test_metrics_are_those_of_real_invocations(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name)
    ask(user, name, "good", "good", "bad", "sleep 0.2")
    assert watcher.sum("Invocations") == 4
    assert watcher.sum("Invocation4XXErrors") == 1
    assert watcher.sum("Invocation5XXErrors") == 0
    assert watcher.sum("InvocationModelErrors") == 1
    assert watcher.sum("InvocationsPerInstance") == 4
    (latency,) = watcher.points("ModelLatency", ("Average", "Maximum", "Minimum", "SampleCount", "p50", "p99"))
    assert latency["Unit"] == "Microseconds"
    assert 200_000 <= latency["Maximum"] < 5_000_000
    assert latency["ExtendedStatistics"]["p99"] == latency["Maximum"]
    assert latency["Minimum"] <= latency["ExtendedStatistics"]["p50"] < 200_000
    assert latency["SampleCount"] == 4
    (overhead,) = watcher.points("OverheadLatency", ("Average",))
    assert overhead["Average"] > 0
    (rate,) = watcher.points("Invocation4XXErrors", ("Average",))
    assert rate["Average"] == 0.25


def test_a_container_that_does_not_answer_is_a_models_error(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name)
    ask(user, name, "die")
    assert (watcher.sum("Invocations"), watcher.sum("InvocationModelErrors"), watcher.sum("Invocation5XXErrors")) == (1, 1, 0)


def test_metrics_are_by_variant_and_by_configuration(user: User, name: str, watcher: Watcher) -> None:
    model = user.model(f"{name}-1", answer="one")
    variant = {"ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    variants = [{**variant, "VariantName": "a"}, {**variant, "VariantName": "b", "InitialVariantWeight": 0.0}]
    user.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "InService"
    ask(user, name, "x", "x", "x")
    ask(user, name, "x", TargetVariant="b")
    assert (watcher.sum("Invocations", variant="a"), watcher.sum("Invocations", variant="b")) == (3, 1)
    assert watcher.sum("InvocationsPerInstance", variant="a") == 1.5
    assert watcher.sum("Invocations", variant="a", config=name) == 3
    assert watcher.sum("Invocations", variant="a", config="another") == 0


def test_streams_and_asynchronous_invocations_count(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name)
    events = user.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"stream 3")["Body"]
    assert len(list(events)) == 3
    assert eventually(lambda: watcher.sum("Invocations")) == 1
    (latency,) = watcher.points("ModelLatency", ("Maximum",))
    assert latency["Maximum"] >= 60_000


def test_metric_data_and_math_on_it(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name)
    ask(user, name, "good", "good", "good", "bad")

    def stat(identity: str, metric: str, statistic: str = "Sum", **more: Any) -> dict[str, Any]:
        asked = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": watcher.dimensions()}
        return {"Id": identity, "MetricStat": {"Metric": asked, "Period": 3600, "Stat": statistic}, **more}

    queries = [
        stat("errors", "Invocation4XXErrors", ReturnData=False),
        stat("requests", "Invocations"),
        stat("slowest", "ModelLatency", "p99"),
        stat("none", "Nothing"),
        {"Id": "rate", "Expression": "100 * errors / requests", "Label": "Error rate"},
        {"Id": "filled", "Expression": "FILL(none, 0) + requests"},
    ]
    answer = watcher.client.get_metric_data(MetricDataQueries=queries, **watcher.window())
    found = {each["Id"]: each for each in answer["MetricDataResults"]}
    assert set(found) == {"requests", "slowest", "none", "rate", "filled"}
    assert sum(found["requests"]["Values"]) == 4
    assert found["rate"]["Label"] == "Error rate"
    assert found["rate"]["Values"] == [25.0]
    assert sum(found["filled"]["Values"]) == 4
    assert found["none"]["Values"] == []
    assert found["slowest"]["Values"][0] > 0
    with pytest.raises(ClientError, match="Error in expression"):
        watcher.client.get_metric_data(MetricDataQueries=[queries[1], {"Id": "x", "Expression": "requests ** 2"}], **watcher.window())


def test_what_users_put_is_found_again(user: User, name: str, watcher: Watcher) -> None:
    data: list[dict[str, Any]] = [
        {"MetricName": "one", "Value": 3.0, "Unit": "Count"},
        {"MetricName": "many", "Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
        {"MetricName": "sums", "StatisticValues": {"SampleCount": 4, "Sum": 20, "Minimum": 1, "Maximum": 9}},
    ]
    watcher.client.put_metric_data(Namespace=name, MetricData=data)
    found = {}
    for metric in ("one", "many", "sums"):
        asked = {"Namespace": name, "MetricName": metric, "Period": 3600, "Statistics": ["Sum", "SampleCount", "Minimum", "Maximum"]}
        (point,) = watcher.client.get_metric_statistics(**asked, **watcher.window())["Datapoints"]
        found[metric] = [point[each] for each in ("Sum", "SampleCount", "Minimum", "Maximum")]
    assert found == {"one": [3, 1, 3, 3], "many": [5, 4, 1, 2], "sums": [20, 4, 1, 9]}
    assert {each["MetricName"] for each in watcher.client.list_metrics(Namespace=name)["Metrics"]} == {"one", "many", "sums"}


def test_an_alarm_follows_its_metric(user: User, name: str, watcher: Watcher) -> None:
    user.control.settings(alarm_time_scale=0.05)  # a minute is three seconds
    user.endpoint(name, mode="faulty")
    watcher.alarm(TreatMissingData="missing")
    assert watcher.state() == "INSUFFICIENT_DATA"
    ask(user, name, "x", "x")
    assert watcher.state() == "ALARM"
    described = watcher.client.describe_alarms(StateValue="ALARM", AlarmNamePrefix=name)["MetricAlarms"][0]
    assert "Threshold Crossed" in described["StateReason"]
    eventually(lambda: watcher.state() == "INSUFFICIENT_DATA")
    watcher.client.delete_alarms(AlarmNames=[name])
    assert watcher.client.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def test_an_alarm_on_a_rate(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name)

    def stat(identity: str, metric: str) -> dict[str, Any]:
        asked = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": watcher.dimensions()}
        return {"Id": identity, "MetricStat": {"Metric": asked, "Period": 60, "Stat": "Sum"}, "ReturnData": False}

    metrics = [
        stat("errors", "Invocation4XXErrors"),
        stat("all", "Invocations"),
        {"Id": "rate", "Expression": "100 * errors / all", "ReturnData": True},
    ]
    asked: dict[str, Any] = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 50, "EvaluationPeriods": 1}
    watcher.client.put_metric_alarm(AlarmName=name, Metrics=metrics, **asked)
    ask(user, name, "good", "good", "bad")
    assert watcher.state() == "OK"
    ask(user, name, "bad")
    assert watcher.state() == "ALARM"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"Period": 45}, "must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 90}, "must be 10, 20, 30 or a multiple of 60"),
        ({"EvaluationPeriods": 2, "DatapointsToAlarm": 3}, "less than or equal to EvaluationPeriods"),
        ({"Metrics": [{"Id": "m", "Expression": "1"}]}, "Either MetricName or Metrics"),
    ],
)
def test_alarms_that_could_never_be_evaluated_are_refused(watcher: Watcher, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        watcher.alarm(**wrong)
    assert watcher.client.describe_alarms(AlarmNames=[watcher.name])["MetricAlarms"] == []


def test_a_state_that_is_set_holds_until_the_next_evaluation(user: User, name: str, watcher: Watcher) -> None:
    watcher.alarm()
    watcher.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    assert watcher.state() == "ALARM"
    user.control.settings(alarm_time_scale=0.001)
    time.sleep(0.1)
    assert watcher.state() == "OK"


def test_a_canary_that_fails_rolls_back_by_an_alarm_on_its_own_errors(user: User, name: str, watcher: Watcher) -> None:
    user.endpoint(name, answer="old")
    user.config(f"{name}-2", user.model(f"{name}-2", answer="new", mode="faulty"))
    watcher.alarm(Dimensions=watcher.dimensions(config=f"{name}-2"))
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 1800, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30}}
    guardrails = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]},
    }
    user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2", DeploymentConfig=guardrails)

    def rolled_back() -> bool:
        ask(user, name, "x")
        return user.status_of(name) == "InService"

    eventually(rolled_back)
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert (described["EndpointConfigName"], name in described["FailureReason"]) == (f"{name}-1", True)
    assert watcher.sum("Invocation5XXErrors", config=f"{name}-2") >= 1
    assert watcher.sum("Invocation5XXErrors", config=f"{name}-1") == 0
    assert user.ask(name).startswith("old")
