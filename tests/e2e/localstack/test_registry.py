"""The registry behind ECR: what the distribution specification promises, for Debian's and for the small one, and what ECR adds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

import deployer_localstack as localstack

from .conftest import User
from .registry_client import DOCKER, OCI, Client, digest, layer


@pytest.fixture(scope="module", params=["debian", "python"])
def keeper(request: pytest.FixtureRequest, start: Callable[..., localstack.CloudStatus]) -> User:
    return User(start(registry=request.param))


@pytest.fixture
def repository(keeper: User, name: str) -> str:
    keeper.ecr.create_repository(repositoryName=f"team/{name}")
    return f"team/{name}"


@pytest.fixture
def registry(keeper: User) -> Client:
    return keeper.registry()


def test_the_registry_asked_for_is_the_one_that_runs(keeper: User, request: pytest.FixtureRequest) -> None:
    assert keeper.status.registry_kind == request.node.callspec.params["keeper"]


def test_a_pushed_image_is_pulled_by_tag_and_by_digest(registry: Client, repository: str) -> None:
    pushed = registry.push_image(repository, "1", {"a": "b"})
    assert pushed.status_code == 201
    for reference in ("1", pushed.headers["Docker-Content-Digest"]):
        pulled = registry.request("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": DOCKER})
        assert pulled.status_code == 200
        assert pulled.headers["Content-Type"] == DOCKER
        assert digest(pulled.content) == pulled.headers["Docker-Content-Digest"] == pushed.headers["Docker-Content-Digest"]
    config = registry.request("GET", f"/v2/{repository}/blobs/{pulled.json()['config']['digest']}")
    assert config.json()["config"]["Labels"] == {"a": "b"}
    head = registry.request("HEAD", f"/v2/{repository}/manifests/1", headers={"Accept": DOCKER})
    assert (head.status_code, head.content) == (200, b"")


def test_a_blob_is_uploaded_in_chunks(registry: Client, repository: str) -> None:
    data = bytes(range(256)) * 4096
    location = registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
    for start in range(0, len(data), 400_000):
        piece = data[start : start + 400_000]
        headers = {"Content-Range": f"{start}-{start + len(piece) - 1}", "Content-Type": "application/octet-stream"}
        answer = registry.request("PATCH", location, content=piece, headers=headers)
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{start + len(piece) - 1}"
        location = answer.headers["Location"]
    mark = "&" if "?" in location else "?"
    done = registry.request("PUT", f"{location}{mark}digest={digest(data)}")
    assert done.status_code == 201
    assert registry.request("GET", f"/v2/{repository}/blobs/{digest(data)}").content == data
    part = registry.request("GET", f"/v2/{repository}/blobs/{digest(data)}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])


def test_a_blob_is_uploaded_in_transfer_chunks_as_docker_does(registry: Client, repository: str) -> None:
    data = b"layer" * 100_000
    location = registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
    answer = registry.request("PATCH", location, content=iter([data[:1000], data[1000:]]))
    assert answer.status_code == 202
    location = answer.headers["Location"]
    mark = "&" if "?" in location else "?"
    assert registry.request("PUT", f"{location}{mark}digest={digest(data)}").status_code == 201
    assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest(data)}").headers["Content-Length"] == str(len(data))


def test_a_wrong_digest_is_refused(registry: Client, repository: str) -> None:
    location = registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
    mark = "&" if "?" in location else "?"
    answer = registry.request("PUT", f"{location}{mark}digest={digest(b'other')}", content=b"data")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "DIGEST_INVALID"
    assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest(b'data')}").status_code == 404


def test_a_manifest_needs_its_blobs(registry: Client, repository: str) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": digest(b"{}")},
        "layers": [],
    }
    answer = registry.put_manifest(repository, "1", manifest)
    assert answer.status_code == 400
    assert "MANIFEST_BLOB_UNKNOWN" in answer.text or "BLOB_UNKNOWN" in answer.text


def test_what_is_not_there_is_a_404(registry: Client, repository: str) -> None:
    assert registry.request("GET", f"/v2/{repository}/manifests/none").json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest(b'none')}").status_code == 404


def test_tags_are_listed_and_move(registry: Client, repository: str) -> None:
    registry.push_image(repository, "1", content=b"one")
    registry.push_image(repository, "2", content=b"one")
    second = registry.push_image(repository, "1", content=b"two")
    assert registry.request("GET", f"/v2/{repository}/tags/list").json() == {"name": repository, "tags": ["1", "2"]}
    now = registry.request("GET", f"/v2/{repository}/manifests/1", headers={"Accept": DOCKER})
    assert now.headers["Docker-Content-Digest"] == second.headers["Docker-Content-Digest"]


def test_oci_manifests_are_taken_by_the_registry(registry: Client, repository: str) -> None:
    assert registry.push_image(repository, "oci", media_type=OCI).status_code == 201


def test_a_blob_is_mounted_only_where_the_account_allows_and_a_manifest_refers_to_it(keeper: User, registry: Client, name: str) -> None:
    source, target = f"{name}/source", f"{name}/target"
    for each in (source, target):
        keeper.ecr.create_repository(repositoryName=each)
    registry.push_image(source, "1", content=name.encode())
    blob = digest(layer(content=name.encode())[0])
    loose = registry.push_blob(source, b"loose " + name.encode())

    def mounted(which: str) -> int:
        answer = registry.request("POST", f"/v2/{target}/blobs/uploads/?mount={which}&from={source}")
        if answer.status_code == 202:
            registry.request("DELETE", answer.headers["Location"])
        return answer.status_code

    assert mounted(blob) == 202
    keeper.ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    try:
        assert mounted(loose) == 202
        assert registry.request("HEAD", f"/v2/{target}/blobs/{blob}").status_code == 404
        assert mounted(blob) == 201
        assert registry.request("HEAD", f"/v2/{target}/blobs/{blob}").status_code == 200
    finally:
        keeper.ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")


def test_without_the_password_nothing_is_told(keeper: User, repository: str) -> None:
    stranger = Client(keeper.status.registry)
    answer = stranger.request("GET", "/v2/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    stranger.login("AWS", "wrong")
    assert stranger.request("GET", f"/v2/{repository}/tags/list").status_code == 401


def test_a_password_expires(keeper: User, repository: str) -> None:
    keeper.control.settings(ecr_token_seconds=-1.0)
    try:
        late = keeper.registry()
    finally:
        keeper.control.settings(ecr_token_seconds=43200.0)
    answer = late.request("GET", f"/v2/{repository}/tags/list")
    assert answer.status_code == 403
    assert "expired" in answer.text


def test_a_repository_must_exist_before_a_push(registry: Client, name: str) -> None:
    answer = registry.request("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status_code == 404
    assert answer.json()["errors"][0] == {
        "code": "NAME_UNKNOWN",
        "message": f"The repository with name '{name}' does not exist in the registry with id '123456789012'",
    }


def test_an_immutable_tag_stays(keeper: User, registry: Client, name: str) -> None:
    keeper.ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    assert registry.push_image(name, "1", content=b"one").status_code == 201
    assert registry.push_image(name, "1", content=b"one").status_code == 201
    answer = registry.push_image(name, "1", content=b"two")
    assert answer.status_code == 400
    assert "immutable" in answer.text


def test_ecr_lists_what_the_registry_has(keeper: User, registry: Client, repository: str) -> None:
    first = registry.push_image(repository, "1", content=b"one").headers["Docker-Content-Digest"]
    second = registry.push_image(repository, "1", content=b"two").headers["Docker-Content-Digest"]
    registry.push_image(repository, "2", content=b"two")
    details = {each["imageDigest"]: each for each in keeper.ecr.describe_images(repositoryName=repository)["imageDetails"]}
    assert set(details) == {first, second}
    assert "imageTags" not in details[first]
    assert details[second]["imageTags"] == ["1", "2"]
    assert details[second]["imageManifestMediaType"] == DOCKER
    assert details[second]["imageSizeInBytes"] == len(layer(content=b"two")[0])
    assert keeper.ecr.list_images(repositoryName=repository, filter={"tagStatus": "UNTAGGED"})["imageIds"] == [{"imageDigest": first}]
    got = keeper.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "2"}, {"imageTag": "none"}])
    assert digest(got["images"][0]["imageManifest"].encode()) == second
    assert got["failures"][0]["failureCode"] == "ImageNotFound"
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        keeper.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "none"}])


def test_an_image_gets_a_second_tag_through_the_api(keeper: User, registry: Client, repository: str) -> None:
    registry.push_image(repository, "1")
    manifest = keeper.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "1"}])["images"][0]["imageManifest"]
    keeper.ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="stable")
    assert registry.request("GET", f"/v2/{repository}/manifests/stable", headers={"Accept": DOCKER}).status_code == 200
    with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
        keeper.ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="stable")


def test_layers_are_uploaded_and_downloaded_through_the_api(keeper: User, repository: str) -> None:
    data = b"layer by the api"
    upload = keeper.ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    keeper.ecr.upload_layer_part(repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
    keeper.ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest(data)])
    found = keeper.ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest(data), digest(b"none")])
    assert [each["layerDigest"] for each in found["layers"]] == [digest(data)]
    assert len(found["failures"]) == 1
    url = keeper.ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest(data))["downloadUrl"]
    assert httpx.get(url, trust_env=False).content == data


def test_a_repository_with_images_is_deleted_by_force_and_comes_back_empty(keeper: User, registry: Client, repository: str) -> None:
    registry.push_image(repository, "1")
    with pytest.raises(ClientError, match="still contains images"):
        keeper.ecr.delete_repository(repositoryName=repository)
    keeper.ecr.delete_repository(repositoryName=repository, force=True)
    keeper.ecr.create_repository(repositoryName=repository)
    assert keeper.ecr.describe_images(repositoryName=repository)["imageDetails"] == []
    assert registry.request("GET", f"/v2/{repository}/manifests/1", headers={"Accept": DOCKER}).status_code == 404
    assert registry.request("HEAD", f"/v2/{repository}/blobs/{digest(layer()[0])}").status_code == 404


def test_images_are_deleted_by_tag_and_by_digest(keeper: User, registry: Client, repository: str) -> None:
    pushed = registry.push_image(repository, "1").headers["Docker-Content-Digest"]
    registry.push_image(repository, "2")
    keeper.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "1"}])
    assert keeper.ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imageTags"] == ["2"]
    keeper.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": pushed}])
    assert keeper.ecr.describe_images(repositoryName=repository)["imageDetails"] == []
    assert registry.request("GET", f"/v2/{repository}/manifests/{pushed}", headers={"Accept": DOCKER}).status_code == 404


def test_the_token_names_an_endpoint_of_this_machine_and_a_time_to_come(keeper: User) -> None:
    data: dict[str, Any] = keeper.ecr.get_authorization_token()["authorizationData"][0]
    assert data["proxyEndpoint"] == f"http://{keeper.status.registry}"
    assert data["expiresAt"].timestamp() > 1_700_000_000
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")


def test_the_same_name_in_two_regions_is_two_repositories(keeper: User, registry: Client, repository: str) -> None:
    registry.push_image(repository, "1")
    ireland = keeper.client("ecr", region="eu-west-1")
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ireland.describe_images(repositoryName=repository)
    ireland.create_repository(repositoryName=repository)
    assert ireland.describe_images(repositoryName=repository)["imageDetails"] == []
    assert json.loads(registry.request("GET", f"/v2/{repository}/tags/list").content)["tags"] == ["1"]
