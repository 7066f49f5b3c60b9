"""A container fetches its model by the list of what was deployed: each byte is that one, a cut connection costs nothing, and no refusal is silent."""

from __future__ import annotations

import email.message
import hashlib
import io
import json
import os
import re
import ssl
import subprocess
import tarfile
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deployer_images import scoring
from deployer_scoring.__main__ import main
from deployer_scoring.errors import LoadError
from deployer_scoring.fetching import fetch as fetching
from deployer_scoring.fetching import s3, stores, web
from deployer_scoring.fetching.fetch import fetch_model
from deployer_scoring.fetching.files import WantedFile, compare, read_files, written
from tests.environments import newest_python, oldest_python
from tests.file_server import Server, serving
from tests.servers import aws

CONTENT = {"MLmodel": b"flavors: {}\n", "data/model bin+ä.pkl": os.urandom(3_000_000), "empty": b"", "code/run.sh": b"#!/bin/sh\n"}
FILES = [WantedFile(path, len(body), hashlib.sha256(body).hexdigest(), path.endswith(".sh")) for path, body in CONTENT.items()]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.time, "sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch(server: Server, directory: Path, below: str = "/churn") -> list[str]:
    told = list[str]()
    fetch_model(server.url + below, FILES, directory, told.append)
    return told


def is_there(directory: Path) -> None:
    assert {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()} == CONTENT
    assert {path.name for path in directory.rglob("*") if path.is_file() and path.stat().st_mode & 0o100} == {"run.sh"}


def test_it_comes_whole_and_once(server: Server, tmp_path: Path) -> None:
    assert "4 of 4 files" in fetch(server, tmp_path)[0]
    is_there(tmp_path)
    before = server.asked.total()
    assert fetch(server, tmp_path) == []  # a container that starts again
    (tmp_path / "MLmodel").write_text("flavors: {evil}\n")
    fetch(server, tmp_path)
    is_there(tmp_path)
    assert server.asked.total() == before + 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_gone_on_with(server: Server, tmp_path: Path, ranges: bool) -> None:
    (large,) = (path for path in server.files if path.endswith(".pkl"))
    server.cut[large], server.ranges = 5 if ranges else 1, ranges
    fetch(server, tmp_path)
    is_there(tmp_path)
    size = sum(map(len, CONTENT.values()))
    assert server.sent == size if ranges else server.sent > size


def test_what_an_earlier_container_has_fetched_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model bin+ä.pkl.part").write_bytes(CONTENT["data/model bin+ä.pkl"][:2_000_000])
    fetch(server, tmp_path)
    is_there(tmp_path)
    assert server.sent == sum(map(len, CONTENT.values())) - 2_000_000


@pytest.mark.parametrize("ranges", [True, False])
def test_a_large_file_comes_in_parts_over_several_connections(server: Server, tmp_path: Path, ranges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PART", 400_000)
    monkeypatch.setattr(fetching, "_LARGE", 1_000_000)
    (large,) = (path for path in server.files if path.endswith(".pkl"))
    server.ranges = ranges
    if ranges:
        server.cut[large] = 5
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "model bin+ä.pkl.part800000").write_bytes(CONTENT["data/model bin+ä.pkl"][800_000:1_100_000])
    fetch(server, tmp_path)
    is_there(tmp_path)
    if ranges:
        assert server.asked[large] == 8 + 5
        assert server.sent == sum(map(len, CONTENT.values())) - 300_000
    server.files[large] = CONTENT["data/model bin+ä.pkl"][:-1] + b"x"
    with pytest.raises(LoadError, match="is not the file that was deployed"):
        fetch(server, tmp_path / "again")
    assert [path.name for path in (tmp_path / "again" / "data").iterdir()] == []


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/churn/MLmodel"] = [status] * 4
    fetch(server, tmp_path)
    is_there(tmp_path)


@pytest.mark.parametrize(("status", "times"), [(401, 1), (403, 1), (404, 1), (503, 7)])
def test_a_refusal_is_told_with_the_file_and_the_server_s_word(server: Server, tmp_path: Path, status: int, times: int) -> None:
    server.answers["/churn/MLmodel"] = [status] * 20
    with pytest.raises(LoadError, match=rf"/churn/MLmodel can't be fetched: it answers {status} "):
        fetch(server, tmp_path)
    assert server.asked["/churn/MLmodel"] == times


