"""Shapes, pages, tags and framing: the rules that need no cloud."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from deployer_localstack import Options
from deployer_localstack.aws import eventstream
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.model_data import model_data
from deployer_localstack.aws.s3_bodies import JoinedParts
from deployer_localstack.aws.sagemaker.listing import page
from deployer_localstack.aws.sagemaker.store import Resource, Shelf, read_tags
from deployer_localstack.aws.shapes import check
from deployer_localstack.lifecycle import Forgotten
from deployer_localstack.options import default_directory
from deployer_localstack.registry.index import DOCKER_MANIFEST, ImageIndex, Repository

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


def resources(count: int) -> list[Resource]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return [Resource(f"m{number}", f"arn/m{number}", {}, {}, began + timedelta(seconds=number // 2)) for number in range(count)]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("key", ["Name", "CreationTime"])
def test_pages_neither_repeat_nor_leave_out(order: str, key: str) -> None:
    items = resources(23)
    token, seen = None, []
    while True:
        asked = {"SortBy": key, "SortOrder": order, "MaxResults": 5} | ({"NextToken": token} if token else {})
        found, token = page(items, asked)
        seen += [item.name for item in found]
        if token is None:
            break
    assert sorted(seen) == sorted(item.name for item in items)


def test_lists_are_filtered_by_name_and_time() -> None:
    items = resources(10)
    assert [item.name for item in page(items, {"NameContains": "M7"})[0]] == ["m7"]
    assert {item.name for item in page(items, {"CreationTimeAfter": items[8].created.timestamp()})[0]} == {"m8", "m9"}


def test_tags_of_aws_and_double_ones_are_refused() -> None:
    for tags in ([{"Key": "aws:x", "Value": ""}], [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]):
        with pytest.raises(AwsError):
            read_tags(tags)
    assert read_tags([{"Key": "a", "Value": "2"}], {"a": "1", "b": "1"}) == {"a": "2", "b": "1"}


def test_names_are_the_same_whatever_their_case() -> None:
    shelf = Shelf(AccountRegion("123456789012", "us-gov-west-1"))
    shelf.models["Churn"] = Resource("Churn", shelf.place.arn("model", "Churn"), {}, {})
    assert shelf.model("churn").arn == "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:model/churn"
    with pytest.raises(AwsError, match="already existing"):
        shelf.refuse_existing(shelf.models, "model", "model", "CHURN")


def test_event_streams_are_read_by_botocore() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.payload_part(b"piece") + eventstream.model_stream_error("broke", "X"))
    first, second = list(buffer)
    assert (first.headers[":event-type"], first.payload) == ("PayloadPart", b"piece")
    assert second.headers[":exception-type"] == "ModelStreamError"


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


def test_joined_parts_read_as_one_file() -> None:
    pieces = [b"abc", b"", b"defgh", b"i"]
    files = []
    for piece in pieces:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(piece)
        files.append((file, len(piece)))
    joined = JoinedParts(files)
    whole = b"".join(pieces)
    assert joined.read() == whole
    for start in range(len(whole) + 1):
        for size in range(len(whole) + 2):
            joined.seek(start)
            assert joined.read(size) == whole[start : start + size]


def test_a_tag_moves_and_an_image_goes_with_its_last_tag() -> None:
    index, repository = ImageIndex(), Repository("1", "r", "n")
    first = index.put(repository, b'{"a": 1}', DOCKER_MANIFEST, "t")
    second = index.put(repository, b'{"a": 2}', DOCKER_MANIFEST, "t")
    assert (first.tags, second.tags) == (set(), {"t"})
    index.put(repository, b'{"a": 2}', DOCKER_MANIFEST, "u")
    index.remove(repository, tag="t")
    assert index.find(repository, digest=second.digest)
    index.remove(repository, tag="u")
    assert index.find(repository, digest=second.digest) is None
    before = index.stored_name(repository)
    index.forget(repository)
    assert index.images(repository) == []
    assert index.stored_name(repository) != before


def test_the_directory_follows_the_users_wishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEPLOYER_LOCALSTACK_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "deployer" / "localstack"
    monkeypatch.setenv("DEPLOYER_LOCALSTACK_DIR", str(tmp_path / "mine"))
    assert Options().directory == tmp_path / "mine"


def test_what_is_forgotten_is_said_in_words() -> None:
    assert str(Forgotten(True, {"endpoints": 2, "models": 0, "buckets": 1, "repositories": 1})) == "2 endpoints, 1 bucket, 1 repository"
    assert str(Forgotten(False)) == "nothing"
