"""A managed online endpoint by Azure ML's SDK alone: `endpoint.py IMAGE MODELS NAME`; what came of it, as JSON.

MODELS holds the folders blue, green and broken.
"""

import json
import sys
import tempfile

import requests
from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, Model, OnlineRequestSettings
from azure.core.exceptions import HttpResponseError
from workspace import client, done, environment, refused, said

image, models, name = sys.argv[1:]
endpoints, deployments = client.online_endpoints, client.online_deployments

environment(name, image)


def deployment(which, **more):
    model = Model(name=f"{name}-{which}", version="1", path=f"{models}/{which}")
    given = {"instance_type": "Standard_DS3_v2", "instance_count": 1, "environment_variables": {"FLAVOR": which}, **more}
    return ManagedOnlineDeployment(name=which, endpoint_name=name, model=model, environment=f"{name}:1", **given)


done(endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key", tags={"team": "risk"})))
found = endpoints.get(name)
said["endpoint"] = [found.provisioning_state, found.traffic, found.auth_mode, dict(found.tags)]
refused("traffic to nobody", lambda: done(endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key", traffic={"blue": 100}))))
made = done(deployments.begin_create_or_update(deployment("blue")))
said["blue"] = [made.provisioning_state, made.model.split("/workspaces/")[1], made.instance_count, made.environment_variables]
key, uri = endpoints.get_keys(name).primary_key, endpoints.get(name).scoring_uri


def ask(text, authorization=None, named=None, path=None):
    headers = {"Authorization": authorization or f"Bearer {key}", **({"azureml-model-deployment": named} if named else {})}
    answer = requests.post(path or uri, data=text, headers=headers)
    told = answer.headers
    return [answer.status_code, answer.text, told.get("azureml-model-deployment"), told.get("ms-azureml-model-error-statuscode")]


said["no traffic"] = ask("a")[0]
said["by name"] = ask("a", named="blue")
said["where the model is"] = json.loads(ask("environment", named="blue")[1])["AZUREML_MODEL_DIR"].split("/")[-2:]


def split(**shares):
    endpoint = endpoints.get(name)
    endpoint.traffic = shares
    return done(endpoints.begin_create_or_update(endpoint)).traffic


said["traffic"] = split(blue=100)
said["blue answers"] = ask("b")
with tempfile.NamedTemporaryFile("w", suffix=".json") as request:
    request.write("7")
    request.flush()
    said["invoked"] = endpoints.invoke(name, request_file=request.name)
said["wrong key"] = ask("a", "Bearer guessed")[0]
said["no key"] = ask("a", "Basic x")[0]
said["refused by the model"] = ask("bad")
said["no such deployment"] = ask("a", named="grey")[0]
said["no such endpoint"] = ask("a", path=uri.replace(name, f"{name}x"))[0]

done(deployments.begin_create_or_update(deployment("green", request_settings=OnlineRequestSettings(request_timeout_ms=500))))
refused("sum of 90", lambda: split(blue=80, green=10))
refused("unknown name", lambda: split(blue=80, grey=20))
refused("more than all", lambda: split(blue=150))
said["split"] = split(blue=50, green=50)
answers = [ask("d") for _ in range(60)]
said["both answer"] = sorted({answer[1] for answer in answers})
said["told who"] = all(answer[1].startswith(answer[2]) for answer in answers)
said["too slow"] = ask("sleep 2", named="green")[0]
refused(
    "live deployment deleted",
    lambda: done(deployments.begin_delete("blue", name)),
)
said["all green"] = split(green=100)
done(deployments.begin_delete("blue", name))
said["left"] = sorted(each.name for each in deployments.list(name))

try:
    done(deployments.begin_create_or_update(deployment("broken")))
except HttpResponseError as failure:
    said["broken"] = failure.error.code
said["broken is"] = deployments.get("broken", name).provisioning_state
said["its log"] = deployments.get_logs("broken", name, lines=10)
refused("traffic to what failed", lambda: split(green=50, broken=50))
said["green answers still"] = ask("e")
updated = deployments.get("green", name)
updated.environment_variables = {"FLAVOR": "other"}
updated.instance_count = 2
said["updated"] = done(deployments.begin_create_or_update(updated)).instance_count
said["changed"] = json.loads(ask("environment")[1])["FLAVOR"]

endpoints_key = endpoints.get_keys(name).secondary_key
said["second key"] = ask("f", f"Bearer {endpoints_key}")[0]
done(endpoints.begin_regenerate_keys(name, key_type="primary"))
said["old key"] = ask("f")[0]
refused("bad name", lambda: done(deployments.begin_create_or_update(deployment("blue", instance_count=0))))
refused("no endpoint", lambda: endpoints.get(f"{name}x"))
refused("no deployment", lambda: deployments.get("grey", name))
said["listed"] = name in [each.name for each in endpoints.list()]
done(endpoints.begin_delete(name))
said["still listed"] = name in [each.name for each in endpoints.list()]
print(json.dumps(said))
