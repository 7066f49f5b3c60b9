"""A client for image registries, over HTTP: no docker daemon and no command of another tool is needed to read, choose or push an image.

repository = Repository("localhost:5000", "deployer-scoring", Credentials("user", "password"))
image = repository.describe("0.1.0-py311")
"""

from deployer.core.requirements import lock_digest
from deployer.core.state import Image, ModelFacts
from deployer.oci.choose import NoSharedImage, choose, general_tag, image_at, inputs_tag, is_elsewhere, model_tag, python_of, tags_for
from deployer.oci.credentials import Credentials, Login, configured
from deployer.oci.manifest import DOCKER_MANIFEST, IMAGES, INDEXES, OCI_MANIFEST, Compression, Descriptor, Manifest, docker_manifest, oci_manifest
from deployer.oci.reference import Reference
from deployer.oci.repository import ImageConfiguration, Repository
from deployer.oci.uploads import Progress

__all__ = [
    "DOCKER_MANIFEST",
    "IMAGES",
    "INDEXES",
    "OCI_MANIFEST",
    "Compression",
    "Credentials",
    "Descriptor",
    "Image",
    "ImageConfiguration",
    "Login",
    "Manifest",
    "ModelFacts",
    "NoSharedImage",
    "Progress",
    "Reference",
    "Repository",
    "choose",
    "configured",
    "docker_manifest",
    "general_tag",
    "image_at",
    "inputs_tag",
    "is_elsewhere",
    "lock_digest",
    "model_tag",
    "oci_manifest",
    "python_of",
    "tags_for",
]
