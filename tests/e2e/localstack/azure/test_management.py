"""What the local Azure refuses, and how operations go on, beyond what an SDK can ask."""

from __future__ import annotations

import httpx
import pytest

from ..conftest import User, eventually
from .arm import Arm
from .test_endpoints import pushed


@pytest.fixture
def arm(user: User) -> Arm:
    return Arm(user.status)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_arm_wants_a_token_of_its_own_in_time(arm: Arm, user: User) -> None:
    good = arm.token
    for token, why in (
        ("guessed", "InvalidAuthenticationToken"),
        (good[:-3] + "abc", "InvalidAuthenticationToken"),
        (arm.new_token("https://storage.azure.com/.default"), "InvalidAuthenticationTokenAudience"),
    ):
        arm.token = token
        assert code(arm.ask("GET", "")) == (401, why)
    assert arm.http.get(f"{arm.url}{arm.workspace}?api-version=1").json()["error"]["code"] == "AuthenticationFailed"
    arm.token = arm.new_token("https://management.azure.com/.default")
    assert arm.ask("GET", "").status_code == 200
    user.control.settings(azure_token_seconds=-1.0)
    arm.token = arm.new_token(f"{arm.url}/.default")
    assert code(arm.ask("GET", "")) == (401, "ExpiredAuthenticationToken")


