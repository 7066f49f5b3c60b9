"""A packaged model behind an endpoint, by Azure ML's SDK alone: `score.py IMAGE MODEL NAME QUESTION`; the status and the answer, as JSON."""

import contextlib
import json
import sys

import requests
from azure.ai.ml.entities import Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from workspace import client

image, model, name, question = sys.argv[1:]
routes = {"liveness_route": "/ping", "readiness_route": "/ping", "scoring_route": "/invocations"}
inference = {route: {"port": 8080, "path": path} for route, path in routes.items()}
with contextlib.redirect_stdout(sys.stderr):
    endpoint = client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="aml_token")).result()
    deployment = ManagedOnlineDeployment(
        name="blue",
        endpoint_name=name,
        model=Model(name=name, version="1", path=model),
        environment=Environment(name=name, version="1", image=image, inference_config=inference),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    client.online_deployments.begin_create_or_update(deployment).result()
    endpoint.traffic = {"blue": 100}
    client.online_endpoints.begin_create_or_update(endpoint).result()
token, uri = client.online_endpoints.get_keys(name).access_token, client.online_endpoints.get(name).scoring_uri
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
answer = requests.post(uri, data=question, headers=headers)
print(json.dumps([answer.status_code, answer.json(), requests.post(uri, data=question).status_code]))
