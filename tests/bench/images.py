"""Images without an engine against docker: a model put on an image, and a lock's packages, both built and pushed to the same registry.

The engine is this machine's (`eval "$(scripts/docker-engine up)"`), the registry Debian's, the index a folder of wheels that are fetched once.
Bytes sent are those by which the registry's blobs have grown.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from uv import find_uv_bin

from deployer_images import runtimes
from tests.bench.processes import Finished, run
from tests.bench.tables import Table
from tests.docker import root_directory, serving_registry
from tests.environments import cache_directory, made_once, mlflow_python, uv

RUNS = 3
PACKAGE_RUNS = 1
"""By pip in docker one takes minutes."""
DEPLOY = str(Path(sys.executable).with_name("deploy"))
LOCK = ("mlflow-skinny==3.17.2", "scikit-learn==1.9.1", "pandas==3.1.1", "pyarrow==26.0.1", "numpy==2.4.6")
FOREST = """
import pickle, sys, numpy
from sklearn.ensemble import RandomForestRegressor
random = numpy.random.default_rng(7)
rows = random.normal(size=(9000, 20))
forest = RandomForestRegressor(60, n_jobs=2, random_state=7).fit(rows, rows[:, 0] * rows[:, 1] + random.normal(size=9000))
for number in range(int(sys.argv[2])):
    forest.estimators_ = forest.estimators_[1:] + forest.estimators_[:1]
    pickle.dump(forest, open(f"{sys.argv[1]}/forest-{number}.pkl", "wb"), protocol=5)
