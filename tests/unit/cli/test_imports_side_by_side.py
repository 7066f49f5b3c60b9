"""Several targets in one process: their libraries stand on the same ones, which no two threads may import at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SIDE_BY_SIDE = """
from concurrent.futures import ThreadPoolExecutor
from deployer.client import _import_libraries
from deployer.core import targets
from deployer.core.target import TargetUri
import sys, threading
sys.setswitchinterval(1e-5)
names = ("sagemaker", "azureml", "kubernetes")
found = [targets.load(TargetUri.parse(name)) for name in names]
begin = threading.Barrier(len(found))
def use(target):
    begin.wait()
    _import_libraries(target)
    return [sys.modules[each] for each in target.libraries]
with ThreadPoolExecutor(len(found)) as pool:
    list(pool.map(use, found))
from azure.core.pipeline.transport import RequestsTransport
from kubernetes import client
RequestsTransport(), client.ApiClient
print("whole")
"""


@pytest.mark.parametrize("turn", range(3))
def test_the_libraries_of_all_targets_are_whole_in_every_thread(turn: int) -> None:
    done = subprocess.run([sys.executable, "-W", "error::Warning:urllib3", "-c", _SIDE_BY_SIDE], capture_output=True, text=True, check=False)
    assert done.stdout == "whole\n", done.stderr
