"""The workspace's region by each kind of identity of azure-identity's, and what becomes of a service account's token that isn't trusted."""

import json
import os
from pathlib import Path

from azure.ai.ml import MLClient
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential, WorkloadIdentityCredential
from workspace import place

told = {}


def asked(what, credential):
    told[what] = MLClient(credential, *place).workspaces.get(place[2]).location


asked("workload identity", WorkloadIdentityCredential(disable_instance_discovery=True))
asked("managed identity of an app service", ManagedIdentityCredential())
asked("one that is named", ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]))
for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
    del os.environ[name]
asked("managed identity of a machine", ManagedIdentityCredential())
forged = Path(os.environ["HOME"], "forged")
token = Path(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).read_text()
forged.write_text(token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
try:
    WorkloadIdentityCredential(token_file_path=str(forged), disable_instance_discovery=True).get_token("https://management.azure.com/.default")
except ClientAuthenticationError as refused:
    told["forged"] = str(refused).partition(":")[0]
print(json.dumps(told))
