"""Blobs by azure-storage-blob alone: `blobs.py ACCOUNT_URL KEY`; what came of it, as JSON, the same for every Blob service."""

import json
import sys

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContentSettings

url, key = sys.argv[1:]
service = BlobServiceClient(url, credential={"account_name": url.rpartition("/")[2], "account_key": key})
said = {}


def refused(what, call):
    try:
        call()
    except HttpResponseError as refusal:
        said[what] = [type(refusal).__name__, refusal.status_code, str(refusal.error_code)]


refused("no container", lambda: service.get_container_client("nowhere").get_container_properties())
container = service.create_container("models")
refused("container twice", lambda: service.create_container("models"))
said["containers"] = [each.name for each in service.list_containers(name_starts_with="mod")]
small = container.get_blob_client("run 1/été/a.txt")
small.upload_blob(b"0123456789", metadata={"step": "1"}, content_settings=ContentSettings(content_type="text/plain"))
refused("overwritten", lambda: small.upload_blob(b"again"))
small.upload_blob(b"9876543210", overwrite=True, metadata={"step": "2"}, content_settings=ContentSettings(content_type="text/plain"))
properties = small.get_blob_properties()
said["properties"] = [properties.size, properties.content_settings.content_type, properties.metadata, str(properties.blob_type)]
said["digest"] = bytes(properties.content_settings.content_md5).hex()
said["whole"] = small.download_blob().readall().decode()
said["part"] = small.download_blob(offset=2, length=3).readall().decode()
refused("beyond the end", lambda: small.download_blob(offset=100, length=3).readall())
small.set_blob_metadata({"upload_status": "completed"})
said["metadata"] = small.get_blob_properties().metadata
refused(
    "changed since",
    lambda: small.upload_blob(b"x", overwrite=True, etag=properties.etag, match_condition=MatchConditions.IfNotModified),
)
large = container.get_blob_client("large")
large.stage_block("YQ==", b"a" * 1000)
large.stage_block("Yg==", b"b" * 1000)
refused("blocks alone", large.get_blob_properties)
refused("unknown block", lambda: large.commit_block_list([BlobBlock("eg==")]))
large.commit_block_list([BlobBlock("YQ=="), BlobBlock("Yg==")])
said["large"] = [large.get_blob_properties().size, large.download_blob(offset=999, length=2).readall().decode()]
container.get_blob_client("empty").upload_blob(b"")
said["empty"] = container.get_blob_client("empty").download_blob().readall().decode()
chunked = BlobServiceClient(url, credential=service.credential, max_single_put_size=1024, max_block_size=1024).get_blob_client("models", "chunked")
chunked.upload_blob(bytes(range(256)) * 20)
said["chunked"] = chunked.download_blob().readall() == bytes(range(256)) * 20
said["listed"] = [[each.name, each.size] for each in container.list_blobs()]
said["below"] = [each.name for each in container.list_blobs(name_starts_with="run 1/")]
said["levels"] = [each.name for each in container.walk_blobs(delimiter="/")]
said["pages"] = [len(list(page)) for page in container.list_blobs(results_per_page=3).by_page()]
small.delete_blob()
refused("deleted", small.download_blob)
refused("deleted twice", small.delete_blob)
service.delete_container("models")
print(json.dumps(said, sort_keys=True))
