"""A container group by Azure's SDK alone: `container_group.py IMAGE USER PASSWORD NAME`; what came of it, as JSON."""

import json
import os
import sys
import time

import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.containerinstance.models import (
    Container,
    ContainerGroup,
    ContainerGroupIdentity,
    ContainerGroupSubnetId,
    ContainerHttpGet,
    ContainerPort,
    ContainerProbe,
    EnvironmentVariable,
    GpuResource,
    ImageRegistryCredential,
    IpAddress,
    Port,
    Resource,
    ResourceRequests,
    ResourceRequirements,
    UserAssignedIdentities,
)

image, user, password, name = sys.argv[1:]
manager = requests.get(os.environ["ARM_CLOUD_METADATA_URL"]).json()[0]["resourceManager"].rstrip("/")
place, subscription = os.environ["AZUREML_ARM_RESOURCEGROUP"], os.environ["AZURE_SUBSCRIPTION_ID"]
client = ContainerInstanceManagementClient(
    DefaultAzureCredential(), subscription, base_url=manager, credential_scopes=[f"{manager}/.default"], polling_interval=1
)
groups, said = client.container_groups, {}


def refused(what, call):
    try:
        call()
    except HttpResponseError as refusal:
        said[what] = [refusal.status_code, refusal.error.code if refusal.error else ""]


def group(*, flavor="blue", cpu=1.0, gpu=None, label=None, credentials=True, subnet=None, **more):
    variables = [EnvironmentVariable(name="FLAVOR", value=flavor), EnvironmentVariable(name="TOKEN", secure_value="hidden")]
    probe = ContainerProbe(http_get=ContainerHttpGet(path="/ping", port=8080), period_seconds=1)
    asked = ResourceRequirements(requests=ResourceRequests(cpu=cpu, memory_in_gb=1.5, gpu=gpu))
    only = Container(
        name="server", image=image, ports=[ContainerPort(port=8080)], environment_variables=variables, resources=asked, readiness_probe=probe
    )
    login = ImageRegistryCredential(server=image.partition("/")[0], username=user, password=password)
    address = IpAddress(ports=[Port(port=8080)], type="Private" if subnet else "Public", dns_name_label=label)
    given = {"image_registry_credentials": [login] if credentials else None, "subnet_ids": [ContainerGroupSubnetId(id=subnet)] if subnet else None}
    return ContainerGroup(location="eastus", os_type="Linux", containers=[only], ip_address=address, **{**given, **more})


def put(called=name, **more):
    return groups.begin_create_or_update(place, called, group(**more)).result()


def ask(found, text):
    url = f"http://{found.ip_address.fqdn or found.ip_address.ip}:8080/invocations"
    for _ in range(100):
        try:
            return requests.post(url, data=text, timeout=5).text
        except requests.ConnectionError:
            time.sleep(0.1)
    return "nobody"


made = put(label=f"label-{name}", tags={"team": "risk"})
said["made"] = [made.provisioning_state, made.instance_view.state, made.tags, made.containers[0].instance_view.current_state.state]
said["named"] = made.ip_address.dns_name_label
answered = json.loads(ask(made, "environment"))
said["variables"] = [answered["FLAVOR"], answered["TOKEN"]]
shown = groups.get(place, name)
said["shown"] = [[each.name, each.value, each.secure_value] for each in shown.containers[0].environment_variables]
said["password"] = [each.password for each in shown.image_registry_credentials]
said["log"] = client.containers.list_logs(place, name, "server", tail=5).content
said["stamped"] = client.containers.list_logs(place, name, "server", tail=1, timestamps=True).content[:2]
said["listed"] = [each.name for each in groups.list_by_resource_group(place) if each.name == name]
said["listed everywhere"] = [each.name for each in groups.list() if each.name == name]

changed = put(flavor="green", label=f"label-{name}")
said["changed"] = [json.loads(ask(changed, "environment"))["FLAVOR"], changed.ip_address.ip == made.ip_address.ip, changed.tags]
refused("more cpu in place", lambda: put(cpu=2.0, label=f"label-{name}"))
refused("label taken", lambda: put(f"{name}-b", label=f"label-{name}"))
refused("label in a subnet", lambda: put(f"{name}-b", label="label-other", subnet="/subscriptions/s/subnets/one"))
refused("short label", lambda: put(f"{name}-b", label="abc"))
refused("too much", lambda: put(f"{name}-b", cpu=32.0))
refused("gpu", lambda: put(f"{name}-b", gpu=GpuResource(count=1, sku="V100")))
refused("no login", lambda: put(f"{name}-b", credentials=False))
refused("nobody's name", lambda: put("Not_A_Name"))

puller = f"/subscriptions/{subscription}/resourceGroups/{place}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
login = ImageRegistryCredential(server=image.partition("/")[0], identity=puller)
refused("identity of somebody else", lambda: put(f"{name}-b", image_registry_credentials=[login]))
identity = ContainerGroupIdentity(type="UserAssigned", user_assigned_identities={puller: UserAssignedIdentities()})
second = put(f"{name}-b", image_registry_credentials=[login], identity=identity)
said["by identity"] = [second.provisioning_state, list(second.identity.user_assigned_identities)]
private = put(f"{name}-c", subnet="/subscriptions/s/subnets/one")
said["private"] = [private.ip_address.type, private.ip_address.fqdn]

said["restarted"] = groups.begin_restart(place, name).result()
said["answers again"] = json.loads(ask(changed, "environment"))["FLAVOR"]
groups.stop(place, name)
said["stopped"] = groups.get(place, name).instance_view.state
groups.begin_start(place, name).result()
said["started"] = [groups.get(place, name).instance_view.state, json.loads(ask(groups.get(place, name), "environment"))["FLAVOR"]]
said["tagged"] = groups.update(place, name, Resource(tags={"team": "fraud"})).tags
said["used"] = [[each.name.value, each.current_value >= 3, each.limit] for each in client.location.list_usage("eastus")]
for each in (name, f"{name}-b", f"{name}-c"):
    groups.begin_delete(place, each).result()
refused("gone", lambda: groups.get(place, name))
said["left"] = [each.name for each in groups.list() if each.name.startswith(name)]
print(json.dumps(said))
