"""What a generation answered, by its pods' own counters: each tells them at /metrics, and the Service keeps what they were at the last step."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from deployer.core.state import DeploymentName
from deployer.core.traffic import Measured, by_percentile
from deployer.errors import Refused, TargetUnavailable
from deployer_targets.kubernetes import names, pods
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.observe import service_of

_SAMPLE = re.compile(r'(deployer_requests_total|deployer_request_duration_seconds_bucket)\{path="([^"]*)",(?:status|le)="([^"]*)"\} (\S+)')
_QUIET = frozenset({"/ping", "/health", "/version", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready", "/execution-parameters"})
_REQUESTS = "deployer_requests_total"

Counts = Mapping[str, int]
"""By status ("200"), and by the bound of a time ("le 0.25": so many took no longer)."""


def measure(name: DeploymentName, generation: str, cloud: Kube) -> Measured:
    """What it answered since it has the share that it has now."""
    cloud.check()
    service = service_of(name, cloud)
    before = json.loads(((service or {"metadata": {}})["metadata"].get("annotations") or {}).get(names.COUNTED) or "{}")
    now = counted(name, generation, cloud)
    return measured({key: max(value - int(before.get(key, 0)), 0) for key, value in now.items()})


def counted(name: DeploymentName, generation: str, cloud: Kube) -> Counts:
    """The counters of all pods of a generation; one that can't be asked now counts nothing."""
    found: Counter[str] = Counter()
    for pod in pods.here(cloud.list("Pod", names.labels(name, generation))):
        where = f"{cloud.path('Pod')}/{pod['metadata']['name']}:8080/proxy/metrics"
        ask = partial(cloud.connection.send, "GET", where, headers={"Accept": "text/plain"})
        with suppress(Refused, TargetUnavailable):
            found.update(parsed(cloud.connection.seam.call(ask, "read metrics", retry=False).data.decode()))
    return found


def parsed(text: str) -> Counts:
    """What a scoring server's metrics say of predictions."""
    found: Counter[str] = Counter()
    for sample, path, label, value in _SAMPLE.findall(text):
        if path not in _QUIET:
            found[label if sample == _REQUESTS else f"le {label}"] += int(float(value))
    return found


def measured(counts: Counts) -> Measured:
    """The counts in words; of a time the bound of the bucket that it is in."""
    requests = sum(number for key, number in counts.items() if not key.startswith("le "))
    errors = sum(number for key, number in counts.items() if key.startswith("5"))
    bounds = sorted((float(key[3:]), number) for key, number in counts.items() if key.startswith("le "))
    times: Counter[float] = Counter()
    below = 0
    for bound, number in bounds:
        times[bound] = max(number - below, 0)
        below = number
    return Measured(requests, errors, by_percentile(+times) if times.total() else {})
