"""What things of a deployment are called in a namespace, and the labels by which they are found. Pure.

The Service has the deployment's name, which is what it is reached by. Each generation is a Deployment, with a Secret beside it where it has an
environment; records, claim and history are in one ConfigMap, whose name has a dot, as no deployment's has.
"""

from __future__ import annotations

import re

from deployer.core import generations
from deployer.core.state import DeploymentName, Resource
from deployer.errors import ConfigInvalid

MANAGER = "deployer"
"""Our field manager, and the value of the label that says what is ours."""
COUNTER = "deployer-replicas"
"""The field manager that has the number of replicas alone: it can be left to somebody else while the rest stays ours."""

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
NAME = "app.kubernetes.io/name"
GENERATION = "deployer.io/generation"
TRAFFIC = "deployer.io/traffic"
"""The shares that a Service is to give, "c0de7741aa=90 5d41402abc=10"."""
RUN = "deployer.io/run"
"""The run that claimed the name last: what an older one has seen of the thing before isn't its version any more."""
SPLIT_BY = "deployer.io/split-by"
"""What splits the traffic while two generations share it, where it isn't the Service, which leads to the first of them meanwhile."""
COUNTED = "deployer.io/counted"
"""What the pods of the generation that is tried had answered when it was given its share."""
REPLICAS = "deployer.io/replicas"
"""How many pods we gave a generation last: where it has others by now, somebody else has them in hand."""
PODS = "deployer.io/pods"
"""How many pods there are to be once a generation has all of the traffic again that two share now."""
MOUNTS = "deployer.io/mounts"
"""Of pods: that their model is an image which the node mounts; those that run show that nodes can."""
FILLED = "deployer.io/filled"
"""Of a volume: that all of the model's files are on it, each compared."""
MODEL, MADE, IMAGE = "deployer.io/model", "deployer.io/made", "deployer.io/image"

SERVICE, DEPLOYMENT, SECRET, CLAIM, HISTORY, RECORD = "service", "deployment", "secret", "claim", "history", generations.RECORD
VOLUME = "persistentvolumeclaim"
ORDER = (DEPLOYMENT, SECRET, RECORD, HISTORY, CLAIM)
"""In which things go: what is recorded is never out of sight."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST = 63


def name_for(candidate: str) -> DeploymentName:
    """The nearest name that a Service can have."""
    text = re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")
    return DeploymentName(re.sub(r"^(?=[^a-z])", "m-", text)[:_LONGEST].strip("-") or "model")


def check_name(name: str) -> DeploymentName:
    """The name, if a Service can have it.

    Raises:
        ConfigInvalid: what it may be.
    """
    if not _NAME.fullmatch(name):
        raise ConfigInvalid(
            f"{name!r} can't name a Service: 1 to 63 small letters, digits and hyphens, a letter first and no hyphen last",
            advice=f"-n {name_for(name)} would do",
        )
    return DeploymentName(name)


def ledger(name: DeploymentName) -> str:
    """The ConfigMap of records, claim and history."""
    return f"{name}.deployer"


def of_generation(name: DeploymentName, generation: str) -> str:
    """The Deployment of a generation, and its Secret."""
    return f"{name}-{generation}"


def pull_secret(name: DeploymentName) -> str:
    """The Secret with the nodes' login to the registry."""
    return f"{name}-pull"


def labels(name: DeploymentName, generation: str = "") -> dict[str, str]:
    """Those of everything that belongs to a deployment, or to a generation of it."""
    return {MANAGED_BY: MANAGER, INSTANCE: name, **({GENERATION: generation} if generation else {})}


def selector(name: DeploymentName, generation: str = "") -> dict[str, str]:
    """What the Service picks pods by: those of a generation, or of all that have some."""
    return {INSTANCE: name, **({GENERATION: generation} if generation else {})}


def query(labelled: dict[str, str]) -> str:
    """Labels as a labelSelector."""
    return ",".join(f"{key}={value}" for key, value in sorted(labelled.items()))


def deployment(name: DeploymentName, generation: str) -> Resource:
    return Resource(DEPLOYMENT, of_generation(name, generation))


def secret(name: DeploymentName, generation: str) -> Resource:
    return Resource(SECRET, of_generation(name, generation))


def volume(name: DeploymentName, generation: str) -> Resource:
    return Resource(VOLUME, of_generation(name, generation))


def service(name: DeploymentName) -> Resource:
    return Resource(SERVICE, name)


def beside(name: DeploymentName) -> frozenset[Resource]:
    """What is the deployment's, not a generation's."""
    return frozenset({Resource(CLAIM, name), Resource(HISTORY, name)})
