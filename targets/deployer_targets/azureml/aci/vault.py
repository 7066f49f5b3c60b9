"""The keys of a deployment, in the workspace's store: Azure never gives back what it was given as a secure value."""

from __future__ import annotations

import json
import secrets

from deployer.core.state import DeploymentName
from deployer_targets.azureml import blobs
from deployer_targets.azureml.client import AzureMlCloud


def keys(name: DeploymentName, cloud: AzureMlCloud) -> tuple[str, ...]:
    """The keys that its server takes; none where there are none yet."""
    found = blobs.read(cloud, cloud.shelf(name).keys)
    return tuple(json.loads(found[0])) if found else ()


def make_keys(name: DeploymentName, cloud: AzureMlCloud) -> bool:
    """Make two, which stay for the deployment's life; false where they are there."""
    if keys(name, cloud):
        return False
    cloud.check()
    made = json.dumps([secrets.token_urlsafe(32), secrets.token_urlsafe(32)]).encode()
    return blobs.write(cloud, cloud.shelf(name).keys, made, version="") is not None
