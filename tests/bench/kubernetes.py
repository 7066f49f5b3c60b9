"""A real Kubernetes: seconds from `deploy create` to the first prediction, what clients see of an update, the calls that verbs make, a long list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from deployer.core.state import DeploymentName
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes import names
from tests.apart import working
from tests.bench import diagnosis
from tests.bench.processes import run
from tests.bench.scoring import load
from tests.bench.tables import Table
from tests.docker import root_directory, serving_registry
from tests.kubernetes import ENGINE, debians_cluster
from tests.models import copied_model, saved_model

RUNS = 3
MEGABYTES = 10
LISTED = 5000
MANY = 200
DEPLOY = str(Path(sys.executable).with_name("deploy"))
_SMALL = ("-C", 'resources={"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}')
BODY = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def measure(**_: object) -> Iterator[Table]:
    """Each table's note has its goals."""
    with tempfile.TemporaryDirectory() as room, _cluster(Path(room)) as environment:
        body = Path(room) / "body.json"
        body.write_text(json.dumps(BODY))
        built = run([DEPLOY, "build-and-push-container", "-t", "kubernetes", "--base-image", str(root_directory())], environment)
        yield _create_to_prediction(Path(room), body, environment)
        yield _under_load(environment)
        yield diagnosis.table(built.output.split(" is ready")[0].split()[-1], environment)
        with ClusterProxy(environment["KUBECONFIG"]) as proxy:
            through = {**environment, "KUBECONFIG": str(proxy.kubeconfig)}
            yield _calls(body, proxy, through)
            yield _many(Path(room), proxy, through)
        yield _long_list(environment)


def _create_to_prediction(room: Path, body: Path, environment: Mapping[str, str]) -> Table:
    """Another model each time, so that its layer is made, sent and pulled; the first, which warms the node, doesn't count."""
    created, answered = [], []
    for turn in range(RUNS + 1):
        model = copied_model("doubler", room / str(turn))
        (model / "weights.bin").write_bytes(os.urandom(MEGABYTES * 1_000_000))
        begin = time.perf_counter()
        run([DEPLOY, "create", *_named("bench"), *_SMALL, "-m", str(model)], environment)
        middle = time.perf_counter()
        run([DEPLOY, "predict", *_named("bench"), "-i", str(body)], environment)
        end = time.perf_counter()
        run([DEPLOY, "delete", *_named("bench")], environment)
        if turn:
            created.append(middle - begin)
            answered.append(end - begin)
    note = f"Medians of {RUNS} runs, whole commands, a new model each; the image below it is on the node. Goal: under 5 s."
    rows = ((f"{MEGABYTES} MB", f"{median(created):.1f}", f"{median(answered):.1f}"),)
    return Table("Create to first prediction on Kubernetes", ("model", "create, s", "with first predict, s"), rows, note)


def _under_load(environment: Mapping[str, str]) -> Table:
    """Clients of a process of their own ask at a tenth of what the pods can answer, whether or not they are answered."""
    at_port = ["-C", 'patch={"Service": [{"op": "add", "path": "/spec/type", "value": "NodePort"}]}']
    rolling = ["-m", str(saved_model("tripler")), "-C", "strategy=rolling", "-C", "batch=1"]
    canary = ["-m", str(saved_model("doubler")), "-C", "strategy=canary", "-C", "steps=[50]", "-C", "pause=5s"]
    meanwhile: dict[str, Callable[[], object]] = {
        "nothing": lambda: time.sleep(15),
        "two more such pods start, by kubectl, one after the other": lambda: _started_beside(environment),
        "rolling, one pod after the other": lambda: run([DEPLOY, "update", *_named("loaded"), *rolling], environment),
        "canary of 50 %": lambda: run([DEPLOY, "update", *_named("loaded"), *canary], environment),
    }
    run([DEPLOY, "create", *_named("loaded"), *_SMALL, *at_port, "-C", "replicas=2", "-m", str(saved_model("doubler"))], environment)
    service = json.loads(_kubectl(environment, "get", "service", "loaded", "-o", "json"))
    url = f"http://127.0.0.1:{service['spec']['ports'][0]['nodePort']}/invocations"
    once_there = ["--retry", "60", "--retry-connrefused", "--retry-delay", "1"]  # the node's rules follow the Service
    subprocess.run(["curl", "-s", "-o", "/dev/null", *once_there, url], check=True)
    load.closed(url, json.dumps(BODY).encode(), connections=16, seconds=2)
    rate = load.closed(url, json.dumps(BODY).encode(), connections=16).rate / 10
    rows = []
    for what, act in meanwhile.items():
        with working(_asking, url, rate) as asked:
            begin = time.perf_counter()
            act()
            seconds = time.perf_counter() - begin
        (found,) = asked
        rows.append((what, f"{found.rate:,.0f}", f"{found.p50:.1f}", f"{found.p99:.1f}", str(found.failed), f"{seconds:.0f}"))
    run([DEPLOY, "delete", *_named("loaded")], environment)
    note = (
        "An open loop at a tenth of saturation, two pods on the two cores that new ones start on too: what that costs is the second row. "
        "Goals: none fails, p99 at most doubled."
    )
    return Table("An update on Kubernetes under load", ("meanwhile", "requests/s", "p50, ms", "p99, ms", "failed", "s"), tuple(rows), note)


