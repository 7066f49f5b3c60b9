"""Shared access signatures as azure-storage-blob makes them: `signatures.py ACCOUNT_URL KEY`; what each gives, and what is refused."""

import json
import sys
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient, generate_account_sas, generate_blob_sas, generate_container_sas

url, key = sys.argv[1:]
account, container = url.rpartition("/")[2], "azureml-blobstore-local"
now = datetime.now(UTC)
until, before = now + timedelta(hours=1), now - timedelta(hours=1)
by_key = {"account_name": account, "account_key": key}
BlobServiceClient(url, credential=by_key).get_blob_client(container, "signed/été.txt").upload_blob(b"signed", overwrite=True)
told = {}


def asked(what, signature, ask, blob="signed/été.txt"):
    service = BlobServiceClient(url, credential=signature)
    try:
        told[what] = ask(service.get_blob_client(container, blob), service.get_container_client(container), service)
    except HttpResponseError as refused:
        told[what] = f"{refused.status_code} {getattr(refused.error_code, 'value', refused.error_code)}"


def read(blob, *_):
    return blob.download_blob().readall().decode()


def write(blob, *_):
    return blob.upload_blob(b"signed", overwrite=True)["etag"] != ""


def names(_, place, __):
    return [each.name for each in place.list_blobs(name_starts_with="signed/")]


def containers(_, __, service):
    return container in [each.name for each in service.list_containers()]


whole = generate_account_sas(**by_key, resource_types="sco", permission="rwlc", expiry=until)
for what, ask in (("read", read), ("write", write), ("names", names), ("containers", containers)):
    asked(f"account: {what}", whole, ask)
asked("account, objects alone: names", generate_account_sas(**by_key, resource_types="o", permission="rl", expiry=until), names)
of_container = generate_container_sas(account, container, account_key=key, permission="rl", expiry=until)
for what, ask in (("read", read), ("write", write), ("names", names), ("containers", containers)):
    asked(f"container: {what}", of_container, ask)
of_blob = generate_blob_sas(account, container, "signed/été.txt", account_key=key, permission="r", expiry=until, start=before, protocol="https")
asked("blob: read", of_blob, read)
asked("blob: another", of_blob, read, "signed/other.txt")
asked("expired", generate_container_sas(account, container, account_key=key, permission="rl", expiry=before), read)
asked("another key", generate_container_sas(account, container, account_key="a2V5", permission="rl", expiry=until), read)
asked("altered", of_container.replace("sp=rl", "sp=rwl"), write)
asked("another account key", {"account_name": account, "account_key": "a2V5"}, read)
user = BlobServiceClient(url, credential=DefaultAzureCredential()).get_user_delegation_key(before, until)
delegated = {"user_delegation_key": user, "permission": "r", "expiry": until}
asked("delegated: read", generate_blob_sas(account, container, "signed/été.txt", **delegated), read)
asked("delegated: write", generate_blob_sas(account, container, "signed/été.txt", **delegated), write)
user.value = "a2V5"
asked("delegated, another key", generate_blob_sas(account, container, "signed/été.txt", **delegated), read)
print(json.dumps(told))
