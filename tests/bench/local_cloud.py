"""A local cloud of the benchmark's own, up for as long as a block runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import deployer_localstack as localstack

_KEPT = ("AWS_CA_BUNDLE", "DEPLOYER_BASE_IMAGE")


@contextmanager
def local_cloud() -> Iterator[Mapping[str, str]]:
    """This process's environment, pointed at a fresh cloud on a free port; other settings of the user's own are left out."""
    with tempfile.TemporaryDirectory(prefix="deployer-bench-") as room:
        directory = Path(room)
        localstack.up(localstack.StartOptions(port=0, directory=directory))
        try:
            clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEPLOYER_"))}
            kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
            yield {**clean, **kept, **localstack.environment(directory), "DEPLOYER_LOCALSTACK_DIR": str(directory)}
        finally:
            localstack.down(directory)
