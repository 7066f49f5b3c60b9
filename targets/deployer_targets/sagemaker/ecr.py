"""One repository of the account's ECR: its API tells untagged images too, and removes them; the registry's own does neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.core.state import Digest
from deployer.errors import Refused
from deployer.oci import Login, Repository
from deployer_targets.sagemaker.client import RegionClients
from deployer_targets.sagemaker.faults import Absent

_AT_ONCE = 100


class EcrRepository(Repository):
    """A repository that is listed and cleaned by ECR's own API."""

    def __init__(self, address: str, name: str, login: Login, connection: RegionClients) -> None:
        super().__init__(address, name, login)
        self._connection = connection

    def images(self) -> dict[Digest, tuple[str, ...]]:
        found: dict[Digest, tuple[str, ...]] = {}
        more: dict[str, Any] = {}
        while True:
            try:
                page = self._connection.call("ecr", "list_images", repositoryName=self.name, maxResults=1000, **more)
            except Absent:  # no such repository
                return found
            for each in page["imageIds"]:
                tags = (each["imageTag"],) if "imageTag" in each else ()
                found[Digest(each["imageDigest"])] = (*found.get(each["imageDigest"], ()), *tags)
            if not page.get("nextToken"):
                return found
            more = {"nextToken": page["nextToken"]}

    def remove(self, digests: Sequence[Digest]) -> None:
        for start in range(0, len(digests), _AT_ONCE):
            images = [{"imageDigest": each} for each in digests[start : start + _AT_ONCE]]
            answer = self._connection.call("ecr", "batch_delete_image", repositoryName=self.name, imageIds=images)
            kept = [each for each in answer.get("failures") or () if each["failureCode"] != "ImageNotFound"]
            if kept:
                why = "; ".join(f"{each['imageId'].get('imageDigest', '')}: {each['failureCode']}: {each.get('failureReason', '')}" for each in kept)
                raise Refused(f"ECR keeps {len(kept)} of {len(images)} images in {self.name}", why=why)