def _started_beside(environment: Mapping[str, str]) -> None:
    """Pods like those that are asked, which nobody asks: what starting them costs those that are, whoever starts them."""
    found = json.loads(_kubectl(environment, "get", "deployments", "-l", "app.kubernetes.io/instance=loaded", "-o", "json"))["items"][0]
    labels = {"app": "beside"}
    template = {"metadata": {"labels": labels}, "spec": found["spec"]["template"]["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "beside"}, "spec": spec}
    _kubectl(environment, "create", "-f", "-", given=manifest)
    _kubectl(environment, "rollout", "status", "deployment/beside")
    _kubectl(environment, "scale", "deployment/beside", "--replicas=2")
    _kubectl(environment, "rollout", "status", "deployment/beside")
    _kubectl(environment, "delete", "deployment", "beside")


def _asking(url: str, rate: float, over: Any) -> load.Figures:
    """An open loop, until it is over."""
    return load.opened_until(url, json.dumps(BODY).encode(), over.is_set, rate=rate, connections=16)


def _calls(body: Path, proxy: ClusterProxy, environment: Mapping[str, str]) -> Table:
    """What each verb asks of the API server, from the journal of a proxy before it; asking again whether pods are ready is apart."""
    verbs = {
        "create": [*_SMALL, "-m", str(saved_model("doubler"))],
        "create again, nothing to do": [*_SMALL, "-m", str(saved_model("doubler"))],
        "update, another model": [*_SMALL, "-m", str(saved_model("tripler"))],
        "update, replicas alone": ["-C", "replicas=2"],
        "list": [],
        "predict": ["-i", str(body)],
        "delete": [],
    }
    rows = []
    for verb, arguments in verbs.items():
        proxy.clear()
        name = verb.partition(" ")[0].rstrip(",")
        where = ["-t", "kubernetes"] if name == "list" else _named("calls")
        run([DEPLOY, name, *where, *arguments], environment)
        calls = Counter(entry["operation"] for entry in proxy.calls())
        polls = calls.pop("list pods", 0)
        most = ", ".join(f"{operation} {count}" for operation, count in calls.most_common(4))
        rows.append((verb, str(sum(calls.values())), str(polls), most))
    note = "From the journal of a proxy before a real API server. Goals: create 20, update 25, nothing to do 5."
    return Table("API calls to Kubernetes", ("verb", "calls", "looks at pods", "most of them"), tuple(rows), note)


def _many(room: Path, proxy: ClusterProxy, environment: Mapping[str, str]) -> Table:
    """By one command. No node fits the pods, so that none runs: what is tried is the API server's no."""
    space, fleet = "deployer-bench-many", room / "fleet.json"
    options = {"synchronous": False, "node_selector": {"deployer-bench": "no-such-node"}}
    each = {"model": str(saved_model("doubler")), "targets": {f"kubernetes://{space}": options}}
    fleet.write_text(json.dumps([{"name": f"model-{number}", **each} for number in range(MANY)]))
    _kubectl(environment, "create", "namespace", space)
    try:
        proxy.clear()
        throttle = proxy.fault("throttle", count=None, every=5)
        done = run([DEPLOY, "apply", "-f", str(fleet), "--concurrency", "16", "-o", "name"], environment)
        asked = len(proxy.calls())
        proxy.clear()
        listed = run([DEPLOY, "list", "-t", f"kubernetes://{space}", "-o", "name"], environment).output.split()
        found = _kubectl(environment, "get", "deployments", "-n", space, "-o", "name").split()
    finally:
        _kubectl(environment, "delete", "namespace", space, "--wait=false")
    rows = (
        (
            str(MANY),
            str(sum(line.startswith("model-") for line in done.output.splitlines())),
            str(len(listed)),
            str(len(found)),
            f"{asked:,}",
            f"{throttle.hits:,}",
            f"{done.seconds:.0f}",
        ),
    )
    note = (
        "One `deploy apply -f`, 16 at a time; one answer in five is 429 with Retry-After. None waits for its pods, which no node fits. "
        "Goal: all, none lost or doubled."
    )
    return Table("Many creates on a throttled API server", ("deployments", "done", "listed", "Deployments", "calls", "429", "s"), rows, note)


def _long_list(environment: Mapping[str, str]) -> Table:
    """What deployments have, in a namespace of their own, but pods, for which one node has no room: the Deployments are paused."""
    space = "deployer-bench-list"
    _kubectl(environment, "create", "namespace", space)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: _kubectl(environment, "create", "-n", space, "-f", "-", given=_deployments(part)), range(0, LISTED, 250)))
        runs = [run([DEPLOY, "list", "-t", f"kubernetes://{space}", "-o", "name"], environment) for _ in range(RUNS)]
    finally:
        _kubectl(environment, "delete", "namespace", space, "--wait=false")
    seconds, peak, found = median(each.seconds for each in runs), max(each.peak for each in runs), len(runs[0].output.split())
    rows = ((f"{found:,}", f"{seconds:.1f}", f"{peak:.0f}"),)
    return Table("A long list on Kubernetes", ("deployments", "s", "peak MB"), rows, f"Medians of {RUNS} runs, whole commands. Goals: 3 s, 150 MB.")


