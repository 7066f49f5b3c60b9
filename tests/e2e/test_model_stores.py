"""Models in Google's and Azure's object stores, by the emulators that their own users test with."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployer.artifacts import content_digest, digested, files
from deployer_images.layers.model_images import wanted_files
from deployer_scoring.fetching.fetch import fetch_model
from tests.azurite import ACCOUNT, KEY, azurite
from tests.docker import free_port
from tests.environments import environment
from tests.models import saved_model
from tests.servers import running

_STORES = ("adlfs>=2024.7", "gcsfs>=2024.6", "gcp-storage-emulator", "httpx", "isal", "packaging", "pydantic", "pyyaml", "tenacity")
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


def test_a_model_is_fetched_from_google_s_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        wanted = wanted_files(digested(files(saved_model("sklearn"))))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", variables["STORAGE_EMULATOR_HOST"])
        monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
        fetch_model(uris[0], wanted, tmp_path / "model", lambda _: None)  # as a container does
    assert whole == slashed == content_digest(files(saved_model("sklearn"))) == content_digest(files(tmp_path / "model"))
    assert absent == ["model-not-found", "there is nothing at gs://stored/absent"]
    assert bucket == ["model-not-found", "there is nothing at gs://no-such-bucket/x"]


def test_a_model_is_fetched_from_azure_s_store_by_either_address(tmp_path: Path) -> None:
    port = free_port()
    blobs = f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT}"
    account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{blobs}"
    with running(azurite(port), port, tmp_path / "log"):
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
