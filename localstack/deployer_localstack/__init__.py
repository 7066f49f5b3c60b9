"""A cloud on one machine: AWS's APIs by moto's server, and Azure's where asked for, whose endpoints really run the containers that they are told to.

import deployer_localstack as localstack

localstack.up()                      # or up(Options(port=0, directory=...)); under five seconds, and nothing to do where it is up
os.environ |= localstack.environment()
localstack.down()                    # says what it forgets

The daemon is `python -m deployer_localstack serve`. docs/local-cloud.md lists every rule that it enforces, and how sure we are of it.
"""

from __future__ import annotations

from deployer_localstack.control.client import ControlClient
from deployer_localstack.lifecycle import CloudStatus, Forgotten, control, down, environment, logs, reset, status, up, up_with_cluster
from deployer_localstack.options import StartOptions, default_directory

__all__ = [
    "CloudStatus",
    "ControlClient",
    "Forgotten",
    "StartOptions",
    "control",
    "default_directory",
    "down",
    "environment",
    "logs",
    "reset",
    "status",
    "up",
    "up_with_cluster",
]
