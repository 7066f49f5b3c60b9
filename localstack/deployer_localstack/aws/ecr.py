"""ECR's API where moto stops: repositories at the local registry, passwords that work, and the images that are really there."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.aws import ground
from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.registry.front import Passwords
from deployer_localstack.registry.index import DOCKER_MANIFEST, ImageIndex, PushedManifest, RepositoryAddress, digest_of
from deployer_localstack.registry.upstream import Upstream

Parameters = Mapping[str, Any]
_PART_SIZE = 20 * 1024 * 1024


class Ecr:
    """Answers the calls in `operations`; the front of the registry asks it about repositories."""

    def __init__(self, settings: AwsSettings, passwords: Passwords, index: ImageIndex, upstream: Upstream) -> None:
        self.host = ""
        self._settings = settings
        self._passwords = passwords
        self._index = index
        self._registry = upstream
        self._account_settings: dict[AccountRegion, dict[str, str]] = {}
        self._uploads: dict[str, bytearray] = {}
        self._lock = threading.Lock()
        self.operations: Mapping[str, Callable[[AccountRegion, Parameters], dict[str, Any]]] = {
            "GetAuthorizationToken": self.get_authorization_token,
            "DescribeImages": self.describe_images,
            "ListImages": self.list_images,
            "BatchGetImage": self.batch_get_image,
            "BatchDeleteImage": self.batch_delete_image,
            "PutImage": self.put_image,
            "BatchCheckLayerAvailability": self.batch_check_layer_availability,
            "GetDownloadUrlForLayer": self.get_download_url_for_layer,
            "InitiateLayerUpload": self.initiate_layer_upload,
            "UploadLayerPart": self.upload_layer_part,
            "CompleteLayerUpload": self.complete_layer_upload,
            "PutAccountSetting": self.put_account_setting,
            "GetAccountSetting": self.get_account_setting,
        }

    def own_addresses(self, document: Any) -> Any:
        """moto's answers with repositoryUri at the local registry."""
        if isinstance(document, dict):
            return {
                key: f"{self.host}/{document['repositoryName']}" if key == "repositoryUri" else self.own_addresses(value)
                for key, value in document.items()
            }
        return [self.own_addresses(each) for each in document] if isinstance(document, list) else document

    # What the registry's front asks.

    def exists(self, repository: RepositoryAddress) -> bool:
        return ground.repository(repository.account, repository.region, repository.name) is not None

    def is_immutable(self, repository: RepositoryAddress) -> bool:
        found = ground.repository(repository.account, repository.region, repository.name)
        return found is not None and bool(found.is_tag_immutable())

    def mounts_blobs(self, account: str, region: str) -> bool:
        return self._account_settings.get(AccountRegion(account, region), {}).get("BLOB_MOUNTING") == "ENABLED"

    def refuse_deletion_of_images(self, place: AccountRegion, parameters: Parameters) -> None:
        """moto doesn't see what the registry has; a repository with images is deleted by force only."""
        repository = self._repository(place, parameters)
        if self._index.images(repository) and not parameters.get("force"):
            message = (
                f"The repository with name '{repository.name}' in registry with id '{repository.account}' "
                "cannot be deleted because it still contains images"
            )
            raise AwsError("RepositoryNotEmptyException", message)

    def forget(self, place: AccountRegion, parameters: Parameters) -> None:
        """After moto has deleted a repository."""
        self._index.forget(RepositoryAddress(place.account, place.region, parameters["repositoryName"]))

    def clear(self) -> None:
        self._index.clear()
        self._account_settings.clear()

    # The API.

    def get_authorization_token(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        found = []
        for account in parameters.get("registryIds") or [place.account]:
            password, login = self._passwords.issue(account, place.region, self._settings.ecr_token_seconds)
            token = base64.b64encode(f"AWS:{password}".encode()).decode()
            found.append({"authorizationToken": token, "expiresAt": login.expires, "proxyEndpoint": f"http://{self.host}"})
        return {"authorizationData": found}

    def describe_images(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        if asked := parameters.get("imageIds"):
            images = [self._image(repository, each) for each in asked]
        else:
            status = parameters.get("filter", {}).get("tagStatus", "ANY")
            images = [each for each in self._index.images(repository) if _has_status(each, status)]
        return _paged("imageDetails", [_detail(repository, each) for each in images], parameters)

    def list_images(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        status = parameters.get("filter", {}).get("tagStatus", "ANY")
        found: list[dict[str, str]] = []
        for image in self._index.images(repository):
            if _has_status(image, status):
                found += [{"imageDigest": image.digest, "imageTag": tag} for tag in sorted(image.tags)] or [{"imageDigest": image.digest}]
        return _paged("imageIds", found, parameters)

    def batch_get_image(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        images, failures = [], []
        for asked in parameters["imageIds"]:
            image = self._index.find(repository, tag=asked.get("imageTag"), digest=asked.get("imageDigest"))
            if image is None:
                reason = "Requested image not found"
                failures.append({"imageId": asked, "failureCode": "ImageNotFound", "failureReason": reason})
            else:
                images.append(_whole(repository, image, asked.get("imageTag")))
        return {"images": images, "failures": failures}

    def batch_delete_image(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        removed, failures = [], []
        for asked in parameters["imageIds"]:
            if refusal := self._refusal_to_remove(repository, asked):
                failures.append({"imageId": asked, "failureCode": refusal[0], "failureReason": refusal[1]})
                continue
            image = self._index.remove(repository, tag=asked.get("imageTag"), digest=asked.get("imageDigest"))
            assert image is not None
            if self._index.find(repository, digest=image.digest) is None:
                self._upstream("DELETE", repository, f"manifests/{image.digest}")
            removed.append({**asked, "imageDigest": image.digest})
        return {"imageIds": removed, "failures": failures}

    def _refusal_to_remove(self, repository: RepositoryAddress, asked: Mapping[str, str]) -> tuple[str, str] | None:
        """Code and reason; an image that a list of manifests has stays for as long as the list does."""
        image = self._index.find(repository, tag=asked.get("imageTag"), digest=asked.get("imageDigest"))
        if image is None:
            return "ImageNotFound", "Requested image not found"
        lists = [each.digest for each in self._index.images(repository) if image.digest in each.manifests]
        last = "imageTag" not in asked or image.tags == {asked["imageTag"]}
        return ("ImageReferencedByManifestList", f"Requested image referenced by manifest list: [{', '.join(lists)}]") if lists and last else None

    def put_image(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        manifest, tag = parameters["imageManifest"].encode(), parameters.get("imageTag")
        present = self._index.find(repository, tag=tag, digest=digest_of(manifest))
        if present:
            message = f"Image with digest '{present.digest}' and tag '{tag}' already exists in the repository with name '{repository.name}'"
            raise AwsError("ImageAlreadyExistsException", message)
        if tag and self._index.find(repository, tag=tag) and self.is_immutable(repository):
            message = (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten because the tag is immutable."
            )
            raise AwsError("ImageTagAlreadyExistsException", message)
        media_type = parameters.get("imageManifestMediaType") or json.loads(manifest).get("mediaType", DOCKER_MANIFEST)
        status, answer = self._upstream("PUT", repository, f"manifests/{tag or digest_of(manifest)}", manifest, media_type)
        if status != 201:
            raise AwsError("LayersNotFoundException", f"The specified layers could not be found: {answer.decode(errors='replace')}")
        return {"image": _whole(repository, self._index.put(repository, manifest, media_type, tag), tag)}

    def batch_check_layer_availability(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository = self._repository(place, parameters)
        layers, failures = [], []
        for digest in parameters["layerDigests"]:
            status, _ = self._upstream("HEAD", repository, f"blobs/{digest}")
            if status == 200:
                layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE"})
            else:
                failures.append({"layerDigest": digest, "failureCode": "MissingLayerDigest", "failureReason": "Layer not found"})
        return {"layers": layers, "failures": failures}

    def get_download_url_for_layer(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository, digest = self._repository(place, parameters), parameters["layerDigest"]
        if self._upstream("HEAD", repository, f"blobs/{digest}")[0] != 200:
            raise AwsError("LayersNotFoundException", f"The layer with digest '{digest}' does not exist in '{repository.name}'")
        # As S3's presigned ones, it needs no password.
        url = f"{self._registry.url}/v2/{self._index.stored_name(repository)}/blobs/{digest}"
        return {"downloadUrl": url, "layerDigest": digest}

    def initiate_layer_upload(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        self._repository(place, parameters)
        upload = str(uuid.uuid4())
        with self._lock:
            self._uploads[upload] = bytearray()
        return {"uploadId": upload, "partSize": _PART_SIZE}

    def upload_layer_part(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository, upload = self._repository(place, parameters), self._upload(parameters["uploadId"])
        if parameters["partFirstByte"] != len(upload):
            raise AwsError("InvalidLayerPartException", f"The layer part must start at byte {len(upload)}")
        upload += base64.b64decode(parameters["layerPartBlob"])
        known = {"registryId": repository.account, "repositoryName": repository.name, "uploadId": parameters["uploadId"]}
        return {**known, "lastByteReceived": len(upload) - 1}

    def complete_layer_upload(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        repository, upload = self._repository(place, parameters), bytes(self._upload(parameters["uploadId"]))
        digest = digest_of(upload)
        if digest not in parameters["layerDigests"]:
            raise AwsError("InvalidLayerException", f"The layer's digest is {digest}")
        self._upload_blob(repository, digest, upload)
        with self._lock:
            del self._uploads[parameters["uploadId"]]
        known = {"registryId": repository.account, "repositoryName": repository.name, "uploadId": parameters["uploadId"]}
        return {**known, "layerDigest": digest}

    def put_account_setting(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        self._account_settings.setdefault(place, {})[parameters["name"]] = parameters["value"]
        return {"name": parameters["name"], "value": parameters["value"]}

    def get_account_setting(self, place: AccountRegion, parameters: Parameters) -> dict[str, Any]:
        return {"name": parameters["name"], "value": self._account_settings.get(place, {}).get(parameters["name"], "DISABLED")}

    def _repository(self, place: AccountRegion, parameters: Parameters) -> RepositoryAddress:
        repository = RepositoryAddress(parameters.get("registryId") or place.account, place.region, parameters["repositoryName"])
        if not self.exists(repository):
            message = f"The repository with name '{repository.name}' does not exist in the registry with id '{repository.account}'"
            raise AwsError("RepositoryNotFoundException", message)
        return repository

    def _image(self, repository: RepositoryAddress, asked: Mapping[str, str]) -> PushedManifest:
        image = self._index.find(repository, tag=asked.get("imageTag"), digest=asked.get("imageDigest"))
        if image is None:
            named = f"{{imageDigest:'{asked.get('imageDigest', 'null')}', imageTag:'{asked.get('imageTag', 'null')}'}}"
            message = (
                f"The image with imageId {named} does not exist within the repository with name '{repository.name}' "
                f"in the registry with id '{repository.account}'"
            )
            raise AwsError("ImageNotFoundException", message)
        return image

    def _upload(self, upload: str) -> bytearray:
        with self._lock:
            if upload not in self._uploads:
                raise AwsError("UploadNotFoundException", f"The upload with id '{upload}' could not be found")
            return self._uploads[upload]

    def _upload_blob(self, repository: RepositoryAddress, digest: str, content: bytes) -> None:
        connection = self._registry.connect(60)
        try:
            connection.request("POST", f"{self._registry.path}/v2/{self._index.stored_name(repository)}/blobs/uploads/")
            opened = connection.getresponse()
            opened.read()
            location = opened.headers["Location"]
            mark = "&" if "?" in location else "?"
            headers = {"Content-Type": "application/octet-stream"}
            connection.request("PUT", f"{self._registry.path}{location}{mark}digest={digest}", body=content, headers=headers)
            if connection.getresponse().status != 201:
                raise AwsError("ServerException", "The registry didn't take the layer.", 500)
        finally:
            connection.close()

    def _upstream(self, method: str, repository: RepositoryAddress, path: str, body: bytes | None = None, media_type: str = "") -> tuple[int, bytes]:
        return self._registry.ask(method, f"{self._index.stored_name(repository)}/{path}", body, media_type)

    def blob(self, repository: RepositoryAddress, digest: str) -> bytes:
        """A small blob, such as an image's configuration."""
        status, content = self._upstream("GET", repository, f"blobs/{digest}")
        if status != 200:
            raise AwsError("LayersNotFoundException", f"The blob '{digest}' does not exist in '{repository.name}'")
        return content


def _has_status(image: PushedManifest, status: str) -> bool:
    return status == "ANY" or (status == "TAGGED") == bool(image.tags)


def _detail(repository: RepositoryAddress, image: PushedManifest) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed.timestamp(),
        "imageManifestMediaType": image.media_type,
    }
    if config := image.document.get("config"):
        detail["artifactMediaType"] = config["mediaType"]
    if image.tags:
        detail["imageTags"] = sorted(image.tags)
    return detail


def _whole(repository: RepositoryAddress, image: PushedManifest, tag: str | None) -> dict[str, Any]:
    image_id = {"imageDigest": image.digest} | ({"imageTag": tag} if tag else {})
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageId": image_id,
        "imageManifest": image.manifest.decode(),
        "imageManifestMediaType": image.media_type,
    }


def _paged(name: str, items: list[Any], parameters: Parameters) -> dict[str, Any]:
    start, size = int(parameters.get("nextToken") or 0), int(parameters.get("maxResults") or 100)
    page = {name: items[start : start + size]}
    return {**page, "nextToken": str(start + size)} if len(items) > start + size else page