@pytest.mark.parametrize("other", [b"flavors: {evil}", b"flavors: []\n", b""], ids=["longer", "as long", "empty"])
def test_another_file_than_was_deployed_is_refused_and_not_kept(server: Server, tmp_path: Path, other: bytes) -> None:
    server.files["/churn/MLmodel"] = other
    with pytest.raises(LoadError, match=r"MLmodel.* is not the file that was deployed"):
        fetch(server, tmp_path)
    assert not (tmp_path / "MLmodel").exists()
    server.files["/churn/MLmodel"] = CONTENT["MLmodel"]
    fetch(server, tmp_path)
    is_there(tmp_path)


def test_a_file_that_became_shorter_meanwhile_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "MLmodel.part").write_bytes(CONTENT["MLmodel"][:10])
    server.files["/churn/MLmodel"] = b"flav"
    with pytest.raises(LoadError, match="is not the file that was deployed"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("form", ["tar.gz", "tar", "zip"])
@pytest.mark.parametrize("around", ["", "deep/churn/"])
def test_an_archive_is_unpacked_by_the_list(tmp_path: Path, form: str, around: str) -> None:
    archive = packed(form, {around + path: body for path, body in CONTENT.items()} | {"../evil": b"evil", f"{around}more": b"more"})
    with serving({f"m.{form}": archive}) as server:
        server.cut[f"/churn/m.{form}"] = 3
        fetch(server, tmp_path / "model", f"/churn/m.{form}")
    is_there(tmp_path / "model")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(("change", "said"), [({"MLmodel": b"other"}, "is not the file that was deployed"), ({"empty": None}, "has no empty")])
def test_an_archive_with_something_else_is_refused(tmp_path: Path, change: dict[str, bytes | None], said: str) -> None:
    files = {path: body for path, body in (CONTENT | change).items() if body is not None}
    with serving({"m.zip": packed("zip", files)}) as server, pytest.raises(LoadError, match=said):
        fetch(server, tmp_path, "/churn/m.zip")
    assert not (tmp_path / ".archive.part").exists()


def packed(form: str, files: dict[str, bytes]) -> bytes:
    found = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(found, "w") as archive:
            for path, body in files.items():
                archive.writestr(path, body)
        return found.getvalue()
    with tarfile.open(fileobj=found, mode="w:gz" if form == "tar.gz" else "w") as tar:
        for path, body in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return found.getvalue()


def test_a_token_goes_to_its_own_host_alone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t")
    fetch(server, tmp_path / "told")
    assert {each["Authorization"] for each in server.seen} == {"Bearer s3cr3t"}
    with serving(CONTENT) as other:
        server.moved["/churn/MLmodel"] = f"{other.url}/churn/MLmodel"
        with pytest.raises(LoadError, match="it answers 302"):
            fetch(server, tmp_path / "refused")
        assert other.seen == []
        monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
        fetch(server, tmp_path / "followed")
        assert other.asked == {"/churn/MLmodel": 1}
    is_there(tmp_path / "followed")


def test_a_command_fetches_and_ends(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("deployer_scoring.fetching.command.read_files", lambda: FILES)
    assert main(["fetch"]) == 2
    assert "DEPLOYER_MODEL_SOURCE" in capsys.readouterr().err
    monkeypatch.setenv("DEPLOYER_MODEL_SOURCE", f"{server.url}/churn")
    monkeypatch.setenv("DEPLOYER_MODEL", str(tmp_path))
    assert main(["fetch"]) == 0
    assert "fetching 4 of 4 files" in capsys.readouterr().out
    is_there(tmp_path)
    (tmp_path / "MLmodel").unlink()
    server.files = {}
    assert main(["fetch"]) == 1
    assert "MLmodel" in capsys.readouterr().err


@pytest.fixture
def on_a_volume(tmp_path: Path) -> Path:
    for path, body in {**CONTENT, "notes.txt": b"somebody's own"}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(body)
    return tmp_path


def test_what_is_on_a_volume_is_compared_with_what_was_deployed(on_a_volume: Path) -> None:
    compare(FILES, on_a_volume)


@pytest.mark.parametrize("path", CONTENT)
def test_another_file_on_a_volume_and_one_that_is_missing_are_named(on_a_volume: Path, path: str) -> None:
    content = (on_a_volume / path).read_bytes()
    for other in (content + b".", content[:-1] + b"."):  # longer, and, but for the empty one, as long
        (on_a_volume / path).write_bytes(other)
        with pytest.raises(LoadError, match=f"^{re.escape(path)} in .* is not the file that was deployed"):
            compare(FILES, on_a_volume)
    (on_a_volume / path).unlink()
    with pytest.raises(LoadError, match=f"has no {re.escape(path)}, which was deployed"):
        compare(FILES, on_a_volume)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../evil"])
def test_a_list_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "list").write_bytes(written([WantedFile(path, 1, "0")]))
    with pytest.raises(LoadError, match="leads out of the model's directory"):
        read_files(tmp_path / "list")


@pytest.mark.parametrize("token", ["", "session/token+=="])
@pytest.mark.parametrize("key", ["churn/MLmodel", "a b/ä+&=?.pkl", "x~y/(1)*'!"])
def test_s3_is_asked_as_botocore_signs(key: str, token: str) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": token, "AWS_REGION": "eu-west-1"}
    url, headers = s3.SignedBucket("models", "", environ).address(key)
    stamp = headers["x-amz-date"]
    request = AWSRequest("GET", url, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    request.context["timestamp"] = stamp
    request.context["payload_signing_enabled"] = False
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signer = S3SigV4Auth(Credentials("AKID", "secret", token or None), "s3", "eu-west-1")
    canonical = signer.canonical_request(request_with_date(request, stamp))
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert url.startswith("https://models.s3.eu-west-1.amazonaws.com/")


def request_with_date(request: AWSRequest, stamp: str) -> AWSRequest:
    request.headers["X-Amz-Date"] = stamp
    assert abs((datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 60
    return request


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("gs://bucket/a b/churn", "https://storage.googleapis.com/bucket/a%20b/churn/MLmodel"),
        ("wasbs://box@acc.blob.core.windows.net/churn/", "https://acc.blob.core.windows.net/box/churn/MLmodel"),
        ("abfss://box@acc.dfs.core.windows.net/churn", "https://acc.blob.core.windows.net/box/churn/MLmodel"),
    ],
)
def test_other_stores_are_asked_with_the_pod_s_token(uri: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for giver in ("google_token", "azure_token"):
        monkeypatch.setattr(stores, giver, lambda _: ("Bearer pod", float("inf")))
    address = stores.opened(uri, {}).address("MLmodel")
    assert (address.url, address.headers["Authorization"]) == (url, "Bearer pod")


def test_what_nobody_fetches_is_told() -> None:
    with pytest.raises(LoadError, match="nothing here fetches hdfs://: it is one of s3://"):
        stores.opened("hdfs://namenode/churn")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with aws() as found:
        yield found


def test_a_service_account_s_role_on_eks_fetches(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    bucket = boto3.resource("s3", endpoint_url=address, **given).create_bucket(Bucket="models")
    for path, body in CONTENT.items():
        bucket.put_object(Key=f"churn/{path}", Body=body)
    (tmp_path / "token").write_text("web.identity.token\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    fetch_model("s3://models/churn", FILES, tmp_path / "model", lambda _: None)
    is_there(tmp_path / "model")
    keys = s3.keys_of(os.environ, "us-east-1")
    assert keys is not None
    assert keys.token
    assert 600 < keys.end - datetime.now(UTC).timestamp() < 13 * 3600


def test_pod_identity_on_eks_is_asked_with_the_pod_s_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the pod\n")
    said = {"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": "t", "Expiration": "2030-01-01T00:00:00Z"}
    with serving({"credentials": json.dumps(said).encode()}) as server:
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/churn/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        found = s3.keys_of(environ, "eu-west-1")
    assert found == s3.Keys("AKID", "s", "t", datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    assert server.seen[0]["Authorization"] == "of the pod"


def test_azure_s_workload_identity_is_exchanged_and_kept_until_its_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("federated")
    with serving({}) as server:
        server.files["/tenant/oauth2/v2.0/token"] = b'{"access_token": "azure", "expires_in": 3599}'
        environ = {
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
            "AZURE_TENANT_ID": "tenant",
            "AZURE_CLIENT_ID": "client",
            "AZURE_AUTHORITY_HOST": server.url,
        }
        store = stores.opened("abfss://box@account.dfs.core.windows.net/churn", environ)
        assert [store.address(path).headers["Authorization"] for path in ("a", "b")] == ["Bearer azure"] * 2
    (body,) = server.bodies
    assert {key: value for key, (value,) in parse_qs(body).items() if key in ("client_id", "client_assertion", "scope")} == {
        "client_id": "client",
        "client_assertion": "federated",
        "scope": "https://storage.azure.com/.default",
    }


def test_google_s_metadata_server_gives_the_token_until_it_ends() -> None:
    with serving({}) as server:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        server.files[path] = b'{"access_token": "google", "expires_in": 60, "token_type": "Bearer"}'
        store = stores.opened("gs://bucket/churn", {"GCE_METADATA_HOST": server.url.removeprefix("http://")})
        assert store.address("MLmodel").headers["Authorization"] == "Bearer google"
        assert store.address("MLmodel").headers["Authorization"] == "Bearer google"
        assert server.asked[path] == 2  # it ends too soon to be kept
        assert server.seen[0]["Metadata-Flavor"] == "Google"
        server.files.clear()
        assert "Authorization" not in store.address("MLmodel").headers  # what is public is there for anybody


@pytest.mark.parametrize("refusal", [400, 403])
def test_a_role_that_may_not_be_assumed_is_told(refusal: int, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    with serving({}) as server:
        server.answers["/"] = [refusal]
        environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": server.url}
        with pytest.raises(LoadError, match=f"doesn't let the pod's service account assume arn:role: HTTP Error {refusal}"):
            s3.keys_of(environ, "eu-west-1")


def test_a_bucket_of_another_region_is_asked_there() -> None:
    bucket = s3.SignedBucket("models", "churn", {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"})
    refusal = urllib.error.HTTPError("https://models", 301, "Moved", email.message.Message(), None)
    refusal.headers["x-amz-bucket-region"] = "eu-central-1"
    assert bucket.learn(refusal)
    assert bucket.learn(refusal)  # of a request that was on its way
    address = bucket.address("MLmodel")
    assert address.url == "https://models.s3.eu-central-1.amazonaws.com/churn/MLmodel"
    assert "/eu-central-1/s3/aws4_request" in address.headers["Authorization"]
    refusal.url = address.url
    assert not bucket.learn(refusal)


@pytest.mark.parametrize("python", [oldest_python, newest_python], ids=["oldest", "newest"])
def test_every_python_of_an_image_fetches_and_trusts_what_it_is_told_to(python: Callable[[], Path], tmp_path: Path) -> None:
    """What is in the package's type hints and in the standard library differs from one to the next."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate), *names)
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with serving(CONTENT, tls=context) as server:
        refused = in_a_container(python(), server, tmp_path)
        assert "certificate verify failed" in refused.stderr
        assert "SSL_CERT_FILE names the certificates that are trusted" in refused.stderr
        done = in_a_container(python(), server, tmp_path, SSL_CERT_FILE=str(certificate))
    assert done.returncode == 0, done.stderr
    is_there(tmp_path / "model")


def in_a_container(python: Path, server: Server, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python that has the runtime alone, and fetches the model below a directory."""
    scoring.copy(directory / "runtime")
    (directory / "list").write_bytes(written(FILES))
    code = (
        "from pathlib import Path; from deployer_scoring.fetching.fetch import fetch_model; from deployer_scoring.fetching.files import read_files; "
        f"fetch_model({server.url + '/churn'!r}, read_files(Path({str(directory / 'list')!r})), Path({str(directory / 'model')!r}), print)"
    )
    environ = {**os.environ, "PYTHONPATH": str(directory / "runtime"), **variables}
    return subprocess.run([str(python), "-c", code], env=environ, capture_output=True, text=True, check=False)
