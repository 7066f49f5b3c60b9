"""Models and environments by Azure ML's SDK alone: `assets.py MODEL_DIRECTORY NAME DOWNLOADS`; what came of it, as JSON."""

import json
import os
import sys

from azure.ai.ml import MLClient
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import Environment, Model
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from workspace import client, place, said

directory, name, downloads = sys.argv[1:]


def refused(what, call):
    try:
        call()
    except HttpResponseError as refusal:
        said[what] = [type(refusal).__name__, refusal.status_code, refusal.error.code if refusal.error else ""]


said["location"] = client.workspaces.get(place[2]).location
first = client.models.create_or_update(Model(name=name, path=directory, type="custom_model", tags={"team": "risk"}))
said["first"] = [first.version, first.path.split("/datastores/")[1].split("/")[0], dict(first.tags)]
second = client.models.create_or_update(Model(name=name, path=directory))
said["second"] = second.version
client.models.create_or_update(Model(name=name, version="1", tags={"team": "fraud"}, path=first.path, type="custom_model"))
said["tags"] = dict(client.models.get(name, "1").tags)
said["labelled"] = client.models.get(name, label="latest").version
client.models.archive(name, "1")
said["listed"] = [each.version for each in client.models.list(name)]
said["archived"] = [each.version for each in client.models.list(name, list_view_type=ListViewType.ARCHIVED_ONLY)]
client.models.restore(name, "1")
said["restored"] = sorted(each.version for each in client.models.list(name))
said["names"] = name in [each.name for each in client.models.list()]
client.models.download(name, "1", download_path=downloads)
refused("another path", lambda: client.models.create_or_update(Model(name=name, version="1", path="azureml://datastores/workspaceblobstore/paths/x")))
refused("no model", lambda: client.models.get(name, "77"))

routes = {f"{each}_route": {"port": 8080, "path": "/ping"} for each in ("liveness", "readiness")}
inference = {**routes, "scoring_route": {"port": 8080, "path": "/invocations"}}
made = client.environments.create_or_update(Environment(name=name, version="1", image="registry/scoring:1", inference_config=inference))
routed = made.inference_config.scoring_route
said["environment"] = [made.version, made.image, routed.port, routed.path]
said["next environment"] = client.environments.create_or_update(Environment(name=name, image="registry/scoring:2")).version
refused("another image", lambda: client.environments.create_or_update(Environment(name=name, version="1", image="registry/scoring:3")))


def elsewhere(subscription, group, workspace):
    return MLClient(DefaultAzureCredential(), subscription, group, workspace)


refused("no subscription", lambda: elsewhere("00000000-0000-4000-8000-000000000099", *place[1:]).models.get(name, "1"))
refused("no group", lambda: elsewhere(place[0], "other", place[2]).models.get(name, "1"))
refused("no workspace", lambda: elsewhere(*place[:2], "other").models.get(name, "1"))
wrong = ClientSecretCredential(os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], "guessed")
refused("wrong secret", lambda: MLClient(wrong, *place).models.get(name, "1"))
guid = ClientSecretCredential(
    "00000000-0000-4000-8000-00000000000a", os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"], disable_instance_discovery=True
)
said["by the tenant's id"] = MLClient(guid, *place).models.get(name, "1").version
print(json.dumps(said))
