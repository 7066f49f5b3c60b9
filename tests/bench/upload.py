"""Packaging and uploading a large model, against boto3 sending a tar that is ready: megabytes a second and our own peak memory.

Both send to the same S3 on this machine, in processes of their own, so that the peak is the client's alone.
"""

from __future__ import annotations

import os
import random
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.local_cloud import local_cloud
from tests.bench.processes import run
from tests.bench.tables import Table

RUNS = 3
BOTO3 = """
import sys, boto3
boto3.client("s3").upload_file(sys.argv[1], sys.argv[2], sys.argv[3])
"""
OURS = """
import sys
from pathlib import Path
from deployer.events import silent
from deployer.models.content import content_digest, files
from deployer.target import TargetUri
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.steps import UploadModel
from deployer_targets.sagemaker.target import SageMaker
from deployer_targets.sagemaker.upload import Destination
path, target = Path(sys.argv[1]), SageMaker()
digest = content_digest(files(path))
cloud = target.connect(TargetUri.parse("sagemaker"), target.config())
UploadModel(Destination(Home(sys.argv[2], "bench"), "deployer/bench/" + sys.argv[3], digest), path).run(cloud, silent)
"""


def measure(megabytes: int, **_: object) -> Iterator[Table]:
    """Goal: no slower than `boto3.upload_file` of a ready tar, with under 100 MB of our own memory at the peak."""
    with tempfile.TemporaryDirectory() as room, local_cloud() as environment:
        model = big_model(Path(room) / "model", megabytes)
        tar = Path(room) / "model.tar.gz"
        with tarfile.open(tar, "w:gz", compresslevel=1) as archive:
            archive.add(model, ".")
        run([sys.executable, "-c", "import boto3; boto3.client('s3').create_bucket(Bucket='sagemaker-bench')"], environment)
        found: dict[str, list[tuple[float, float]]] = {"boto3.upload_file of a ready tar": [], "deployer: digest, packaging, upload": []}
        for turn in range(RUNS):
            for name, script, source in (
                ("boto3.upload_file of a ready tar", BOTO3, tar),
                ("deployer: digest, packaging, upload", OURS, model),
            ):
                done = run([sys.executable, "-c", script, str(source), "sagemaker-bench", f"{turn}-{len(name)}.tar.gz"], environment)
                found[name].append((done.seconds, done.peak))
    rows = []
    floor = median(seconds for seconds, _ in found["boto3.upload_file of a ready tar"])
    for name, figures in found.items():
        seconds, peak = median(each for each, _ in figures), median(each for _, each in figures)
        rows.append((name, f"{seconds:.1f}", f"{megabytes / seconds:.0f}", f"{floor / seconds:.2f}", f"{peak:.0f}"))
    yield Table(
        f"Packaging and upload of a model of {megabytes} MB",
        ("what", "s", "MB/s of model", "speed against boto3", "peak MiB"),
        tuple(rows),
        f"Medians of {RUNS} interleaved runs, whole processes, to the local cloud. Goal: speed at least 1, peak under 100.",
    )


def big_model(directory: Path, megabytes: int) -> Path:
    """A model directory of that size: half of it noise, half of it compressible, as weights and trees are."""
    directory.mkdir()
    (directory / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: loader\n    data: data\n    python_version: 3.11.7\n")
    (directory / "data").mkdir()
    source, block = random.Random(7), 1 << 20
    for index in range(10):
        with (directory / "data" / f"part-{index}.bin").open("wb") as file:
            for each in range(megabytes // 10):
                file.write(source.randbytes(block) if each % 2 else os.urandom(block // 16) * 16)
    return directory
