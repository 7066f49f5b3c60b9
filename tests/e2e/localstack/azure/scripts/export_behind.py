"""What an export behind an endpoint wrote, loaded and deployed by Azure ML's SDK alone: `export_behind.py DIRECTORY`; what came of it, as JSON."""

import contextlib
import json
import sys
from pathlib import Path

from azure.ai.ml import load_environment, load_model, load_online_deployment
from workspace import client

directory = Path(sys.argv[1])

with contextlib.redirect_stdout(sys.stderr):  # the SDK prints dots
    client.models.create_or_update(load_model(directory / "model.yml"))
    client.environments.create_or_update(load_environment(directory / "environment.yml"))
    made = client.online_deployments.begin_create_or_update(load_online_deployment(directory / "deployment.yml")).result()
print(json.dumps({"state": made.provisioning_state, "endpoint": made.endpoint_name, "name": made.name}))
