"""An online endpoint on an attached cluster, by Azure ML's SDK alone: `kubernetes.py IMAGE MODELS NAME`; what came of it, as JSON.

MODELS holds the folders blue and green.
"""

import json
import sys

import requests
from azure.ai.ml.entities import (
    DefaultScaleSettings,
    KubernetesCompute,
    KubernetesOnlineDeployment,
    KubernetesOnlineEndpoint,
    ManagedOnlineDeployment,
    Model,
    OnlineRequestSettings,
    ResourceRequirementsSettings,
    ResourceSettings,
    TargetUtilizationScaleSettings,
)
from workspace import client, done, environment, refused, said

image, models, name = sys.argv[1:]
endpoints, deployments = client.online_endpoints, client.online_deployments

aks = client.compute.get("aks")
said["compute"] = [aks.type, aks.namespace, aks.provisioning_state, sorted(aks.properties["instanceTypes"])]
said["computes"] = [each.name for each in client.compute.list(compute_type="Kubernetes")]
cluster = aks.resource_id.rpartition("/")[0] + "/another"
sizes = {"large": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}}}
mine = KubernetesCompute(name=name, resource_id=cluster, namespace="scoring", properties={"instanceTypes": sizes})
attached = done(client.compute.begin_create_or_update(mine))
said["attached"] = [attached.name, attached.namespace, attached.provisioning_state]

environment(name, image)


def deployment(which, kind=KubernetesOnlineDeployment, **more):
    model = Model(name=f"{name}-{which}", version="1", path=f"{models}/{which}")
    return kind(name=which, endpoint_name=name, model=model, environment=f"{name}:1", environment_variables={"FLAVOR": which}, **more)


def endpoint(**more):
    return KubernetesOnlineEndpoint(name=name, compute=attached.id, **{"auth_mode": "key", **more})


refused("entra", lambda: done(endpoints.begin_create_or_update(endpoint(auth_mode="aad_token"))))
refused("nowhere", lambda: done(endpoints.begin_create_or_update(KubernetesOnlineEndpoint(name=name, compute=f"{attached.id}x"))))
made = done(endpoints.begin_create_or_update(endpoint(tags={"team": "risk"})))
said["endpoint"] = [type(made).__name__, made.provisioning_state, made.compute.rpartition("/")[2], dict(made.tags)]

asked = ResourceRequirementsSettings(requests=ResourceSettings(cpu="500m", memory="1Gi"), limits=ResourceSettings(cpu="2", memory="2Gi"))
slow = OnlineRequestSettings(request_timeout_ms=300_000)
scaling = {"scale_settings": DefaultScaleSettings(), "instance_count": 2, "instance_type": "large", "resources": asked, "request_settings": slow}
blue = done(deployments.begin_create_or_update(deployment("blue", **scaling)))
said["blue"] = [blue.provisioning_state, blue.instance_count, blue.instance_type, blue.resources.limits.memory, blue.scale_settings.type]
green = done(deployments.begin_create_or_update(deployment("green")))
said["green"] = [green.scale_settings.type, green.scale_settings.min_instances, green.scale_settings.max_instances, green.instance_count]
many = TargetUtilizationScaleSettings(min_instances=2, max_instances=5, polling_interval=10, target_utilization_percentage=60)
green.scale_settings = many
green = done(deployments.begin_create_or_update(green))
said["green scaled"] = [green.scale_settings.min_instances, green.scale_settings.max_instances, green.instance_count]
too_slow = OnlineRequestSettings(request_timeout_ms=300_001)
refused("too slow", lambda: done(deployments.begin_create_or_update(deployment("blue", request_settings=too_slow))))
refused("unknown size", lambda: done(deployments.begin_create_or_update(deployment("blue", instance_type="huge"))))
huge = ResourceRequirementsSettings(requests=ResourceSettings(cpu="9", memory="1Gi"))
refused("too much", lambda: done(deployments.begin_create_or_update(deployment("blue", resources=huge))))
refused(
    "managed",
    lambda: done(deployments.begin_create_or_update(deployment("blue", ManagedOnlineDeployment, instance_type="Standard_DS3_v2", instance_count=1))),
)

key, uri = endpoints.get_keys(name).primary_key, endpoints.get(name).scoring_uri


def ask(text, named=None):
    headers = {"Authorization": f"Bearer {key}", **({"azureml-model-deployment": named} if named else {})}
    answer = requests.post(uri, data=text, headers=headers)
    return [answer.status_code, answer.text]


def traffic(**shares):
    found = endpoints.get(name)
    found.traffic = shares
    return done(endpoints.begin_create_or_update(found)).traffic


said["no traffic"] = ask("a")[0]
said["traffic"] = traffic(blue=100)
said["blue answers"] = ask("b")
said["by name"] = ask("c", "green")
found = endpoints.get(name)
found.mirror_traffic = {"green": 10}
refused("mirrored", lambda: done(endpoints.begin_create_or_update(found)))
said["all green"] = traffic(green=100)
said["green answers"] = ask("d")
said["green's log"] = deployments.get_logs("green", name, lines=10)
refused("detached in use", lambda: done(client.compute.begin_delete(name, action="Detach")))
done(deployments.begin_delete("blue", name))
said["left"] = [each.name for each in deployments.list(name)]
done(endpoints.begin_delete(name))
done(client.compute.begin_delete(name, action="Detach"))
said["computes left"] = [each.name for each in client.compute.list()]
print(json.dumps(said))
