"""The main line on the local cloud: seconds from `deploy create` to the first prediction, and the API calls that verbs make."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import boto3

from deployer_images import runtimes
from deployer_localstack import ControlClient
from tests.bench.local_cloud import local_cloud
from tests.bench.processes import run
from tests.bench.tables import Table
from tests.models import saved_model

RUNS = 3
DEPLOY = str(Path(sys.executable).with_name("deploy"))
BODY = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def measure(**_: object) -> Iterator[Table]:
    """Goals: create to first prediction under 5 s as a process and under 8 s in docker, warm, with an image that fits."""
    rows = []
    with tempfile.TemporaryDirectory() as room, local_cloud() as environment:
        body = Path(room) / "body.json"
        body.write_text(json.dumps(BODY))
        for runtime in ("process", *(["docker"] if runtimes.docker_answers() else [])):
            rows.append((runtime, *_create_to_prediction(runtime, body, environment)))
        yield Table(
            "Create to first prediction on the local cloud",
            ("runtime", "create, s", "with first predict, s"),
            tuple(rows),
            f"Medians of {RUNS} runs, whole commands, warm, the image fits. Goals: under 5 s as a process, under 8 s in docker.",
        )
        if runtimes.docker_answers():
            yield _image(environment)
        yield _calls(body, environment)


def _create_to_prediction(runtime: str, body: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    model = str(saved_model("doubler"))
    _build(environment, "--runtime", runtime, "--for", model)
    created, answered = [], []
    for turn in range(RUNS + 1):
        begin = time.perf_counter()
        run([DEPLOY, "create", "-t", "sagemaker", "-n", "bench", "-m", model], environment)
        middle = time.perf_counter()
        run([DEPLOY, "predict", "-t", "sagemaker", "-n", "bench", "-i", str(body)], environment)
        end = time.perf_counter()
        run([DEPLOY, "delete", "-t", "sagemaker", "-n", "bench"], environment)
        if turn:
            created.append(middle - begin)
            answered.append(end - begin)
    return f"{median(created):.1f}", f"{median(answered):.1f}"


def _build(environment: Mapping[str, str], *options: str) -> None:
    base = ["--base-image", environment["DEPLOYER_BASE_IMAGE"]] if "DEPLOYER_BASE_IMAGE" in environment else []
    run([DEPLOY, "build-and-push-container", "-t", "sagemaker", *options, *base], environment)


def _image(environment: Mapping[str, str]) -> Table:
    """What the image for all models weighs in the registry, layer by layer."""
    name = "bench-image"
    _build(environment, "--runtime", "docker", "--container-name", name)
    client = boto3.client(
        "ecr",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    found = client.describe_images(repositoryName=name)["imageDetails"][0]
    image = client.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": found["imageDigest"]}])["images"][0]
    base, *own = (layer["size"] / 1e6 for layer in json.loads(image["imageManifest"])["layers"])
    rows = (("all of it", f"{found['imageSizeInBytes'] / 1e6:.0f}"), ("of that the base image", f"{base:.0f}"), ("of that ours", f"{sum(own):.0f}"))
    note = "As it lies in the registry: gzip. The base image is Debian's with Python where it was made for the tests, and has one layer."
    return Table("The scoring image, compressed", ("what", "MB"), rows, note)


def _calls(body: Path, environment: Mapping[str, str]) -> Table:
    """What each verb asks of AWS, from the cloud's own journal."""
    control, rows = ControlClient(environment["AWS_ENDPOINT_URL"], environment["DEPLOYER_LOCALSTACK_TOKEN"]), []
    verbs = {
        "create": ["create", "-n", "calls", "-m", str(saved_model("doubler"))],
        "create again, nothing to do": ["create", "-n", "calls", "-m", str(saved_model("doubler"))],
        "update, another model": ["update", "-n", "calls", "-m", str(saved_model("tripler"))],
        "update, an option alone": ["update", "-n", "calls", "-C", "container_startup_timeout=120"],
        "list": ["list"],
        "predict": ["predict", "-n", "calls", "-i", str(body)],
        "delete": ["delete", "-n", "calls"],
    }
    for verb, arguments in verbs.items():
        control.clear_journal()
        run([DEPLOY, arguments[0], "-t", "sagemaker", *arguments[1:]], environment)
        calls = Counter(entry["operation"] for entry in control.journal())
        most = ", ".join(f"{name} {count}" for name, count in calls.most_common(4))
        rows.append((verb, str(sum(calls.values())), most))
    return Table("API calls", ("verb", "calls", "most of them"), tuple(rows), "From the local cloud's journal; waiting polls included.")