def _deployments(first: int) -> dict[str, Any]:
    """250 of them: each a Service, a ConfigMap and two generations. Services have no address, since a cluster has few."""
    items: list[dict[str, Any]] = []
    for number in range(first, first + 250):
        name = names.name_for(f"model-{number}")
        generations = f"{number:010x}", f"{number + LISTED:010x}"
        labels, said = names.labels(name), {names.TRAFFIC: f"{generations[0]}=100", names.MODEL: f"models:/model-{number}/1"}
        spec = {"clusterIP": "None", "selector": names.selector(name, generations[0]), "ports": [{"port": 80, "protocol": "TCP"}]}
        items += [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels, "annotations": said}, "spec": spec},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.ledger(name), "labels": labels}, "data": {"record": "x" * 2000}},
            *(_generation(name, each, replicas) for each, replicas in zip(generations, (1, 0), strict=True)),
        ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _generation(name: DeploymentName, generation: str, replicas: int) -> dict[str, Any]:
    labels = names.labels(name, generation)
    container = {"name": "model", "image": "nowhere/scoring:1", "env": [{"name": f"VARIABLE_{each}", "value": "x" * 50} for each in range(20)]}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"paused": True, "replicas": replicas, "selector": {"matchLabels": names.selector(name, generation)}, "template": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.of_generation(name, generation), "labels": labels},
        "spec": spec,
    }


def _named(name: str) -> list[str]:
    return ["-t", "kubernetes", "-n", name]


def _kubectl(environment: Mapping[str, str], *arguments: str, given: object = None) -> str:
    text = json.dumps(given) if given else None
    return subprocess.run(["kubectl", *arguments], env=dict(environment), input=text, capture_output=True, text=True, check=True).stdout


@contextmanager
def _cluster(room: Path) -> Iterator[Mapping[str, str]]:
    """This process's environment, with Debian's Kubernetes and an empty registry in it."""
    subprocess.run([sys.executable, str(ENGINE), "build"], check=True)
    with debians_cluster() as kubeconfig, serving_registry(room) as registry:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYER_")}
        yield {**clean, "KUBECONFIG": kubeconfig, "DEPLOYER_IMAGE_REPOSITORY": f"{registry}/scoring"}