"""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one way took."""

    finished: Finished
    sent: int
    requests: int


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry with a base image in it."""

    host: str
    directory: Path

    @property
    def base(self) -> str:
        return f"{self.host}/base:bookworm"

    def measured(self, action: Callable[[], Finished]) -> Pushed:
        before, asked = self._stored(), self._requests()
        finished = action()
        found = Pushed(finished, self._stored() - before, self._requests() - asked)
        print(
            f"  {finished.seconds:.1f} s, {found.sent / 1e6:.1f} MB sent, {found.requests} requests", file=sys.stderr, flush=True
        )  # some take minutes
        return found

    def _stored(self) -> int:
        return sum(file.stat().st_size for file in self.directory.glob("registry/docker/registry/v2/blobs/**/data"))

    def _requests(self) -> int:
        return len(re.findall(r'"(?:GET|HEAD|POST|PUT|PATCH) /v2/', (self.directory / "registry.log").read_text()))


def measure(**_: object) -> Iterator[Table]:
    """Goals: a model of 50 MB 3 times as fast as docker, packages 3 times as fast as pip in docker and no slower than uv in docker; the second model
    with a lock under 1 s and under 10 requests; peak under 200 MB."""
    if not runtimes.docker_answers():
        print('no docker engine answers: eval "$(scripts/docker-engine up)"', file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(dir=cache_directory()) as room, serving_registry(Path(room)) as host, _index() as index:
        registry = Registry(host, Path(room))
        environment = _environment(Path(room), index)
        _push_base(registry)
        run([DEPLOY, "build-and-push-container", "--registry", host, "--base", registry.base, "--python", "3.11", "--runtime", "layers"], environment)
        yield _models(registry, Path(room), environment)
        yield _packages(registry, Path(room), environment, index)


def _models(registry: Registry, room: Path, environment: Mapping[str, str]) -> Table:
    forests = _forests(RUNS + 1)
    ours, zstd, docker = list[Pushed](), list[Pushed](), list[Pushed]()
    shared = f"{registry.host}/deployer-scoring:{_shared_tag()}"
    run(["docker", "pull", "--quiet", shared])
    for number, forest in enumerate(forests):
        model = _model(room / f"forest-{number}", ("numpy==2.4.6", "pandas==3.1.1"), forest)
        command = [DEPLOY, "models", "build-docker", "-m", str(model), "--registry", registry.host, "-n", f"forest:{number}", "--push"]
        mine = registry.measured(functools.partial(run, command, environment))
        again = [*command[:-3], "-n", f"zstd:{number}", "--push", "--compression", "zstd"]
        smaller = registry.measured(functools.partial(run, again, environment))
        theirs = registry.measured(functools.partial(_docker, model, f"FROM {shared}\nCOPY . /opt/ml/model/\n", f"{registry.host}/docker:{number}"))
        if number:  # before the first one nothing is warm, on either side
            ours.append(mine)
            zstd.append(smaller)
            docker.append(theirs)
    size = forests[0].stat().st_size / 1e6
    return Table(
        f"A model of {size:.0f} MB put on an image and pushed",
        _HEADS,
        (
            _row("docker build (FROM, COPY), docker push", docker, docker),
            _row("deploy models build-docker --push", ours, docker),
            _row("the same with --compression zstd", zstd, docker),
        ),
        f"Medians of {RUNS} interleaved runs, whole commands, a random forest as scikit-learn pickles it. Goals: 3 times as fast, by zstd 4 times.",
    )


def _packages(registry: Registry, room: Path, environment: Mapping[str, str], index: str) -> Table:
    lock = _requirements()
    found: dict[str, list[Pushed]] = {"docker build by pip, push": [], "docker build by uv, push": [], "deploy models packages --build": []}
    for number in range(PACKAGE_RUNS):
        model = _model(room / f"packages-{number}", lock, None)
        folder = room / f"context-{number}"
        folder.mkdir()
        (folder / "requirements.txt").write_text("\n".join(lock))
        shutil.copy(find_uv_bin(), folder / "uv")
        start = f"FROM {registry.base}\nCOPY requirements.txt uv /\nRUN python3 -m venv /opt/venv\n"
        pip = f"RUN /opt/venv/bin/pip install -q --no-cache-dir --index-url {index} -r /requirements.txt # {number}\n"
        by_uv = f"RUN /uv pip install -q --no-cache --python /opt/venv/bin/python --index-url {index} -r /requirements.txt # {number}\n"
        # A repository and a cache of its own each time: nothing is there yet.
        fresh = {**environment, "XDG_CACHE_HOME": str(room / f"cache-{number}"), "UV_CACHE_DIR": str(room / f"uv-{number}")}
        place = f"{registry.host}/fresh{number}"
        run(
            [DEPLOY, "build-and-push-container", "--registry", place, "--base", registry.base, "--python", "3.11", "--runtime", "layers"], environment
        )
        command = [DEPLOY, "models", "packages", "-m", str(model), "--registry", place, "--build", "-o", "name"]
        found["deploy models packages --build"].append(registry.measured(functools.partial(run, command, fresh)))
        shutil.rmtree(room / f"cache-{number}")
        shutil.rmtree(room / f"uv-{number}")
        for name, line in (("docker build by uv, push", by_uv), ("docker build by pip, push", pip)):
            tag = f"{registry.host}/{'pip' if line is pip else 'uv'}{number}:1"
            found[name].append(registry.measured(functools.partial(_docker, folder, start + line, tag)))
    place = f"{registry.host}/fresh0"
    again, whole = list[Pushed](), list[Pushed]()
    for number in range(RUNS + 1):
        model = _model(room / f"second-{number}", lock, None, data=str(number))
        command = [DEPLOY, "models", "packages", "-m", str(model), "--registry", place, "--build", "-o", "name"]
        again.append(registry.measured(functools.partial(run, command, environment)))
        command = [DEPLOY, "models", "build-docker", "-m", str(model), "--registry", place, "-n", f"second:{number}", "--push"]
        whole.append(registry.measured(functools.partial(run, command, environment)))
    found["the same for a second model with that lock"] = again[1:]
    found["deploy models build-docker --push of a second model"] = whole[1:]
    peers = found["docker build by pip, push"]
    return Table(
        f"The packages of a lock ({len(lock)} packages) built and pushed",
        _HEADS,
        tuple(_row(name, runs, peers) for name, runs in found.items()),
        f"{PACKAGE_RUNS} run, of second models medians of {RUNS}, whole commands, no package cached, wheels from this machine. "
        "Goals: 3 times pip, no slower than uv; the second model under 1 s and 10 requests; peak under 200.",
    )


_HEADS = ("what", "s", "speed against docker", "own CPU, s", "MB sent", "requests", "peak MB")


def _row(name: str, runs: list[Pushed], peers: list[Pushed]) -> tuple[str, ...]:
    seconds, floor = (median(each.finished.seconds for each in part) for part in (runs, peers))
    cpu, peak = (f"{median(each.finished.cpu for each in runs):.1f}", f"{median(each.finished.peak for each in runs):.0f}")
    if name.startswith("docker"):
        cpu = peak = "the engine's"
    sent = median(each.sent for each in runs) / 1e6
    return name, f"{seconds:.1f}", f"{floor / seconds:.1f}", cpu, f"{sent:.1f}", f"{median(each.requests for each in runs):.0f}", peak


def _docker(context: Path, dockerfile: str, tag: str) -> Finished:
    file = context.with_name(f"{context.name}.Dockerfile")
    file.write_text(dockerfile)
    build = f"docker build -q --network host -t {tag} -f {file} {context} && docker push -q {tag}"
    try:
        return run(["sh", "-ec", build], {**os.environ, "DOCKER_BUILDKIT": "0"})
    finally:
        subprocess.run(["docker", "image", "rm", "-f", tag], capture_output=True, check=False)


def _push_base(registry: Registry) -> None:
    with subprocess.Popen(["tar", "-C", str(root_directory()), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", "-", registry.base], stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
    run(["docker", "push", "--quiet", registry.base])


def _model(directory: Path, requirements: tuple[str, ...], forest: Path | None, data: str = "") -> Path:
    """A model that names mlflow, so that nothing of its lock is left out."""
    directory.mkdir()
    (directory / "requirements.txt").write_text("".join(f"{each}\n" for each in requirements))
    (directory / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: churn\n    data: data\n    python_version: 3.11.7\n")
    (directory / "churn.py").write_text("import mlflow\n")
    if forest:
        shutil.copy(forest, directory / "data")
    else:
        (directory / "data").write_text(data)
    return directory


def _forests(count: int) -> list[Path]:
    key = hashlib.sha256(f"{FOREST}{count}".encode()).hexdigest()[:16]
    made = made_once(
        cache_directory() / f"bench-forests-{key}", lambda directory: run([str(mlflow_python()), "-c", FOREST, str(directory), str(count)])
    )
    return sorted(made.glob("*.pkl"))


def _shared_tag() -> str:
    from deployer.oci import general_tag

    return general_tag("3.11")


def _environment(room: Path, index: str) -> dict[str, str]:
    """This one's, with the index alone, and caches of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "DEPLOYER_"))}
    (room / "home").mkdir()
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index, "XDG_CONFIG_HOME": str(room / "home")}
    return {**clean, **own, "XDG_CACHE_HOME": str(room / "cache")}


