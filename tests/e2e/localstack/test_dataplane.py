"""Endpoints that really run: from Creating to answers, updates without a lost request, rollbacks, logs."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest
from botocore.exceptions import ClientError, EventStreamError

from .conftest import BUCKET, ROLE, User, eventually


def test_an_endpoint_answers_from_its_model(user: User, name: str) -> None:
    user.endpoint(name, answer="hello")
    answer = user.runtime.invoke_endpoint(EndpointName=name, Body=b"1,2", ContentType="text/csv", CustomAttributes="trace=7")
    assert answer["Body"].read() == b"hello:1,2"
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=7"


def test_only_the_documented_headers_reach_the_container(user: User, name: str) -> None:
    user.endpoint(name)
    answer = user.runtime.invoke_endpoint(EndpointName=name, Body=b"headers", ContentType="text/csv", Accept="text/plain", InferenceId="i-1")
    headers = json.loads(answer["Body"].read())
    assert headers.pop("host")
    assert headers == {
        "content-type": "text/csv",
        "accept": "text/plain",
        "x-amzn-sagemaker-inference-id": "i-1",
        "content-length": "7",
        "accept-encoding": "identity",
    }


def test_the_container_has_the_models_environment_and_none_of_ours(user: User, name: str) -> None:
    user.endpoint(name)
    environment = json.loads(user.ask(name, "environment"))
    assert environment["A"] == "b"
    assert not any(key.startswith("AWS_") for key in environment)


def test_the_containers_own_errors_come_as_model_errors(user: User, name: str) -> None:
    user.endpoint(name)
    with pytest.raises(ClientError) as caught:
        user.ask(name, "bad")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["OriginalStatusCode"] == 400
    assert "column x is missing" in answer["OriginalMessage"]
    assert answer["Error"]["Message"].startswith("Received client error (400) from primary with message")


def test_a_slow_answer_times_out_as_the_platform_says(user: User, name: str) -> None:
    user.endpoint(name)
    user.control.settings(invocation_timeout_seconds=0.3)
    with pytest.raises(ClientError, match="Your invocation timed out"):
        user.ask(name, "sleep 3")


def test_a_body_over_the_limit_is_refused(user: User, name: str) -> None:
    user.endpoint(name)
    user.control.settings(payload_limit_bytes=1000)
    assert user.ask(name, "x" * 1000)
    with pytest.raises(ClientError) as caught:
        user.ask(name, "x" * 1001)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_no_endpoint_no_answer(user: User, name: str) -> None:
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 123456789012 not found") as caught:
        user.ask(name)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_an_endpoint_in_creation_does_not_answer_yet(user: User, name: str) -> None:
    user.control.settings(creating_seconds=3.0)
    user.endpoint(name, wait=False)
    with pytest.raises(ClientError, match="not found"):
        user.ask(name)
    assert user.settled(name) == "InService"


def test_answers_are_streamed_as_they_come(user: User, name: str) -> None:
    user.endpoint(name)
    answer = user.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"stream 5")
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"".join(b"piece %d\n" % number for number in range(5))
    assert len(parts) > 1
    assert answer["ContentType"] == "text/plain"
    with pytest.raises(ClientError, match="column x is missing"):
        user.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"bad")


def test_a_stream_that_breaks_off_ends_in_an_error(user: User, name: str) -> None:
    user.endpoint(name)
    answer = user.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"stream 2000")
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        for number, _ in enumerate(answer["Body"]):
            if number == 1:
                with pytest.raises(ClientError):
                    user.ask(name, "die")


def test_an_update_loses_no_request(user: User, name: str) -> None:
    user.endpoint(name, answer="old")
    user.config(f"{name}-2", user.model(f"{name}-2", answer="new"))
    answers: list[str] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(user.ask(name, "sleep 0.05"))

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(keep_asking) for _ in range(6)]
        eventually(lambda: len(answers) > 12)
        user.control.settings(updating_seconds=1.5)
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
        described = user.sagemaker.describe_endpoint(EndpointName=name)
        assert described["EndpointStatus"] == "Updating"
        assert described["EndpointConfigName"] == f"{name}-1"
        assert described["PendingDeploymentSummary"]["EndpointConfigName"] == f"{name}-2"
        assert user.settled(name) == "InService"
        taken_before = len(answers) + 12  # those that six callers wait for may still be the old one's
        eventually(lambda: len(answers) > taken_before)
        stop.set()
        for each in asking:
            each.result()
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointConfigName"] == f"{name}-2"
    assert "PendingDeploymentSummary" not in described
    assert {answer.partition(":")[0] for answer in answers} == {"old", "new"}
    assert answers[-1].startswith("new")


@pytest.mark.parametrize("mode", ["crash", "unwell"])
def test_an_update_that_fails_rolls_back_and_the_old_one_keeps_answering(user: User, name: str, mode: str) -> None:
    user.endpoint(name, answer="old")
    user.control.settings(startup_timeout_seconds=1.0, rolling_back_seconds=1.5)
    user.config(f"{name}-2", user.model(f"{name}-2", answer="new", mode=mode))
    user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
    seen = set()
    deadline = time.monotonic() + 60
    while (status := user.status_of(name)) != "InService" and time.monotonic() < deadline:
        seen.add(status)
        assert user.ask(name).startswith("old")
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert seen == {"Updating", "RollingBack"}
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == f"{name}-1"
    assert "AllTraffic did not pass the ping health check" in described["FailureReason"]
    assert user.ask(name).startswith("old")


def test_a_good_update_after_a_bad_one_clears_the_reason(user: User, name: str) -> None:
    user.control.settings(container_exits=1)
    user.endpoint(name, answer="old")
    for number, mode in (("2", "crash"), ("3", "")):
        user.config(f"{name}-{number}", user.model(f"{name}-{number}", answer="new", mode=mode))
        user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-{number}")
        user.settled(name)
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointConfigName"] == f"{name}-3"
    assert "FailureReason" not in described


def test_a_model_that_crashes_fails_the_endpoint_and_its_log_says_why(user: User, name: str) -> None:
    user.endpoint(name, wait=False, mode="crash")
    assert user.settled(name) == "Failed"
    described = user.sagemaker.describe_endpoint(EndpointName=name)
    assert described["FailureReason"].startswith("The primary container for production variant AllTraffic did not pass the ping")
    lines = log_lines(user, name)
    assert lines.count("ModuleNotFoundError: No module named 'lightgbm'") == 3


def test_model_data_that_is_no_archive_fails_the_endpoint(user: User, name: str) -> None:
    user.data("x")
    user.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=b"not an archive")
    container = {"Image": user.image(), "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
    user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    user.config(name, name)
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "Failed"
    assert "Failed to extract model data archive" in user.sagemaker.describe_endpoint(EndpointName=name)["FailureReason"]


def test_uncompressed_model_data_is_copied_as_it_is(user: User, name: str) -> None:
    user.data("x")
    user.s3.put_object(Bucket=BUCKET, Key=f"{name}/answer.txt", Body=b"plain")
    source = {"S3DataSource": {"S3Uri": f"s3://{BUCKET}/{name}/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    container = {"Image": user.image(), "ModelDataSource": source}
    user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    user.config(name, name)
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "InService"
    assert user.ask(name) == "plain:?"


def test_container_output_lands_in_cloudwatch(user: User, name: str) -> None:
    user.endpoint(name)
    user.ask(name, "marker")
    eventually(lambda: "answering marker" in log_lines(user, name))
    streams = user.logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["logStreams"]
    assert streams[0]["logStreamName"].startswith("AllTraffic/i-")


def test_a_container_that_dies_in_service_is_started_again(user: User, name: str) -> None:
    user.endpoint(name, answer="alive")
    with pytest.raises(ClientError):
        user.ask(name, "die")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert user.ask(name) == "alive:?"
            return
        except ClientError as fault:
            assert fault.response["Error"]["Code"] in {"ServiceUnavailable", "ModelError"}
            time.sleep(0.05)
    raise AssertionError("it never came back")


def test_an_asynchronous_answer_lands_in_s3(user: User, name: str) -> None:
    user.model(name, answer="later")
    output = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/{name}/out", "S3FailurePath": f"s3://{BUCKET}/{name}/failed"}}
    user.config(name, name, options={"AsyncInferenceConfig": output})
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "InService"
    user.s3.put_object(Bucket=BUCKET, Key=f"{name}/input", Body=b"from s3")
    by_location = user.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=f"s3://{BUCKET}/{name}/input")
    inline = user.runtime.invoke_endpoint_async(EndpointName=name, Body=b"inline")
    bad = user.runtime.invoke_endpoint_async(EndpointName=name, Body=b"bad")
    assert object_at(user, by_location["OutputLocation"]) == b"later:from s3"
    assert object_at(user, inline["OutputLocation"]) == b"later:inline"
    assert b"column x is missing" in object_at(user, bad["FailureLocation"])
    with pytest.raises(ClientError, match="asynchronous invocations only"):
        user.ask(name)
    with pytest.raises(ClientError, match="at most 128000"):
        user.runtime.invoke_endpoint_async(EndpointName=name, Body=b"x" * 128_001)


def test_a_serverless_endpoint_answers_and_throttles_over_its_concurrency(user: User, name: str) -> None:
    user.model(name, answer="serverless")
    variant = {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}
    user.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "InService"
    assert user.ask(name) == "serverless:?"
    with ThreadPoolExecutor(1) as pool:
        taken = len(user.control.journal(operation="InvokeEndpoint"))
        slow = pool.submit(user.ask, name, "sleep 2")
        eventually(lambda: len(user.control.journal(operation="InvokeEndpoint")) > taken)
        time.sleep(0.2)
        with pytest.raises(ClientError, match="Rate exceeded"):
            user.ask(name)
        slow.result()
    described = user.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
    assert described["CurrentServerlessConfig"]["MaxConcurrency"] == 1
    assert "CurrentInstanceCount" not in described


def test_traffic_follows_the_weights_and_the_target_variant(user: User, name: str) -> None:
    for each in ("a", "b"):
        user.model(f"{name}-{each}", answer=each)
    variants = [
        {"VariantName": each, "ModelName": f"{name}-{each}", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": weight}
        for each, weight in (("a", 1.0), ("b", 0.0))
    ]
    user.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name) == "InService"
    assert {user.ask(name) for _ in range(10)} == {"a:?"}
    assert user.ask(name, TargetVariant="b") == "b:?"
    shares = {each["VariantName"]: each["CurrentWeight"] for each in user.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]}
    assert shares == {"a": 1.0, "b": 0.0}
    change = [{"VariantName": "a", "DesiredWeight": 0}, {"VariantName": "b", "DesiredWeight": 3, "DesiredInstanceCount": 2}]
    user.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=change)
    assert user.settled(name) == "InService"
    assert {user.ask(name) for _ in range(10)} == {"b:?"}
    described = {each["VariantName"]: each for each in user.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]}
    assert described["b"]["CurrentInstanceCount"] == 2


def test_an_invocation_costs_a_few_milliseconds(user: User, name: str) -> None:
    user.endpoint(name)
    user.ask(name)
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        user.ask(name)
        seconds.append(time.perf_counter() - began)
    print(f"{median(seconds) * 1000:.1f} ms per invocation through boto3")
    assert min(seconds) < 0.05  # what a busy machine adds is not ours


def log_lines(user: User, name: str) -> list[str]:
    group = f"/aws/sagemaker/Endpoints/{name}"
    try:
        return [event["message"] for event in user.logs.filter_log_events(logGroupName=group)["events"]]
    except user.logs.exceptions.ResourceNotFoundException:  # made with the first line
        return []


def object_at(user: User, location: str) -> bytes:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    deadline = time.monotonic() + 30
    while True:
        try:
            return bytes(user.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
