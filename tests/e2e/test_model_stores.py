"""Models in Google's and Azure's object stores, by the emulators that their own users test with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deployer.artifacts import content_digest, files
from tests.docker import free_port, unavailable
from tests.environments import cache_directory, environment, made_once
from tests.models import saved_model

_AZURITE = "azurite@3.35.0"
_STORES = ("adlfs>=2024.7", "gcsfs>=2024.6", "gcp-storage-emulator", "httpx", "isal", "packaging", "pydantic", "pyyaml", "tenacity")
# The account and the key that every Azurite has.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_FETCH = """
import json, sys
import fsspec
from deployer.errors import DeployerError
from deployer.artifacts import fetch

model, protocol, bucket, *uris = sys.argv[1:]
system = fsspec.filesystem(protocol)
if not system.exists(bucket):
    system.mkdir(bucket)
system.put(model, f"{bucket}/models/churn", recursive=True)
for uri in uris:
    try:
        print(json.dumps(fetch(uri).digest))
    except DeployerError as error:
        print(json.dumps([error.code, error.message]))
"""


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A process that listens on a port, for as long as the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def fetched(protocol: str, bucket: str, uris: list[str], variables: Mapping[str, str]) -> list[object]:
    """What becomes of URIs, once a model is put into a bucket under models/churn."""
    root = Path(__file__).parents[2]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "GOOGLE_", "GCS"))}
    done = subprocess.run(
        [str(environment(_STORES)), "-c", _FETCH, str(saved_model("sklearn")), protocol, bucket, *uris],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**clean, "PYTHONPATH": f"{root}:{root}/images", **variables},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_model_is_fetched_from_google_s_store(tmp_path: Path) -> None:
    port = free_port()
    emulator = str(environment(_STORES).with_name("gcp-storage-emulator"))
    variables = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GS_TOKEN": "anon",
        "FSSPEC_GS_PROJECT": "test",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks another API of Google's, which the emulator hasn't
        "XDG_CACHE_HOME": str(tmp_path),  # nothing is there yet
    }
    with running([emulator, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=stored"], port, tmp_path / "log"):
        uris = ["gs://stored/models/churn", "gs://stored/models/churn/", "gs://stored/absent", "gs://no-such-bucket/x"]
        whole, slashed, absent, bucket = fetched("gs", "stored", uris, variables)
    assert whole == slashed == content_digest(files(saved_model("sklearn")))
    assert absent == ["model-not-found", "there is nothing at gs://stored/absent"]
    assert bucket == ["model-not-found", "there is nothing at gs://no-such-bucket/x"]


def test_a_model_is_fetched_from_azure_s_store_by_either_address(tmp_path: Path) -> None:
    port = free_port()
    blobs = f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
    account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_KEY};{blobs}"
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with running([azurite(), *options], port, tmp_path / "log"):
        uris = [
            "wasbs://stored@devstoreaccount1.blob.core.windows.net/models/churn",
            "abfss://stored@devstoreaccount1.dfs.core.windows.net/models/churn/",
            "abfss://stored@devstoreaccount1.dfs.core.windows.net/absent",
            "wasbs://no-such-container@devstoreaccount1.blob.core.windows.net/x",
        ]
        blob, lake, absent, container = fetched("abfs", "stored", uris, {"AZURE_STORAGE_CONNECTION_STRING": account, "XDG_CACHE_HOME": str(tmp_path)})
    assert blob == lake == content_digest(files(saved_model("sklearn")))
    assert absent == ["model-not-found", f"there is nothing at {uris[2]}"]
    assert container == ["model-not-found", f"there is nothing at {uris[3]}"]


def azurite() -> str:
    """Azure's own emulator, installed by npm once."""
    npm = shutil.which("npm")
    if npm is None:
        unavailable("Azure's emulator comes by npm, which is not here: apt-get install npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]
    name = _AZURITE.replace("@", "-")
    directory = made_once(cache_directory() / name, lambda made: subprocess.run([*command, str(made), _AZURITE], check=True))
    return str(directory / "node_modules" / ".bin" / "azurite-blob")