def test_a_token_is_given_to_the_application_alone(arm: Arm) -> None:
    for changes, status, error in (
        ({"client_secret": "guessed"}, 401, "invalid_client"),
        ({"client_id": "other"}, 400, "unauthorized_client"),
        ({"scope": "openid"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ):
        answer = arm.asked_token(**{"scope": f"{arm.url}/.default", **changes})
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.json()["error_description"].startswith("AADSTS")
    assert arm.http.get(f"{arm.url}/contoso/v2.0/.well-known/openid-configuration").status_code == 400


def test_what_arm_does_not_have_is_refused(arm: Arm) -> None:
    assert code(arm.ask("GET", "/models", **{"api-version": ""})) == (400, "MissingApiVersionParameter")
    assert code(arm.ask("GET", "/jobs")) == (501, "NotImplemented")
    assert code(arm.ask("PUT", "/models/m/versions/1", ["no object"])) == (400, "InvalidRequestContent")
    assert code(arm.ask("PUT", "/models/m/versions/1", {})) == (400, "InvalidRequestContent")
    assert code(arm.ask("PUT", "/models/-m/versions/1", {"properties": {"modelUri": "x"}})) == (400, "UserError")
    assert code(arm.ask("PUT", "/environments/e/versions/1", {"properties": {}})) == (400, "UserError")


def test_lists_come_in_pages_newest_first(arm: Arm, user: User, name: str) -> None:
    user.control.settings(azure_page_size=2)
    for version in range(1, 6):
        assert arm.ask("PUT", f"/models/{name}/versions/{version}", {"properties": {"modelUri": f"azureml://x/{version}"}}).status_code == 201
    found, page = [], arm.ask("GET", f"/MODELS/{name}/Versions").json()
    while True:
        found.append([each["name"] for each in page["value"]])
        if "nextLink" not in page:
            break
        page = arm.http.get(page["nextLink"], headers={"Authorization": f"Bearer {arm.token}"}).json()
    assert found == [["5", "4"], ["3", "2"], ["1"]]
    assert [each["name"] for each in arm.ask("GET", f"/models/{name}/versions", **{"$top": "1", "$orderBy": "createdtime asc"}).json()["value"]] == [
        "1"
    ]


def test_one_change_at_a_time_and_a_deletion_is_followed_by_its_location(arm: Arm, user: User, name: str) -> None:
    user.control.settings(azure_endpoint_seconds=0.6)
    begun = arm.endpoint(name)
    assert (begun.status_code, begun.json()["properties"]["provisioningState"]) == (201, "Creating")
    assert code(arm.endpoint(name)) == (409, "Conflict")
    assert code(arm.ask("DELETE", f"/onlineEndpoints/{name}")) == (409, "Conflict")
    assert arm.follow(begun)["status"] == "Succeeded"
    again = arm.endpoint(name.upper(), description="again")
    assert (again.status_code, again.json()["name"]) == (200, name)
    arm.follow(again)
    assert code(arm.endpoint(name, authMode="AMLToken")) == (400, "BadRequest")
    gone = arm.ask("DELETE", f"/onlineEndpoints/{name}")
    location = gone.headers["Location"]
    assert gone.status_code == 202
    assert arm.http.get(location, headers={"Authorization": f"Bearer {arm.token}"}).status_code == 202
    assert arm.follow(gone)["status"] == "Succeeded"
    assert arm.http.get(location, headers={"Authorization": f"Bearer {arm.token}"}).status_code == 204
    assert arm.ask("DELETE", f"/onlineEndpoints/{name}").status_code == 204
    assert code(arm.ask("GET", f"/onlineEndpoints/{name}")) == (404, "ResourceNotFound")


@pytest.mark.parametrize("wrong", ["ab", "1ab", "ab-", "a_b", "a" * 33])
def test_names_of_endpoints_are_checked(arm: Arm, wrong: str) -> None:
    assert code(arm.endpoint(wrong)) == (400, "BadRequest")


def test_deployments_that_can_not_be_are_refused_or_fail(arm: Arm, user: User, name: str) -> None:
    image = pushed(user, name)
    assert code(arm.deployment(name, "blue", image)) == (404, "ResourceNotFound")
    arm.follow(arm.endpoint(name))
    for properties, refusal in (
        ({"instanceType": None}, (400, "BadRequest")),
        ({"model": f"{arm.workspace}/models/none/versions/1"}, (404, "ResourceNotFound")),
        ({"environmentId": f"{arm.workspace}/environments/none/versions/1"}, (404, "ResourceNotFound")),
        ({"codeConfiguration": {"codeId": "x", "scoringScript": "score.py"}}, (501, "NotImplemented")),
        ({"endpointComputeType": "Kubernetes"}, (400, "BadRequest")),
        ({"requestSettings": {"requestTimeout": "PT181S"}}, (400, "BadRequest")),
        ({"requestSettings": {"requestTimeout": "5"}}, (400, "BadRequest")),
    ):
        assert code(arm.deployment(name, "blue", image, **properties)) == refusal
    arm.ask("PUT", f"/models/{name}/versions/1", {"properties": {"modelUri": "azureml://datastores/workspaceblobstore/paths/nothing"}})
    ended = arm.follow(arm.deployment(name, "blue", image, model=f"{arm.workspace}/models/{name}/versions/1"))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "BadArgument")
    assert "Unable to download user model" in ended["error"]["message"]
    missing = f"{image.rpartition(':')[0]}:2"
    other = f"{name}b"
    arm.follow(arm.endpoint(other))
    ended = arm.follow(arm.deployment(other, "blue", missing))
    assert ended["error"]["message"].startswith("Unable to download user container image")
    assert arm.ask("GET", f"/onlineEndpoints/{other}/deployments/blue").json()["properties"]["provisioningState"] == "Failed"
    assert arm.follow(arm.ask("DELETE", f"/onlineEndpoints/{other}"))["status"] == "Succeeded"


def test_a_container_that_dies_is_started_again_and_says_so(arm: Arm, user: User, name: str) -> None:
    arm.follow(arm.endpoint(name))
    assert arm.follow(arm.deployment(name, "blue", pushed(user, name)))["status"] == "Succeeded"
    arm.follow(arm.endpoint(name, traffic={"blue": 100}))
    died = arm.score(name, "die")
    assert (died.status_code, died.headers["ms-azureml-model-error-statuscode"]) == (424, "0")
    eventually(lambda: arm.score(name, "back").status_code == 200)
    log = arm.ask("POST", f"/onlineEndpoints/{name}/deployments/blue/getLogs", {"tail": 100, "containerType": "InferenceServer"}).json()["content"]
    assert "the container exited with code 3; it is started again" in log
    user.control.settings(azure_payload_limit_bytes=10)
    assert arm.score(name, "more than ten").status_code == 413
    assert [each["parameters"] for each in user.control.journal(service="inference")][-1] == {"endpoint": name}
    arm.follow(arm.ask("DELETE", f"/onlineEndpoints/{name}"))
    assert not list((user.status.directory / "endpoints").glob(f"{name}-*"))


def test_a_share_is_mirrored_and_a_named_request_is_not(arm: Arm, user: User, name: str) -> None:
    arm.follow(arm.endpoint(name))
    image = pushed(user, name)
    for each in [arm.deployment(name, which, image) for which in ("blue", "green")]:
        arm.follow(each)
    arm.follow(arm.endpoint(name, traffic={"blue": 100}, mirrorTraffic={"green": 50}))
    assert code(arm.ask("DELETE", f"/onlineEndpoints/{name}/deployments/green")) == (400, "BadRequest")

    def green() -> int:
        return arm.ask("POST", f"/onlineEndpoints/{name}/deployments/green/getLogs", {"tail": 1000}).json()["content"].count("answering seen")

    for _ in range(10):
        arm.score(name, "seen", **{"azureml-model-deployment": "blue"})
    assert green() == 0
    assert {arm.score(name, "seen").headers["azureml-model-deployment"] for _ in range(60)} == {"blue"}
    eventually(lambda: 5 < green() < 55)
    arm.follow(arm.ask("DELETE", f"/onlineEndpoints/{name}"))


def test_faults_are_in_the_words_of_each_service(arm: Arm, user: User, name: str) -> None:
    signed = arm.ask("POST", "/datastores/workspaceblobstore/listSecrets", {"expirableSecret": True}).json()["sasToken"]
    blob = f"{arm.url}/deployerlocal/azureml-blobstore-local/{name}?{signed}"
    for service in ("arm", "storage", "entra"):
        user.control.add_fault("throttle", service=service)
    throttled = arm.ask("GET", "/models")
    assert (*code(throttled), throttled.headers["Retry-After"]) == (429, "TooManyRequests", "1")
    busy = arm.http.get(blob)
    assert (busy.status_code, busy.headers["x-ms-error-code"]) == (503, "ServerBusy")
    assert arm.asked_token("x/.default").status_code == 429
    user.control.add_fault("error", service="arm", operation="OnlineEndpoints_*", code="InternalServerError", message="out of luck", status=500)
    assert code(arm.endpoint(name)) == (500, "InternalServerError")
    user.control.add_fault("lose-answer", service="arm", operation="ModelVersions_CreateOrUpdate")
    with pytest.raises(httpx.RemoteProtocolError):
        arm.ask("PUT", f"/models/{name}/versions/1", {"properties": {"modelUri": "azureml://x"}})
    assert arm.ask("GET", f"/models/{name}/versions/1").status_code == 200
    user.control.add_fault("drop", service="storage", operation="PutBlob")
    with pytest.raises(httpx.RemoteProtocolError):
        arm.http.put(blob, content=b"x", headers={"x-ms-blob-type": "BlockBlob"})
    assert arm.http.get(blob).status_code == 404
