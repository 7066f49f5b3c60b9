"""Packaging and uploading a large model, against boto3 sending an archive that is ready: megabytes a second and our own peak memory.

All send to the same S3 on this machine, in processes of their own, so that the peak is the client's alone.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench.local_cloud import local_cloud
from tests.bench.processes import Finished, run
from tests.bench.tables import Table

RUNS = 3
PLAIN, GZIPPED = "boto3.upload_file of a ready tar", "boto3.upload_file of a ready tar.gz"
UPLOAD, WHOLE = "deployer: packaging, upload", "deployer: digest, packaging, upload"
EMPTY = """
import boto3
s3 = boto3.client("s3")
for each in s3.list_objects_v2(Bucket="sagemaker-bench").get("Contents", ()):
    s3.delete_object(Bucket="sagemaker-bench", Key=each["Key"])
"""
BOTO3 = """
import sys, boto3
boto3.client("s3").upload_file(sys.argv[1], sys.argv[2], sys.argv[3])
"""
PACK = """
import sys, tarfile
options = {"compresslevel": 1} if sys.argv[3].endswith("gz") else {}
with tarfile.open(sys.argv[2], sys.argv[3], **options) as archive:
    archive.add(sys.argv[1], ".")
"""
OURS = """
import sys, time
from pathlib import Path
from deployer.events import silent
from deployer.artifacts.content import content_digest, files
from deployer.core.target import TargetUri
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.steps import UploadModel
from deployer_targets.sagemaker.target import SageMaker
from deployer_targets.sagemaker.destination import Destination
path, target = Path(sys.argv[1]), SageMaker()
begin = time.perf_counter(), time.process_time()
digest = content_digest(files(path))
print(time.perf_counter() - begin[0], time.process_time() - begin[1])
cloud = target.connect(TargetUri.parse("sagemaker"), target.config())
UploadModel(Destination(Home(sys.argv[2], "bench"), "deployer/bench/" + sys.argv[3], digest), path).run(cloud, silent)
"""


def measure(megabytes: int, **_: object) -> Iterator[Table]:
    """Goal: no slower than `boto3.upload_file` of a ready tar, with under 100 MB of our own memory at the peak."""
    with tempfile.TemporaryDirectory() as room, local_cloud() as environment:
        model = big_model(Path(room) / "model", megabytes)
        tar, compressed = Path(room) / "model.tar", Path(room) / "model.tar.gz"
        for path, mode in ((tar, "w"), (compressed, "w:gz")):
            run([sys.executable, "-c", PACK, str(model), str(path), mode])
        run([sys.executable, "-c", "import boto3; boto3.client('s3').create_bucket(Bucket='sagemaker-bench')"], environment)
        found: dict[str, list[Finished]] = {name: [] for name in (PLAIN, GZIPPED, UPLOAD, WHOLE)}
        for turn in range(RUNS):
            for name, script, source in ((PLAIN, BOTO3, tar), (GZIPPED, BOTO3, compressed), (WHOLE, OURS, model)):
                key = f"{turn}-{name}.tar.gz"
                found[name].append(run([sys.executable, "-c", script, str(source), "sagemaker-bench", key], environment))
                # A disk that writes back gigabytes slows whoever comes next; no S3 does.
                run([sys.executable, "-c", EMPTY], environment)
        found[UPLOAD] = [without_digest(each) for each in found[WHOLE]]
    floor = median(each.seconds for each in found[PLAIN])
    rows = []
    for name, runs in found.items():
        seconds = median(each.seconds for each in runs)
        figures = (f"{seconds:.1f}", f"{megabytes / seconds:.0f}", f"{floor / seconds:.2f}", f"{median(each.cpu for each in runs):.1f}")
        rows.append((name, *figures, f"{median(each.peak for each in runs):.0f}"))
    yield Table(
        f"Packaging and upload of a model of {megabytes} MB",
        ("what", "s", "MB/s of model", "speed against boto3", "own CPU, s", "peak MB"),
        tuple(rows),
        f"Medians of {RUNS} interleaved runs, whole processes, to the local cloud. Goal: speed at least 1 against a ready tar, peak under 100.",
    )


def without_digest(whole: Finished) -> Finished:
    """What is left of a run once the digest, which it timed itself, is taken away."""
    seconds, cpu = map(float, whole.output.split())
    return replace(whole, seconds=whole.seconds - seconds, cpu=whole.cpu - cpu)


def big_model(directory: Path, megabytes: int) -> Path:
    """A model directory of that size: half of it noise, as weights are, half of it trees as scikit-learn keeps them, which shrink to a third."""
    directory.mkdir()
    (directory / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: loader\n    data: data\n    python_version: 3.11.7\n")
    (directory / "data").mkdir()
    source, block = random.Random(7), 1 << 20
    trees = [_trees(source, block) for _ in range(4)]
    for index in range(10):
        with (directory / "data" / f"part-{index}.bin").open("wb") as file:
            for each in range(megabytes // 10):
                file.write(source.randbytes(block) if each % 2 else trees[each // 2 % len(trees)])
    return directory


def _trees(source: random.Random, size: int) -> bytes:
    """Nodes of decision trees, 64 bytes each: children, feature, threshold, impurity, samples twice."""

    def node(index: int) -> bytes:
        samples = source.randrange(1, 500)
        if source.random() < 0.5:
            return struct.pack("<qqqddqd8x", -1, -1, -2, -2.0, 0.0, samples, samples)
        right, feature = index + source.randrange(2, 1000), source.randrange(30)
        return struct.pack("<qqqddqd8x", index + 1, right, feature, source.gauss(0, 1), source.random(), samples, samples)

    return b"".join(node(index) for index in range(size // 64))
