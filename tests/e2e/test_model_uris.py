"""Model URIs against real parts: an MLflow tracking server and registry, a web server, S3."""

import gzip
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployer.artifacts import TarGz, content_digest, digested, fetch, files
from deployer.errors import ModelInvalid, ModelNotFound, PermissionDenied, TargetUnavailable
from deployer.events import Event, StepProgressed
from deployer_images.layers.model_images import wanted_files
from deployer_scoring.fetching.fetch import fetch_model
from tests.environments import environment, mlflow_python
from tests.models import saved_model
from tests.servers import aws

_REGISTER = """
import json, logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import mlflow

doubler, tripler = sys.argv[1:]
client = mlflow.MlflowClient()
client.create_registered_model("churn")
with mlflow.start_run() as run:
    client.log_artifacts(run.info.run_id, doubler, "doubler")
    first = client.create_model_version("churn", f"{run.info.artifact_uri}/doubler", run.info.run_id)
    client.log_artifacts(run.info.run_id, tripler, "tripler")
    second = client.create_model_version("churn", f"{run.info.artifact_uri}/tripler", run.info.run_id)
client.set_registered_model_alias("churn", "champion", "1")
client.transition_model_version_stage("churn", "1", "Production")

with mlflow.start_run() as other:
    logged = mlflow.pyfunc.log_model(
        name="logged", loader_module="doubler_loader", code_paths=[doubler + "/code/doubler_loader.py"], pip_requirements=["pandas"]
    )
print(json.dumps({"run": run.info.run_id, "other": other.info.run_id, "model_id": logged.model_id}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server, on sqlite and a directory of artifacts."""
    directory = tmp_path_factory.mktemp("mlflow")
    port = _free_port()
    command = [
        *(str(mlflow_python().with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--artifacts-destination", str(directory / "artifacts")),
    ]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**quiet, "MLFLOW_DISABLE_TELEMETRY": "true"}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        _await_answer(f"{uri}/health", process, directory / "log")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def registered(server: str) -> dict[str, str]:
    """Ids of what was logged and registered there: churn 1 is the doubler (champion, Production), churn 2 the tripler."""
    quiet = {**os.environ, "MLFLOW_TRACKING_URI": server, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [str(mlflow_python()), "-c", _REGISTER, str(saved_model("doubler")), str(saved_model("tripler"))],
        check=False,
        env=quiet,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def saved() -> dict[str, Path]:
    """Models by name. Looked up before `cache` moves the cache, which keeps them too."""
    return {name: saved_model(name) for name in ("doubler", "tripler", "sklearn")}


@pytest.fixture(autouse=True)
def cache(saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of fetched models, and no word of MLflow's in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deployer" / "models"


@pytest.mark.mlflow
@pytest.mark.parametrize(
    ("uri", "stands_for"),
    [
        ("models:/churn/1", ("1", "doubler")),
        ("models:/churn/2", ("2", "tripler")),
        ("models:/churn/latest", ("2", "tripler")),
        ("models:/churn/Production", ("1", "doubler")),
        ("models:/churn@champion", ("1", "doubler")),
    ],
)
def test_a_registered_model_is_fetched_and_named_by_its_concrete_version(
    saved: dict[str, Path], server: str, registered: dict[str, str], uri: str, stands_for: tuple[str, str]
) -> None:
    version, name = stands_for
    model = fetch(uri, tracking_uri=server)
    assert model.facts.uri == uri
    assert (model.facts.registered_name, model.facts.version, model.facts.run_id) == ("churn", version, registered["run"])
    assert model.digest == content_digest(files(saved[name]))


@pytest.mark.mlflow
def test_a_run_is_fetched_and_a_second_time_from_the_cache(
    saved: dict[str, Path], server: str, registered: dict[str, str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    first, second = _Events(), _Events()
    model = fetch(f"runs:/{registered['run']}/doubler", first)
    assert model.digest == content_digest(files(saved["doubler"]))
    assert model.facts.run_id == registered["run"]
    assert first.bytes_told == model.facts.size
    assert fetch(f"runs:/{registered['run']}/doubler", second).path == model.path
    assert second.bytes_told == 0
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == [model.path.name if model.path else ""]


@pytest.mark.mlflow
def test_a_logged_model_is_the_same_by_its_id_and_by_its_run(server: str, registered: dict[str, str]) -> None:
    by_id = fetch(f"models:/{registered['model_id']}", tracking_uri=server)
    by_run = fetch(f"runs:/{registered['other']}/logged", tracking_uri=server)
    assert by_id.digest == by_run.digest
    assert by_id.facts.run_id == by_run.facts.run_id == registered["other"]


@pytest.mark.mlflow
@pytest.mark.parametrize("uri", ["models:/churn@champion", "runs:/{run}/doubler", "models:/{model_id}", "runs:/{other}/logged"])
def test_a_container_fetches_the_same_from_where_the_server_has_it(server: str, registered: dict[str, str], uri: str, tmp_path: Path) -> None:
    model = fetch(uri.format(**registered), tracking_uri=server)
    assert model.facts.location.startswith(f"{server}/api/2.0/mlflow-artifacts/artifacts/")
    wanted = wanted_files(digested(files(model.directory)))
    fetch_model(model.facts.location, wanted, tmp_path / "model", lambda _: None)
    assert content_digest(files(tmp_path / "model")) == model.digest


@pytest.mark.mlflow
@pytest.mark.parametrize(
    "uri",
    ["models:/churn/9", "models:/churn@nobody", "models:/churn/Staging", "models:/absent/1", "models:/absent@x", "models:/m-0", "runs:/0/model"],
)
def test_what_the_registry_does_not_have_is_not_found(server: str, registered: dict[str, str], uri: str, cache: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        fetch(uri, tracking_uri=server)
    assert uri in caught.value.message
    assert not cache.exists() or not list(cache.glob("[!.]*"))


@pytest.mark.mlflow
def test_a_path_of_a_run_without_a_model_is_not_found(server: str, registered: dict[str, str]) -> None:
    with pytest.raises(ModelNotFound, match=r"no model at runs:/\w+/nothing"):
        fetch(f"runs:/{registered['run']}/nothing", tracking_uri=server)
    with pytest.raises(ModelNotFound, match="no MLmodel among doubler, tripler"):
        fetch(f"runs:/{registered['run']}", tracking_uri=server)


def test_an_unreachable_tracking_server_is_unavailable() -> None:
    begun = time.monotonic()
    with pytest.raises(TargetUnavailable, match="does not answer") as caught:
        fetch("models:/churn/1", tracking_uri=f"http://user:geheim@127.0.0.1:{_free_port()}")
    assert "geheim" not in str(caught.value.message)
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(("uri", "asked"), [("models:/churn/1", "registry"), ("models:/churn@best", "registry"), ("models:/m-0", "tracking")])
def test_the_server_named_is_the_one_that_was_asked(uri: str, asked: str) -> None:
    servers = {name: f"http://127.0.0.1:{_free_port()}/{name}" for name in ("tracking", "registry")}
    with pytest.raises(TargetUnavailable, match=f"the MLflow server {servers[asked]} does not answer"):
        fetch(uri, tracking_uri=servers["tracking"], registry_uri=servers["registry"])


def test_the_session_of_mlflow_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
    with pytest.raises(TargetUnavailable):
        fetch("models:/churn/1", tracking_uri=f"http://127.0.0.1:{_free_port()}")
    assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")} == before


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server over a directory."""
    directory = tmp_path / "www"
    directory.mkdir()
    handler = partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", directory
        server.shutdown()
        thread.join()


def test_an_archive_is_fetched_from_the_web_and_unpacked_whatever_its_form(saved: dict[str, Path], web: tuple[str, Path]) -> None:
    uri, directory = web
    model = saved["doubler"]
    (directory / "ours.tar.gz").write_bytes(b"".join(TarGz(model)))
    shutil.make_archive(str(directory / "zipped"), "zip", model.parent, model.name)
    shutil.make_archive(str(directory / "plain"), "tar", model)
    for name in ("ours.tar.gz", "zipped.zip", "plain.tar"):
        assert fetch(f"{uri}/{name}").digest == content_digest(files(model))


def test_a_changed_archive_is_fetched_again_and_an_unchanged_one_is_not(saved: dict[str, Path], web: tuple[str, Path]) -> None:
    uri, directory = web
    (directory / "model.tgz").write_bytes(b"".join(TarGz(saved["doubler"])))
    os.utime(directory / "model.tgz", (1, 1))
    again = _Events()
    first = fetch(f"{uri}/model.tgz")
    assert fetch(f"{uri}/model.tgz", again).path == first.path
    assert not again.seen
    (directory / "model.tgz").write_bytes(b"".join(TarGz(saved["tripler"])))
    assert fetch(f"{uri}/model.tgz").digest == content_digest(files(saved["tripler"]))


def test_a_query_that_may_be_a_secret_is_not_recorded(saved: dict[str, Path], web: tuple[str, Path]) -> None:
    uri, directory = web
    (directory / "model.tgz").write_bytes(b"".join(TarGz(saved["doubler"])))
    assert fetch(f"{uri}/model.tgz?X-Amz-Signature=geheim").facts.uri == f"{uri}/model.tgz"


def test_a_listing_or_anything_else_on_the_web_is_refused_clearly(saved: dict[str, Path], web: tuple[str, Path], cache: Path) -> None:
    uri, directory = web
    (directory / "model").mkdir()
    (directory / "text.bin").write_bytes(b"hello")
    (directory / "cut.tar.gz").write_bytes(b"".join(TarGz(saved["sklearn"]))[:2000])
    with pytest.raises(ModelInvalid, match="a web page or a listing"):
        fetch(f"{uri}/model/")
    with pytest.raises(ModelInvalid, match="neither a tar nor a zip"):
        fetch(f"{uri}/text.bin")
    with pytest.raises(ModelInvalid, match="broken archive"):
        fetch(f"{uri}/cut.tar.gz")
    with pytest.raises(ModelNotFound, match="nothing at"):
        fetch(f"{uri}/absent.tar.gz")
    with pytest.raises(PermissionDenied):
        fetch(f"{uri}/forbidden.tar.gz")
    assert not list(cache.glob("[!.]*"))


def test_an_archive_cannot_write_outside_its_directory(web: tuple[str, Path], tmp_path: Path) -> None:
    uri, directory = web
    with tarfile.open(directory / "dots.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    with tarfile.open(directory / "link.tar", "w") as archive:
        link = tarfile.TarInfo("MLmodel")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(directory / "dots.zip", "w") as zipped:
        zipped.writestr("/etc/escaped", "x")
    for name, why in (("dots.tar", "leads out"), ("link.tar", "link or a device"), ("dots.zip", "leads out")):
        with pytest.raises(ModelInvalid, match=why):
            fetch(f"{uri}/{name}")
    assert not list(tmp_path.rglob("escaped"))


def test_an_interrupt_in_the_middle_of_a_download_ends_it_at_once_and_leaves_nothing(cache: Path) -> None:
    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", "x")
            self.send_header("Content-Length", "100000000")
            self.end_headers()
            self.wfile.write(b"x" * 3_000_000)
            begun.set()
            released.wait(60)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
            pass

    begun, released = threading.Event(), threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}/model.tar.gz"
        process = subprocess.Popen([sys.executable, "-c", _FETCH, uri], stderr=subprocess.DEVNULL, start_new_session=True)
        assert begun.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {-signal.SIGINT, 130}
        released.set()
        server.shutdown()
    assert not list(cache.glob("[!.]*"))


def test_an_unreachable_web_server_is_unavailable() -> None:
    with pytest.raises(TargetUnavailable, match="does not answer"):
        fetch(f"http://127.0.0.1:{_free_port()}/model.tar.gz")


_FETCH = """
import json, sys
from deployer.errors import DeployerError
from deployer.artifacts import fetch

for uri in sys.argv[1:]:
    try:
        model = fetch(uri)
        print(json.dumps([model.digest, str(model.path)]))
    except DeployerError as error:
        print(json.dumps([error.code, error.message]))
"""


@pytest.fixture(params=["boto3", "s3fs"])
def python_for_s3(request: pytest.FixtureRequest) -> Path:
    """This one, which has boto3; and one of its own with s3fs, which pins another botocore, and without boto3."""
    if request.param == "boto3":
        return Path(sys.executable)
    return environment(("s3fs>=2024.6", "httpx", "isal", "packaging", "pydantic", "pyyaml", "tenacity"))


def test_a_prefix_and_an_archive_are_fetched_from_s3(python_for_s3: Path, saved: dict[str, Path]) -> None:
    model = saved["sklearn"]
    with aws() as endpoint:
        _put(endpoint, "models", {f"churn/{file.path}": file.source.read_bytes() for file in files(model)})
        _put(endpoint, "models", {"churn2/MLmodel": b"another's", "churn/": b""})
        _put(endpoint, "models", {"churn.tar.gz": gzip.decompress(b"".join(TarGz(model)))})
        root = Path(__file__).parents[2]
        uris = ["s3://models/churn", "s3://models/churn/", "s3://models/churn.tar.gz", "s3://models/absent", "s3://no-such-bucket/x"]
        done = subprocess.run(
            [str(python_for_s3), "-c", _FETCH, *uris],
            check=False,
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{root}:{root}/images",
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )
    assert done.returncode == 0, done.stderr
    prefix, slashed, archive, absent, bucket = (json.loads(line) for line in done.stdout.splitlines())
    assert prefix == slashed
    assert [prefix[0], archive[0]] == [content_digest(files(model))] * 2, archive
    assert (absent[0], bucket[0]) == ("model-not-found", "model-not-found")


class _Events:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)

    @property
    def bytes_told(self) -> int:
        return max((event.done for event in self.seen if isinstance(event, StepProgressed)), default=0)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if "forbidden" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        pass


def _put(endpoint: str, bucket: str, objects: dict[str, bytes]) -> None:
    """Write objects into moto's S3, which checks no signature."""
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"}
    with httpx.Client(base_url=endpoint, headers=headers) as client:
        client.put(f"/{bucket}")
        for key, body in objects.items():
            assert client.put(f"/{bucket}/{key}", content=body).status_code == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the MLflow server ended: {log.read_text()}")
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError(f"the MLflow server did not answer: {log.read_text()}")
