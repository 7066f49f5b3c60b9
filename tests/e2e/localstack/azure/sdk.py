"""Runs scripts that know Azure's SDKs and nothing of ours."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import deployer_localstack as localstack
from tests.environments import azure_python

_SCRIPTS = Path(__file__).with_name("scripts")


def run(name: str, cloud: localstack.CloudStatus, *arguments: str, given: str = "") -> Any:
    """What a script prints last, with the variables that `deploy localstack env` prints and no other; `given` is its input."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(cloud.directory), **localstack.environment(cloud.directory)}
    command = [str(azure_python()), str(_SCRIPTS / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=variables, input=given, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1].lstrip("."))  # azure-ai-ml prints dots while it waits
