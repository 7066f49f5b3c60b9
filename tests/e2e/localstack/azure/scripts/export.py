"""What an export wrote, loaded and deployed as `az ml` does, by Azure ML's SDK alone: `export.py DIRECTORY REQUEST`; what came of it, as JSON."""

import contextlib
import json
import sys
from pathlib import Path

from azure.ai.ml import load_environment, load_model, load_online_deployment, load_online_endpoint
from workspace import client

directory, request = Path(sys.argv[1]), sys.argv[2]

with contextlib.redirect_stdout(sys.stderr):  # the SDK prints dots
    client.models.create_or_update(load_model(directory / "model.yml"))
    client.environments.create_or_update(load_environment(directory / "environment.yml"))
    endpoint = client.online_endpoints.begin_create_or_update(load_online_endpoint(directory / "endpoint.yml")).result()
    deployment = load_online_deployment(directory / "deployment.yml")
    deployment.environment_variables["GREETING"] = "hello"
    made = client.online_deployments.begin_create_or_update(deployment).result()
    endpoint.traffic = {made.name: 100}
    client.online_endpoints.begin_create_or_update(endpoint).result()
    answer = client.online_endpoints.invoke(endpoint.name, request_file=request)
    client.online_endpoints.begin_delete(endpoint.name).result()
print(json.dumps({"state": made.provisioning_state, "answer": json.loads(answer)}))
