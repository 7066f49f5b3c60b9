"""What a generation answered, by its pods' own counters: each tells them at /metrics, and the Service keeps what they were at the last step."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from functools import partial

from deployer.core.counters import Counts, measured, parsed
from deployer.core.state import DeploymentName
from deployer.core.traffic import Measured
from deployer.errors import Refused, TargetUnavailable
from deployer_targets.kubernetes import names, pods
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.observe import service_of


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
