"""Finds the image that a model names, and refuses what SageMaker refuses: foreign registries, missing images, OCI manifests and indexes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deployer_localstack.aws.account import AccountRegion
from deployer_localstack.aws.ecr import Ecr
from deployer_localstack.aws.errors import validation
from deployer_localstack.registry.index import DOCKER_MANIFEST, ImageIndex, PushedManifest, RepositoryAddress, image_name, labels_in

_GZIP_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_AWS_HOST = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image that is there.

    Attributes:
        specified: as the model names it.
        resolved: by digest, at the local registry.
        labels: from its configuration.
    """

    specified: str
    resolved: str
    repository: RepositoryAddress
    labels: Mapping[str, str]


class Images:
    """The images that SageMaker in any place can see."""

    def __init__(self, ecr: Ecr, index: ImageIndex) -> None:
        self._ecr = ecr
        self._index = index

    def resolve(self, place: AccountRegion, reference: str, *, vpc_registry: bool = False) -> ResolvedImage:
        """The image behind a reference: in the place's own repositories first, then in another account's of the same region.

        Raises:
            AwsError: as CreateModel words it.
        """
        named = image_name(reference)
        repositories = self._candidates(place, named.host, named.name) if named else []
        if named is None or repositories is None:
            if vpc_registry:
                raise validation(f'The local cloud has no private registry behind a VPC: image "{reference}" can\'t be had.')
            raise validation(f'Using non-ECR image "{reference}" without Vpc repository access mode is not supported.')
        for repository in repositories:
            image = self._index.find(repository, tag=named.tag, digest=named.digest)
            if image is not None and self._ecr.exists(repository):
                _refuse_manifest(image, reference)
                resolved = f"{self._ecr.host}/{repository.name}@{image.digest}"
                return ResolvedImage(reference, resolved, repository, self._labels(repository, image))
        raise validation(f"Requested image {reference} not found.")

    def _candidates(self, place: AccountRegion, host: str, name: str) -> list[RepositoryAddress] | None:
        if aws := _AWS_HOST.fullmatch(host):
            return [RepositoryAddress(aws[1], aws[2], name)]
        if host != self._ecr.host:
            return None
        own = RepositoryAddress(place.account, place.region, name)
        return [own, *(each for each in self._index.repositories_named(name) if each.region == place.region and each != own)]

    def _labels(self, repository: RepositoryAddress, image: PushedManifest) -> dict[str, str]:
        return labels_in(self._ecr.blob(repository, image.document["config"]["digest"]))


def _refuse_manifest(image: PushedManifest, reference: str) -> None:
    """One platform, Docker's schema 2, layers in gzip: nothing else."""
    if image.media_type != DOCKER_MANIFEST:
        raise validation(
            f"Unsupported manifest media type {image.media_type} for image {reference}. "
            "Ensure that valid manifest media type is used for specified image."
        )
    for layer in image.document["layers"]:
        if layer["mediaType"] != _GZIP_LAYER:
            raise validation(
                f"Unsupported layer media type {layer['mediaType']} for image {reference}. "
                "Ensure that valid layer media type is used for specified image."
            )
