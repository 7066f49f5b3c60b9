"""A real Kubernetes: seconds from `deploy create` to the first prediction, the calls that verbs make, and what a long list costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes import names
from tests.bench.processes import run
from tests.bench.tables import Table
from tests.docker import root_directory, serving_registry
from tests.kubernetes import ENGINE, debians_cluster
from tests.models import copied_model, saved_model

RUNS = 3
MEGABYTES = 10
LISTED = 5000
DEPLOY = str(Path(sys.executable).with_name("deploy"))
_SMALL = ("-C", 'resources={"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}')
BODY = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def measure(**_: object) -> Iterator[Table]:
    """Goals: create to first prediction under 5 s; 20 calls a create, 25 an update, 5 for nothing to do; a list of 5,000 under 3 s and 150 MB."""
    with tempfile.TemporaryDirectory() as room, _cluster(Path(room)) as environment:
        body = Path(room) / "body.json"
        body.write_text(json.dumps(BODY))
        run([DEPLOY, "build-and-push-container", "-t", "kubernetes", "--base-image", str(root_directory())], environment)
        yield _create_to_prediction(Path(room), body, environment)
        with ClusterProxy(environment["KUBECONFIG"]) as proxy:
            yield _calls(body, proxy, {**environment, "KUBECONFIG": str(proxy.kubeconfig)})
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


def _long_list(environment: Mapping[str, str]) -> Table:
    """Services and ConfigMaps as deployments have them, in a namespace of their own: without pods, whose number is not the list's."""
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
    """250 of them: each a Service and a ConfigMap. Services have no address, since a cluster has few."""
    items: list[dict[str, Any]] = []
    for number in range(first, first + 250):
        name = names.name_for(f"model-{number}")
        generation = f"{number:010x}"
        labels, said = names.labels(name), {names.TRAFFIC: f"{generation}=100", names.MODEL: f"models:/model-{number}/1"}
        spec = {"clusterIP": "None", "selector": names.selector(name, generation), "ports": [{"port": 80, "protocol": "TCP"}]}
        items += [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels, "annotations": said}, "spec": spec},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.ledger(name), "labels": labels}, "data": {"record": "x" * 2000}},
        ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _named(name: str) -> list[str]:
    return ["-t", "kubernetes", "-n", name]


def _kubectl(environment: Mapping[str, str], *arguments: str, given: object = None) -> None:
    text = json.dumps(given) if given else None
    subprocess.run(["kubectl", *arguments], env=dict(environment), input=text, capture_output=True, text=True, check=True)


@contextmanager
def _cluster(room: Path) -> Iterator[Mapping[str, str]]:
    """This process's environment, with Debian's Kubernetes and an empty registry in it."""
    subprocess.run([sys.executable, str(ENGINE), "build"], check=True)
    with debians_cluster() as kubeconfig, serving_registry(room) as registry:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYER_")}
        yield {**clean, "KUBECONFIG": kubeconfig, "DEPLOYER_IMAGE_REPOSITORY": f"{registry}/scoring"}