# The index


def _wheels() -> Path:
    """The wheels of the lock, and of what the runtime needs, fetched once."""

    def fetch(directory: Path) -> None:
        from deployer_images import scoring

        (directory / "in").write_text("\n".join(LOCK))
        platform = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_36", "--only-binary", ":all:")
        uv("pip", "compile", str(directory / "in"), "-q", "--no-header", "--no-annotate", *platform, "-o", str(directory / "requirements.txt"))
        for wanted in (["-r", str(directory / "requirements.txt"), "--no-deps"], [*scoring.requirements()]):
            where = ["--platform", "manylinux_2_36_x86_64", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"]
            where += ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--only-binary", ":all:"]
            run([sys.executable, "-m", "pip", "download", "-q", "-d", str(directory), *where, *wanted])

    key = hashlib.sha256("\n".join(LOCK).encode()).hexdigest()[:16]
    return made_once(cache_directory() / f"bench-wheels-{key}", fetch)


def _requirements() -> tuple[str, ...]:
    return tuple(line for line in (_wheels() / "requirements.txt").read_text().splitlines() if line)


@contextmanager
def _index() -> Iterator[str]:
    """Serves them as an index that has their metadata apart, as PyPI has."""
    wheels = _wheels()
    with tempfile.TemporaryDirectory(dir=cache_directory()) as name:
        for wheel in wheels.glob("*.whl"):
            project = Path(name) / "simple" / re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
            project.mkdir(parents=True, exist_ok=True)
            (project / wheel.name).hardlink_to(wheel)
            with zipfile.ZipFile(wheel) as packed:
                inside = next(each for each in packed.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
                (project / f"{wheel.name}.metadata").write_bytes(packed.read(inside))
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            with (project / "index.html").open("a") as page:
                page.write(f'<a href="{wheel.name}#sha256={digest}" data-core-metadata="true">{wheel.name}</a>\n')
        handler = functools.partial(_Quiet, directory=name)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...
