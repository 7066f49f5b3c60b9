"""A model's files into the workspace's store, as they are; what is there already by its digest is not sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deployer.core.state import DeploymentName, Digest
from deployer.errors import ModelInvalid
from deployer_targets.azureml import blobs
from deployer_targets.azureml.client import AzureMlCloud

_LARGE = 8 << 20
_SMALL_AT_ONCE = 4


def is_there(cloud: AzureMlCloud, name: DeploymentName, model: Digest) -> bool:
    """Whether all files of a model are in the store."""
    found = blobs.read(cloud, cloud.shelf(name).seal(model))
    return found is not None and found[0].decode() == model


def send(cloud: AzureMlCloud, name: DeploymentName, model: Digest, path: Path, progress: Callable[[int, int], None]) -> None:
    """Send a model's files, and say then that they are all there.

    Raises:
        ModelInvalid: it isn't the model of that digest (any more).
    """
    from deployer.artifacts.content import content_digest, files

    shelf, found = cloud.shelf(name), files(path)
    total, sent, lock = sum(file.size for file in found), 0, threading.Lock()

    def told(more: int) -> None:
        nonlocal sent
        with lock:
            sent += more
            progress(sent, total)

    for file in found:
        if file.size > _LARGE:
            blobs.upload(cloud, shelf.data(model) + file.path, file.source, file.size, told)
    with ThreadPoolExecutor(_SMALL_AT_ONCE, thread_name_prefix="upload") as pool:
        small = [file for file in found if file.size <= _LARGE]
        for done in [pool.submit(blobs.upload, cloud, shelf.data(model) + file.path, file.source, file.size, told) for file in small]:
            done.result()
    if content_digest(files(path)) != model:
        raise ModelInvalid(f"the model changed while it was being uploaded, in {path}", advice="run the command again once nothing writes there")
    blobs.write(cloud, shelf.seal(model), model.encode())
