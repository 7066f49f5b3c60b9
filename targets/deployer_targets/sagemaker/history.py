"""A deployment's history in S3: one object, which S3 compares before it writes, so that no claim has to be read for it."""

from __future__ import annotations

from deployer.core.state import DeploymentName
from deployer.errors import Conflict, Refused
from deployer_targets.sagemaker import faults, observe, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import Home


def history(name: DeploymentName, cloud: Aws) -> str:
    """The document; "" where there is none."""
    home = cloud.held.home if cloud.held else Home(observe.bucket_of(name, cloud), name)
    listed = cloud.connection.learnt.get(observe.history_listed(home), True)  # where one was made since, ours is refused
    found = store.read_version(cloud, home.bucket, home.history) if listed else None
    body, cloud.connection.learnt[_version_of(home)] = found or (b"", "")
    return body.decode()


def keep(text: str, before: str, cloud: Aws) -> None:
    """Write it in place of what this run read or wrote last.

    Raises:
        Conflict: another run has written it since, or it is gone with the deployment.
    """
    assert cloud.held is not None
    home, learnt = cloud.held.home, cloud.connection.learnt
    version = learnt.get(_version_of(home), "")
    condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
    where = {"Bucket": home.bucket, "Key": home.history, "ContentType": "application/json"}
    try:
        written = cloud.call("s3", "put_object", **where, Body=text.encode(), **condition, **store.encryption(cloud.held.kms_key))
    except Refused as no:
        if not isinstance(no, Absent) and (no.__cause__ is None or faults.code_of(no.__cause__) not in faults.OVERTAKEN):
            raise
        learnt.pop(observe.history_listed(home), None)
        if history(DeploymentName(home.deployment), cloud) != text:  # the answer to the first try may have been lost
            raise Conflict(f"another run has written the history of {home.deployment} since, or has removed it") from no
        return
    learnt[_version_of(home)] = str(written["ETag"])


def _version_of(home: Home) -> tuple[str, str, str]:
    return ("history", home.bucket, home.history)
