"""One verb of a deployment by Azure ML's SDK alone: `azure_sdk.py VERB NAME MODEL IMAGE`. Run by an interpreter that has it."""

import contextlib
import os
import sys
from pathlib import Path

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from azure.identity import DefaultAzureCredential

verb, name, model, image = sys.argv[1:]
place = [os.environ[f"AZUREML_ARM_{part}"] for part in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
client = MLClient(DefaultAzureCredential(), *place)
endpoints, deployments = client.online_endpoints, client.online_deployments
version = Path(model).name


def deploy():
    """The model, the environment and a deployment of them: an update's has another name."""
    ready, live = "/v2/health/ready", "/v2/health/live"
    routes = {route: {"port": 8080, "path": path} for route, path in (("liveness_route", live), ("readiness_route", ready))}
    inference = {**routes, "scoring_route": {"port": 8080, "path": "/invocations"}}
    registered = client.models.create_or_update(Model(name=name, version=version, path=model))
    environment = client.environments.create_or_update(Environment(name=name, version="1", image=image, inference_config=inference))
    size = {"instance_type": "Standard_DS3_v2", "instance_count": 1}
    made = ManagedOnlineDeployment(name=version, endpoint_name=name, model=registered, environment=environment, **size)
    deployments.begin_create_or_update(made).result()


def give_traffic():
    endpoint = endpoints.get(name)
    endpoint.traffic = {version: 100}
    endpoints.begin_create_or_update(endpoint).result()


with contextlib.redirect_stdout(sys.stderr):  # the SDK prints dots
    match verb:
        case "create" | "again":
            endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key")).result()
            deploy()
            give_traffic()
        case "update":
            before = [each.name for each in deployments.list(name)]
            deploy()
            give_traffic()
            for each in before:
                deployments.begin_delete(each, name).result()
        case "list":
            for each in endpoints.list():
                list(deployments.list(each.name))
        case "predict":
            endpoints.invoke(name, request_file=os.environ["BODY"])
        case "delete":
            endpoints.begin_delete(name).result()
